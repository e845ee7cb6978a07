/**
 * Random runs: several faults at once, people acting at any moment, the object evicted and killed, destinations going down. A
 * failing run prints its seed and shrinks to the fewest steps that break a promise.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { patchKey, revokeKey } from "../../src/keyring/operations/keys.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import { abandonRotation, cancelRotation, retryRotation } from "../../src/rotation/interventions.ts";
import type { OnCompromise } from "../../src/store/keys.ts";
import type { Stage } from "../../src/store/versions.ts";
import { DAY_MS, findBroken, HOUR_MS, KINDS, open, ROOT, type Run, rotate } from "./scene.ts";
import { PERSON } from "./service.ts";
import { FAULTS, type Fault } from "./simulator.ts";

const RUNS = Number(process.env.SIM_RUNS ?? 2_000);
const SECOND_MS = 1_000;

type Action = (run: Run) => void;

/** The newest version at a stage leaks. */
function leak({ simulator }: Run, stage: Stage, onCompromise: OnCompromise = "replace-first"): void {
  simulator.act((context) => {
    const key = context.store.keys.get("key_scripted");
    const version = context.store.versions.ofKey("key_scripted").findLast((one) => one.stage === stage);
    if (!key || !version) return;
    context.store.keys.update(key, { policy: { ...key.policy, onCompromise } });
    compromiseVersion(context, version, { source: "random", actor: "root" });
  });
}

const ACTIONS: Record<string, Action> = {
  rotate: ({ simulator }) =>
    simulator.act((context) => {
      const key = context.store.keys.get("key_scripted");
      if (key?.state === "active" && !context.store.rotations.live(key.id)) rotate(context);
    }),
  policy: ({ simulator }) =>
    simulator.act((context) => void patchKey(context, ROOT, "billing", { policy: { grace: "3h" } }, false)),
  pause: ({ simulator }) =>
    simulator.act((context) => void patchKey(context, ROOT, "billing", { paused: true }, false)),
  revokeNew: ({ simulator }) =>
    simulator.act((context) => {
      const fresh = context.store.versions.ofKey("key_scripted").find(({ stage }) => stage === "pending");
      if (fresh) revokeKey(context, ROOT, "billing", { reason: "random", version: fresh.number });
    }),
  cancel: ({ simulator }) =>
    simulator.act((context) => {
      const rotation = context.store.rotations.live("key_scripted");
      if (rotation) cancelRotation(context, rotation, "root");
    }),
  retry: ({ simulator }) =>
    simulator.act((context) => {
      const rotation = context.store.rotations.live("key_scripted");
      if (rotation && rotation.state !== "needs-human") retryRotation(context, rotation);
    }),
  abandon: ({ simulator }) =>
    simulator.act((context) => {
      const rotation = context.store.rotations.live("key_scripted");
      if (rotation) abandonRotation(context, rotation, "root");
    }),
  leakCurrent: (run) => leak(run, "current"),
  leakCurrentToHold: (run) => leak(run, "current", "hold"),
  leakCurrentRevokeFirst: (run) => leak(run, "current", "revoke-first"),
  leakNew: (run) => leak(run, "pending"),
  leakOld: (run) => leak(run, "previous"),
  clockBack: ({ simulator }) => {
    simulator.skewMs -= HOUR_MS;
  },
  clockForward: ({ simulator }) => {
    simulator.skewMs += DAY_MS;
  },
  evict: ({ simulator }) => simulator.evict(),
  crash: ({ simulator }) => simulator.crash(),
  stranger: ({ service }) => void service.make(PERSON),
  webhookDown: ({ world }) => void world.down.add("one.acme.dev"),
  webhookRefuses: ({ world }) => void world.refusing.add("one.acme.dev"),
  kvDown: ({ world }) => void world.down.add("KEYS"),
  up: ({ world }) => {
    world.down.clear();
    world.refusing.clear();
  },
};

const waits = fc.oneof(
  fc.integer({ min: 1, max: 200 }),
  fc.integer({ min: 1, max: 120 }).map((seconds) => seconds * SECOND_MS),
  fc.integer({ min: 1, max: 12 }).map((hours) => hours * HOUR_MS),
);

/** A service that breaks its own word about when it lists a key can hide one from any last look, so no promise covers it. */
const HONEST = Object.keys(KINDS).filter(
  (kind) => (KINDS[kind]?.listLagMs ?? 0) <= (KINDS[kind]?.propagationMs ?? 0),
);

const scripts = fc.record({
  kind: fc.constantFrom(...HONEST),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  doubleAlarms: fc.boolean(),
  faults: fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.constantFrom(...FAULTS)), { maxLength: 8 }),
  steps: fc.array(fc.tuple(waits, fc.constantFrom("rotate", "rotate", ...Object.keys(ACTIONS))), {
    minLength: 1,
    maxLength: 10,
  }),
});

it(`keeps its promises in ${RUNS} random runs`, { timeout: 3_600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scripts, async ({ kind, seed, doubleAlarms, faults, steps }) => {
      const plan = new Map<number, Fault>();
      let call = 0;
      for (const [gap, fault] of faults) {
        call += gap;
        plan.set(call, fault);
        call += 1;
      }
      const run = open(KINDS[kind] ?? { overlap: "ours" }, (index) => plan.get(index), seed);
      run.simulator.doubleAlarms = doubleAlarms;
      for (const [wait, action] of steps) {
        await run.simulator.runFor(wait);
        ACTIONS[action]?.(run);
      }
      ACTIONS.up?.(run);
      await run.simulator.runFor(12 * DAY_MS);
      expect(findBroken(run)).toEqual([]);
    }),
    { numRuns: RUNS },
  );
});
