/** The traps of LLM Conveyors: a new key without its hash, whole hours, a lost answer while the old one's time runs, envelopes. */
import { describe, expect, it } from "vitest";
import { llmconveyors } from "../../src/providers/llmconveyors.ts";
import type { Credential, ProviderContext } from "../../src/providers/provider.ts";
import { FakeLlmConveyors } from "../lab/services/llmconveyors.ts";
import { type Account, callsOf, openAccount, runFor } from "../support/account.ts";
import { at } from "../support/clock.ts";
import { quiet } from "../support/inside.ts";

type Llm = Account<FakeLlmConveyors>;

function begin(fake = new FakeLlmConveyors(), policy: Record<string, unknown> = {}): Promise<Llm> {
  const { secret, reference } = fake.makeKey("worker");
  return openAccount(fake, {
    connection: { credential: { secret: fake.makeAdmin().secret } },
    key: { fields: { secret }, reference, policy },
  });
}

/** The calls that made, replaced or ended a key: `mint /hash1/rotate`. */
function changesOf({ fake }: Llm): string[] {
  return fake.journal
    .filter((line) => /^(mint|create|revoke) /.test(line))
    .map((line) => line.replace(/^(\S+) \S+ \/settings\/platform-api-keys(\S*) (\S+)$/, "$1 $2 $3"));
}

describe("a new key", () => {
  it.each([false, true])(
    "is found by its prefix and the time it was made, with envelopes: %s",
    async (wraps) => {
      const account = await begin(Object.assign(new FakeLlmConveyors(), { wraps }));
      const { fake, scene, hook } = account;
      await scene.rotate();
      await runFor(account, "1d");
      await scene.rotate();
      await runFor(account, "1d");
      expect(await scene.stages()).toEqual(["revoked", "revoked", "current"]);
      expect(changesOf(account)).toEqual(["mint /hash1/rotate 200", "mint /hash3/rotate 200"]);
      expect(fake.holderOf(hook.secret)?.reference).toBe("hash4");
    },
  );

  it("keeps the label and the scopes of the old one", async () => {
    const account = await begin();
    await account.scene.rotate();
    await runFor(account, "1d");
    const [made] = account.fake.live();
    expect(made?.label).toBe("worker");
    expect(made && account.fake.detailsOf(made).scopes).toEqual(["jobs:write", "jobs:read"]);
  });

  it("is a good one although its scopes do not open the list", async () => {
    const account = await begin();
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    expect(callsOf(account)).toContain("test 403");
    expect(await account.scene.rotation(id)).toMatchObject({ state: "succeeded", problem: null });
  });

  it("is made once more when the answer to its first making was lost, and what that made is revoked", async () => {
    const fake = new FakeLlmConveyors();
    fake.fail("create", "cut-after");
    const account = await openAccount(fake, {
      connection: { credential: { secret: fake.makeAdmin().secret } },
      key: {},
    });
    expect(fake.credentials.map(({ label }) => label)).toEqual(["admin", "billing", "billing"]);
    expect(fake.live()).toEqual([fake.holderOf(account.hook.secret)]);
    expect((await account.scene.read()).state).toBe("active");
  });

  it("is made from nothing where no value is handed in, as its settings say", async () => {
    const fake = new FakeLlmConveyors();
    const account = await openAccount(fake, {
      connection: { credential: { secret: fake.makeAdmin().secret } },
      key: { config: { label: "batch", scopes: ["jobs:read"], monthlyCreditsLimit: 50 } },
    });
    const [made] = fake.live();
    expect(made?.label).toBe("batch");
    expect(made && fake.detailsOf(made)).toMatchObject({ scopes: ["jobs:read"], monthlyCreditsLimit: 50 });
    expect(account.hook.secret).toBe(made?.secret);
  });
});

describe("the old key", () => {
  it.each([
    ["90m", 2],
    ["24h", 24],
    ["0", 0],
  ])("with a grace of %s is kept by the service for %d whole hours", async (grace, hours) => {
    const account = await begin(new FakeLlmConveyors(), { grace });
    const { fake, scene } = account;
    const from = Date.now();
    await scene.rotate();
    await quiet(scene);
    expect(fake.graces).toEqual([hours]);
    if (hours > 0) {
      const [old] = (await scene.read()).versions;
      expect(Math.abs(at(old?.graceEndsAt) - from - hours * 3_600_000)).toBeLessThan(1_000);
    }
    await runFor(account, "2d");
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(callsOf(account).filter((call) => call.startsWith("revoke"))).toEqual([]);
  });

  it.each([false, true])(
    "is deleted when its grace is ended by hand; the dead leave the list: %s",
    async (forgetsDead) => {
      const account = await begin(Object.assign(new FakeLlmConveyors(), { forgetsDead }));
      await account.scene.rotate();
      await quiet(account.scene);
      await account.scene.must("POST", "/v1/keys/billing/versions/1/finish", { reason: "nobody uses it" });
      await runFor(account, "10m");
      expect(changesOf(account)).toEqual(["mint /hash1/rotate 200", "revoke /hash1 200"]);
      expect(await account.scene.stages()).toEqual(["revoked", "current"]);
    },
  );

  it("must be listed under the reference that was handed in", async () => {
    const fake = new FakeLlmConveyors();
    const account = await openAccount(fake, {
      connection: { credential: { secret: fake.makeAdmin().secret } },
      key: { fields: { secret: fake.makeKey("worker").secret }, reference: "not-its-hash" },
    });
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    expect(await account.scene.rotation(id)).toMatchObject({
      state: "failed",
      problem: "the service lists no key with the reference of the present value",
    });
    expect(changesOf(account)).toEqual([]);
  });
});

describe("an answer that was lost", () => {
  it("leaves one key without a value: it is revoked, and a replacement created, as the old one cannot be rotated again", async () => {
    const account = await begin();
    const { fake, scene, hook } = account;
    fake.fail("mint", "cut-after");
    const { id } = await scene.rotate();
    await runFor(account, "10m");
    expect(changesOf(account)).toEqual(["mint /hash1/rotate cut", "revoke /hash3 200", "create  200"]);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    const held = fake.holderOf(hook.secret);
    expect(held).toMatchObject({ reference: "hash4", label: "worker" });
    expect(held && fake.detailsOf(held).scopes).toEqual(["jobs:write", "jobs:read"]);
    await runFor(account, "1d");
    expect(fake.live()).toEqual([held]);
  });

  it("of the replacement's call is dealt with in the same way", async () => {
    const account = await begin();
    const { fake, scene, hook } = account;
    fake.fail("mint", "error-after");
    fake.fail("create", "cut-after");
    const { id } = await scene.rotate();
    await runFor(account, "2d");
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(fake.live()).toEqual([fake.holderOf(hook.secret)]);
  });

  it("of a call that had no effect leaves nothing, so the old one is rotated after all", async () => {
    const account = await begin();
    account.fake.fail("mint", "cut-before");
    await account.scene.rotate();
    await runFor(account, "10m");
    expect(changesOf(account)).toEqual(["mint /hash1/rotate cut", "mint /hash1/rotate 200"]);
  });

  it("is for a person to settle when two keys appeared that look alike", async () => {
    const account = await begin();
    const { fake, scene } = account;
    fake.fail("mint", "cut-after");
    const { id } = await scene.rotate();
    await quiet(scene);
    fake.makeKey("worker", { byPerson: true });
    await runFor(account, "10m");
    expect(await scene.rotation(id)).toMatchObject({ state: "needs-human" });
    expect(changesOf(account)).toEqual(["mint /hash1/rotate cut"]);
    expect(fake.broken).toEqual([]);
  });

  it.each([
    ["another label", "crawler", ["jobs:write", "jobs:read"]],
    ["other scopes", "worker", ["jobs:read"]],
  ])("is not mixed up with a person's key of %s", async (_, label, scopes) => {
    const account = await begin();
    const { fake, scene } = account;
    fake.fail("mint", "cut-after");
    const { id } = await scene.rotate();
    await quiet(scene);
    fake.makeKey(label, { byPerson: true, scopes });
    await runFor(account, "10m");
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(fake.broken).toEqual([]);
  });
});

it("says which scope the connection's key lacks, and has changed nothing", async () => {
  const fake = new FakeLlmConveyors();
  const { secret, reference } = fake.makeKey("worker");
  const account = await openAccount(fake, {
    connection: {
      credential: { secret: fake.makeKey("reader", { byPerson: true, scopes: ["settings:read"] }).secret },
    },
    key: { fields: { secret }, reference },
  });
  const { id } = await account.scene.rotate();
  await runFor(account, "1h");
  expect(await account.scene.rotation(id)).toMatchObject({
    state: "failed",
    problem: "api.llmconveyors.com answered 403 INSUFFICIENT_SCOPE",
  });
  expect(changesOf(account)).toEqual(["mint /hash1/rotate 403"]);
});

it("tells when a key was last used, and when it never was", async () => {
  const fake = new FakeLlmConveyors();
  const used = fake.makeKey("used", { lastUsedAt: "2039-12-24T18:00:00.000Z" });
  const idle = fake.makeKey("idle");
  const context = contextOf(fake);
  const lastUsed = (credential: Credential) => llmconveyors.lastUsed?.(context, credential);
  expect(await lastUsed({ fields: undefined, reference: used.reference })).toMatchObject({
    kind: "told",
    at: Date.parse("2039-12-24T18:00:00.000Z"),
  });
  expect(await lastUsed({ fields: undefined, reference: idle.reference })).toMatchObject({
    kind: "told",
    at: null,
  });
  expect(await lastUsed({ fields: undefined, reference: "gone" })).toMatchObject({ kind: "failed" });
});

/** What the connector sees of a keyring, with the fake as all that there is outside. */
function contextOf(fake: FakeLlmConveyors): ProviderContext {
  const nothing = () => Promise.reject(new Error("not of a provider"));
  return {
    name: "billing",
    prefix: "rekey",
    config: {},
    issuer: { issue: () => ({ secret: "", reference: "" }), accepts: () => false },
    connection: { config: {}, credential: { secret: fake.makeAdmin().secret } },
    spend: () => 0,
    now: Date.now(),
    old: undefined,
    outbound: {
      async send({ url, method, headers, body }) {
        const request = new Request(url, { method, headers, ...(body !== undefined && { body }) });
        const response = await fake.answer(request);
        const { host } = new URL(url);
        const report = { at: Date.now(), method, host, status: response.status, code: "ok" };
        return { status: response.status, body: await response.text(), report };
      },
      readValue: nothing,
      writeValue: nothing,
      problemOf: () => undefined,
    },
  };
}
