/** The traps of Lightning Faucet: errors in a 200, a cooldown, an operator's key that opens the connection of its agents' keys. */
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { AGENT_ID, FakeLightningFaucet } from "../lab/services/lightningfaucet.ts";
import { type Account, callsOf, openAccount, runFor, serve } from "../support/account.ts";
import { at } from "../support/clock.ts";
import { inside, quiet } from "../support/inside.ts";
import { cron, makeScene } from "../support/scene.ts";

type Lightning = Account<FakeLightningFaucet>;

/** An operator's key, which asks for itself. */
function beginOperator(policy: Record<string, unknown> = {}): Promise<Lightning> {
  const fake = new FakeLightningFaucet();
  return openAccount(fake, { key: { fields: { secret: fake.operator().secret }, policy } });
}

/** An agent's key, by its operator's. */
function beginAgent(): Promise<Lightning> {
  const fake = new FakeLightningFaucet();
  return openAccount(fake, {
    connection: { credential: { secret: fake.operator(true).secret } },
    key: { fields: { secret: fake.agent().secret }, config: { agentId: AGENT_ID } },
  });
}

async function cooldownOf({ scene }: Lightning): Promise<string | null> {
  return (await scene.read()).cooldownUntil;
}

describe("an error in a 200", () => {
  it.each(["Agent not found", "Operator access required", "Rate limit exceeded"])(
    "about who asks for what means that nothing was done: %s",
    async (words) => {
      const account = await beginOperator();
      const { fake, scene, hook } = account;
      fake.refusesWith = words;
      const { id } = await scene.rotate();
      await runFor(account, "1d");
      expect(await scene.rotation(id)).toMatchObject({
        state: "failed",
        problem: "lightningfaucet.com answered 200 asked_wrongly",
      });
      expect(callsOf(account)).toEqual(["test 200", "mint 200"]);
      expect(fake.holderOf(hook.secret)).toBeDefined();
    },
  );

  it("of any other kind is no word about the rotation: the old key says that nothing was done, twice", async () => {
    const account = await beginOperator();
    const { fake, scene, hook } = account;
    fake.refusesWith = "Account is under review";
    const { id } = await scene.rotate();
    await runFor(account, "1d");
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "failed" });
    const calls = callsOf(account);
    expect(calls.slice(0, 4)).toEqual(["test 200", "mint 200", "test 200", "test 200"]);
    expect(calls.filter((call) => call.startsWith("mint")).length).toBeLessThan(12);
    expect(fake.holderOf(hook.secret)).toBeDefined();
    expect((await scene.read()).state).toBe("active");
  });

  it("of a rotation that was done all the same shows by the old key: the new one is lost, and somebody is told", async () => {
    const account = await beginOperator();
    const { fake, scene, hook } = account;
    fake.failsAfterIt = "Internal error";
    await scene.rotate();
    await runFor(account, "1h");
    expect(fake.holderOf(hook.secret)).toBeUndefined();
    expect((await scene.read()).state).toBe("lost");
    expect(await scene.events("key.lost")).toHaveLength(1);
    // What is handed in rotates by schedule only after the service's own pause.
    const heldUntil = await inside(scene, (store) => store.keys.find("billing")?.heldUntil ?? 0);
    const [lost] = await scene.events("key.lost");
    expect(heldUntil - Date.parse(lost?.at ?? "")).toBe(60 * 60_000);
    expect(callsOf(account).filter((call) => call.startsWith("mint"))).toHaveLength(1);
  });

  it("about the key is a refusal: the old one is seen dead", async () => {
    const account = await beginOperator();
    await account.scene.rotate();
    await runFor(account, "10m");
    expect(await account.scene.stages()).toEqual(["revoked", "current"]);
  });

  it("shows none of its words", async () => {
    const account = await beginOperator();
    account.fake.refusesWith = "words of the service";
    await account.scene.rotate();
    await runFor(account, "10m");
    const pages = [await account.scene.rotations(), await account.scene.events()];
    expect(JSON.stringify(pages)).not.toContain("words of the service");
  });
});

describe("an answer that was lost", () => {
  it("is not asked for again: the old key is found dead, and the key lost until a person hands in a value", async () => {
    const account = await beginOperator();
    const { fake, scene, hook } = account;
    fake.fail("mint", "cut-after");
    await scene.rotate();
    await runFor(account, "1h");
    expect(callsOf(account).filter((call) => call.startsWith("mint"))).toEqual(["mint cut"]);
    expect((await scene.read()).state).toBe("lost");
    const [made] = fake.live();
    await scene.must("PUT", "/v1/keys/billing/value", { fields: { secret: made?.secret } });
    await runFor(account, "10m");
    expect((await scene.read()).state).toBe("active");
    expect(hook.secret).toBe(made?.secret);
  });
});

describe("the new key", () => {
  it.each(["api_key", "new_api_key", "both"] as const)("is taken from %s", async (answersWith) => {
    const account = await beginOperator();
    account.fake.answersWith = answersWith;
    const { id } = await account.scene.rotate();
    await runFor(account, "10m");
    expect(await account.scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(account.fake.holderOf(account.hook.secret)).toBeDefined();
  });

  it("is not the old one that the answer repeats", async () => {
    const account = await beginOperator();
    account.fake.answersWith = "echo";
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    expect(await account.scene.rotation(id)).toMatchObject({
      step: "settle",
      problem: "lightningfaucet.com answered 200 without a new key",
    });
  });
});

describe("the cooldown", () => {
  it.each(["iso", "seconds", "nonsense", "not"] as const)(
    "is kept, told as %s: 60 minutes for an operator, 30 for an agent",
    async (tellsCooldown) => {
      for (const [begin, minutes] of [
        [beginOperator, 60],
        [beginAgent, 30],
      ] as const) {
        const account = await begin();
        account.fake.tellsCooldown = tellsCooldown;
        const from = Date.now();
        await account.scene.rotate();
        await quiet(account.scene);
        const lasts = at(await cooldownOf(account)) - from;
        expect(Math.abs(lasts - minutes * 60_000)).toBeLessThan(2_000);
      }
    },
  );

  it("holds up the schedule, and nobody rotates by hand while it runs", async () => {
    const account = await beginOperator({ maxAge: "40m", allowDowntime: true });
    const { fake, scene } = account;
    await runFor(account, "31m");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(1);
    const until = await cooldownOf(account);
    expect((await scene.read()).nextRotationAt).toBe(until);
    for (const minutes of [41, 15]) {
      await runFor(account, `${minutes}m`);
      await cron();
      await quiet(scene);
      expect(await scene.rotations()).toHaveLength(1);
    }
    const byHand = await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    expect(byHand).toMatchObject({ status: 409, body: { code: "cooldown", retryAt: until } });
    await runFor(account, "5m");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(2);
    expect(fake.madeInCooldown).toBe(0);
  });
});

describe("an agent's key", () => {
  it("needs a connection with its operator's", async () => {
    const fake = new FakeLightningFaucet();
    const account = await openAccount(fake, {
      key: { fields: { secret: fake.agent().secret }, config: { agentId: AGENT_ID } },
    });
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    expect(await account.scene.rotation(id)).toMatchObject({
      state: "blocked",
      problem: "an agent's key needs a connection with the key of its operator",
    });
  });

  it("cannot open a connection", async () => {
    const fake = new FakeLightningFaucet();
    serve(fake);
    const scene = await makeScene();
    const { secret } = fake.agent();
    const answer = await scene.keyring.call("POST", "/v1/connections", {
      body: { name: "account", provider: "lightningfaucet", credential: { secret } },
    });
    expect(answer).toMatchObject({
      status: 409,
      body: { code: "connection-rejected", detail: "the key is not one of an operator, but of an agent" },
    });
  });

  it("that is another agent's than `agentId` says is not rotated", async () => {
    const fake = new FakeLightningFaucet();
    const account = await openAccount(fake, {
      connection: { credential: { secret: fake.operator(true).secret } },
      key: { fields: { secret: fake.agent(43).secret }, config: { agentId: AGENT_ID } },
    });
    const { id } = await account.scene.rotate();
    await quiet(account.scene);
    expect(await account.scene.rotation(id)).toMatchObject({
      state: "blocked",
      problem: "the present value is the key of another agent than `agentId` says",
    });
    expect(callsOf(account)).not.toContain("mint 200");
  });

  it.each([0, -1, 1.5, "42"])("is named by a positive whole number, not %j", async (agentId) => {
    const fake = new FakeLightningFaucet();
    const scene = await makeScene();
    const { secret } = fake.agent();
    const answer = await scene.keyring.call("POST", "/v1/keys", {
      body: { name: "agent", provider: "lightningfaucet", config: { agentId }, fields: { secret } },
    });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ path: "config.agentId" }] } });
  });
});

describe("an operator's key that is rotated here and opens the connection of its agent's", () => {
  /** The key `billing` is the agent's, `operator` its operator's. */
  async function beginBoth() {
    const fake = new FakeLightningFaucet();
    serve(fake);
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const provider = fake.name;
    await scene.must("POST", "/v1/keys", {
      name: "operator",
      provider,
      fields: { secret: fake.operator().secret },
      destinations: [{ id: "hook", as: "operator" }],
    });
    await scene.must("POST", "/v1/connections", {
      name: "account",
      provider,
      credential: { key: "operator" },
    });
    await scene.must("POST", "/v1/keys", {
      name: "billing",
      provider,
      connection: "account",
      config: { agentId: AGENT_ID },
      fields: { secret: fake.agent().secret },
      destinations: [{ id: "hook" }],
    });
    await quiet(scene);
    return { fake, scene, hook };
  }

  it("is used with its new value at once", async () => {
    const account = await beginBoth();
    const { fake, scene } = account;
    const { id: first } = await scene.rotate("operator");
    await quiet(scene);
    expect(await scene.rotation(first)).toMatchObject({ state: "succeeded" });
    const { id: second } = await scene.rotate();
    await runFor(account, "10m");
    expect(await scene.rotation(second)).toMatchObject({ state: "succeeded", problem: null });
    const [, asker] = fake.askedBy;
    expect(fake.live().find(({ reference }) => reference === asker)?.label).toBe("operator 7");
  });

  it("and the agent's, started together, end both well, whoever comes first", async () => {
    for (const order of [
      ["operator", "billing"],
      ["billing", "operator"],
    ]) {
      const account = await beginBoth();
      const started = await Promise.all(order.map((key) => account.scene.rotate(key)));
      await runFor(account, "1h");
      for (const { id } of started)
        expect(await account.scene.rotation(id)).toMatchObject({ state: "succeeded", problem: null });
      expect(account.fake.live()).toHaveLength(2);
    }
  });

  it("waits while the agent's rotation is in doubt, as that may need it still", async () => {
    const account = await beginBoth();
    const { fake, scene } = account;
    fake.fail("mint", "cut-before");
    const { id: agents } = await scene.rotate();
    await quiet(scene);
    const { id: operators } = await scene.rotate("operator");
    await quiet(scene);
    expect(await scene.rotation(operators)).toMatchObject({ step: "preflight", state: "blocked" });
    await runFor(account, "1h");
    for (const id of [agents, operators])
      expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
  });
});

it("waits no longer than the schedule's own time when the cooldown is over before", async () => {
  const account = await beginOperator({ maxAge: "2h", allowDowntime: true });
  await account.scene.rotate();
  await quiet(account.scene);
  const { versions, nextRotationAt } = await account.scene.read();
  const issuedAt = at(versions.at(-1)?.issuedAt);
  expect(at(nextRotationAt) - issuedAt).toBe(parseDuration("2h"));
});
