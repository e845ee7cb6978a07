/** The traps of A2A Market: a lost answer, a conflict, where the new key stands, signatures, errors in several forms. */
import { describe, expect, it } from "vitest";
import { AGENT_ID, FakeA2aMarket, type Shape } from "../lab/services/a2amarket.ts";
import type { Beginning } from "../lab/services/registry.ts";
import { type Account, callsOf, openAccount, runFor, serve } from "../support/account.ts";
import { at } from "../support/clock.ts";
import { quiet } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

function begin(
  fake = new FakeA2aMarket(),
  connection?: Beginning["connection"],
): Promise<Account<FakeA2aMarket>> {
  const { secret } = fake.make("by hand");
  return openAccount(fake, {
    ...(connection && { connection }),
    key: { fields: { secret }, config: { agentId: AGENT_ID } },
  });
}

describe("an answer that was lost", () => {
  it("is asked for again with the same idempotency key; a conflict means that it took effect", async () => {
    const account = await begin();
    const { fake, scene } = account;
    fake.fail("mint", "cut-after");
    const { id } = await scene.rotate();
    await runFor(account, "1h");
    expect(callsOf(account).slice(0, 3)).toEqual(["test 200", "mint cut", "mint 409"]);
    expect(new Set(fake.idempotencyKeys).size).toBe(1);
    expect(await scene.rotation(id)).toMatchObject({
      state: "failed",
      problem: "agent.a2amarket.md answered 409 IDEMPOTENCY_CONFLICT",
    });
    expect((await scene.read()).state).toBe("lost");
  });

  it("that never took effect comes with the same idempotency key after all", async () => {
    const account = await begin();
    const { fake, scene, hook } = account;
    fake.fail("mint", "cut-before");
    const { id } = await scene.rotate();
    await runFor(account, "1h");
    expect(callsOf(account).slice(0, 3)).toEqual(["test 200", "mint cut", "mint 200"]);
    expect(new Set(fake.idempotencyKeys).size).toBe(1);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(fake.holderOf(hook.secret)).toBeDefined();
  });

  it("is told by the old key where the repeat is refused, as the key that asks may be dead by then", async () => {
    const account = await begin();
    const { fake, scene } = account;
    fake.looksAtKeyFirst = true;
    fake.fail("mint", "error-after");
    await scene.rotate();
    await runFor(account, "1h");
    expect(callsOf(account).slice(0, 6)).toEqual([
      "test 200",
      "mint 502",
      "mint 401",
      "test 401",
      "mint 401",
      "test 401",
    ]);
    expect((await scene.read()).state).toBe("lost");
  });
});

it.each(["payload", "new", "data", "top"] satisfies Shape[])(
  "takes the new key where it is known to be: %s",
  async (shape) => {
    const account = await begin();
    const { fake, scene, hook } = account;
    fake.shape = shape;
    const { id } = await scene.rotate();
    await runFor(account, "10m");
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(fake.holderOf(hook.secret)).toBeDefined();
  },
);

it.each(["elsewhere", "two"] satisfies Shape[])(
  "is in doubt about a success with no key that is surely the new one: %s",
  async (shape) => {
    const account = await begin();
    const { fake, scene, hook } = account;
    const before = hook.secret;
    fake.shape = shape;
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({
      step: "settle",
      problem:
        "agent.a2amarket.md answered 200 without exactly one new key at the places where it is known to be",
    });
    await runFor(account, "1h");
    expect((await scene.read()).state).toBe("lost");
    expect(hook.secret).toBe(before);
  },
);

describe("a signature", () => {
  const connection = { credential: { hmacSecret: "shared-with-the-agent" } };
  const signing = () => Object.assign(new FakeA2aMarket(), { hmacSecret: "shared-with-the-agent" });

  it("does not go with what has no body, as a rotation has none", async () => {
    const account = await begin(signing(), connection);
    const { id } = await account.scene.rotate();
    await runFor(account, "10m");
    expect(await account.scene.rotation(id)).toMatchObject({ state: "succeeded" });
  });

  it("is over the raw body, where the connection has a rotation send one", async () => {
    const fake = Object.assign(signing(), { insistsOnSignature: true });
    const account = await begin(fake, { ...connection, config: { rotateBody: "{}" } });
    const { id } = await account.scene.rotate();
    await runFor(account, "10m");
    expect(await account.scene.rotation(id)).toMatchObject({ state: "succeeded" });
  });

  it("that is refused changes nothing, and says nothing of the key", async () => {
    const fake = Object.assign(signing(), { insistsOnSignature: true });
    const account = await begin(fake, connection);
    const { id } = await account.scene.rotate();
    await runFor(account, "10m");
    expect(await account.scene.rotation(id)).toMatchObject({
      state: "failed",
      problem: "agent.a2amarket.md answered 401 INVALID_SIGNATURE",
    });
    expect((await account.scene.read()).state).toBe("active");
  });
});

describe.each([false, true])("an error, with errorsAreBare %s", (errorsAreBare) => {
  it("of a suspended agent blocks, and is no word about the key", async () => {
    const account = await begin();
    Object.assign(account.fake, { errorsAreBare, isSuspended: true });
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    expect(await account.scene.rotation(id)).toMatchObject({
      state: "blocked",
      problem: "agent.a2amarket.md answered 403 AGENT_SUSPENDED",
    });
  });

  it("of too many calls waits as long as retry_after says, in seconds", async () => {
    const account = await begin();
    Object.assign(account.fake, { errorsAreBare, retryAfterSeconds: 600 });
    const before = Date.now();
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    const rotation = await account.scene.rotation(id);
    expect(rotation).toMatchObject({ state: "blocked" });
    expect(at(rotation.nextTryAt) - before).toBeGreaterThanOrEqual(600_000);
    await runFor(account, "20m");
    expect(await account.scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(new Set(account.fake.idempotencyKeys).size).toBe(1);
  });
});

it("takes what is not JSON for an error", async () => {
  const account = await begin();
  account.fake.fail("test", "garbage");
  const { id } = await account.scene.rotate();
  await quiet(account.scene);
  expect(await account.scene.rotation(id)).toMatchObject({
    state: "blocked",
    problem: "agent.a2amarket.md answered 200 with something else than agreed",
  });
});

it("wants to know whose key it is", async () => {
  const fake = new FakeA2aMarket();
  serve(fake);
  const scene = await makeScene();
  const answer = await scene.keyring.call("POST", "/v1/keys", {
    body: { name: "agent", provider: "a2amarket", fields: { secret: fake.make("by hand").secret } },
  });
  expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: "config.agentId" }] } });
});
