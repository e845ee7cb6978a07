/** Random people, receivers, crashes and time: whatever comes together, the promises hold after every step. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { crash, quiet, runUntil } from "../support/inside.ts";
import { cron, type Hook, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NAMES = ["red", "green", "blue"];

const hookIndex = fc.nat({ max: NAMES.length - 1 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("rotate" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cron" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("run" as const), minutes: fc.constantFrom(1, 6, 45, 400) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("receiver" as const),
      hook: hookIndex,
      mood: fc.constantFrom("up", "up", "down", "refuses", "loses", "gone", "slow-down"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("links" as const),
      required: fc.array(fc.boolean(), { minLength: NAMES.length, maxLength: NAMES.length }),
      present: fc.array(fc.boolean(), { minLength: NAMES.length, maxLength: NAMES.length }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pause" as const), paused: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("test" as const), hook: hookIndex }) },
);
const revocation = fc.record({
  kind: fc.constant("revoke" as const),
  stage: fc.constantFrom("current", "pending", "previous"),
});

type Step = typeof step | typeof revocation extends fc.Arbitrary<infer T> ? T : never;

interface Player {
  scene: Scene;
  hooks: Hook[];
  /** Since when each destination is required, or null. */
  requiredSince: (number | null)[];
}

describe("a random life of a key", () => {
  it("never leaves a required destination with a value that does not work", {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const player = await begin();
        for (const one of steps) {
          await play(player, one);
          await expectServed(player);
        }
        await expectCalmEnd(player);
        expect((await player.scene.read()).state).toBe("active");
        await expectServed(player);
      }),
      { numRuns: RUNS },
    );
  });

  it("comes to a calm end though versions are revoked at any time", { timeout: 120_000 }, async () => {
    const steps = fc.array(fc.oneof({ weight: 6, arbitrary: step }, { weight: 1, arbitrary: revocation }), {
      minLength: 5,
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const player = await begin();
        for (const one of all) await play(player, one);
        await expectCalmEnd(player);
        const { state, versions } = await player.scene.read();
        expect(state === "active").toBe(versions.some(({ stage }) => stage === "current"));
        if (state === "active") await expectServed(player);
      }),
      { numRuns: RUNS },
    );
  });
});

const RUNS = 12;

async function begin(): Promise<Player> {
  const scene = await makeScene();
  const hooks = await Promise.all(NAMES.map((name) => scene.webhook(`${scene.name}-${name}`)));
  await scene.key({
    destinations: hooks.map(({ name }) => name),
    policy: { maxAge: "5h", grace: "1h", deliverWithin: "20m" },
  });
  return { scene, hooks, requiredSince: hooks.map(() => Date.now()) };
}

async function play({ scene, hooks, requiredSince }: Player, one: Step): Promise<void> {
  switch (one.kind) {
    case "rotate":
      await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
      break;
    case "cron":
      await cron();
      break;
    case "run":
      await runUntil(scene, Date.now() + one.minutes * MINUTE);
      break;
    case "crash":
      await crash(scene);
      break;
    case "receiver":
      setMood(hooks[one.hook], one.mood);
      break;
    case "links": {
      const links = hooks
        .map(({ name }, index) => ({ id: name, required: one.required[index] ?? true, index }))
        .filter(({ index }) => one.present[index]);
      if (links.length === 0) break;
      // From here on only what arrives counts: one that is new, or newly required, was not served yet.
      pass("1s");
      const destinations = links.map(({ id, required }) => ({ id, required }));
      await scene.must("PATCH", "/v1/keys/billing", { destinations });
      for (const [index] of hooks.entries()) {
        const link = links.find((other) => other.index === index);
        requiredSince[index] = link?.required ? (requiredSince[index] ?? Date.now()) : null;
      }
      break;
    }
    case "pause":
      await scene.must("PATCH", "/v1/keys/billing", { paused: one.paused });
      break;
    case "test":
      await scene.must("POST", `/v1/destinations/${hooks[one.hook]?.name}/test`);
      break;
    case "revoke": {
      const version = (await scene.read()).versions.find(({ stage }) => stage === one.stage)?.number;
      if (version) await scene.must("POST", "/v1/keys/billing/revoke", { reason: "random", version });
    }
  }
  await quiet(scene);
}

function setMood(hook: Hook | undefined, mood: string): void {
  if (mood === "up") hook?.up();
  if (mood === "down") hook?.fail(500);
  if (mood === "refuses") hook?.refuseDeliveries();
  if (mood === "loses") hook?.loseAnswers();
  if (mood === "gone") hook?.fail(410);
  if (mood === "slow-down") hook?.fail(429, { "retry-after": "600" });
}

/** Promise 1: what a required destination holds, once it was served, works. */
async function expectServed({ scene, hooks, requiredSince }: Player): Promise<void> {
  for (const [index, hook] of hooks.entries()) {
    const since = requiredSince[index] ?? null;
    const secret = since === null ? undefined : hook.secretSince(since);
    if (secret) expect(await scene.verdict(secret), `${hook.name} holds ${hook.versions}`).toBe("valid");
  }
}

/** Everything is up again and time goes by: nothing stays live, pending or on its way out. */
async function expectCalmEnd({ scene, hooks }: Player): Promise<void> {
  for (const hook of hooks) {
    hook.up();
    await scene.must("POST", `/v1/destinations/${hook.name}/test`);
  }
  await scene.must("PATCH", "/v1/keys/billing", { paused: true });
  await runUntil(scene, Date.now() + 48 * HOUR);
  const { rotation, versions } = await scene.read();
  expect(rotation).toBeNull();
  for (const { stage } of versions) expect(["current", "revoked", "discarded"]).toContain(stage);
  expect(
    (await scene.deliveries()).filter(({ state }) => state === "pending" || state === "failing"),
  ).toEqual([]);
  expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });
}
