/**
 * Random runs: several faults at once, people acting at any moment, the object evicted and killed, destinations going down. A
 * failing run prints its seed and shrinks to the fewest steps that break a promise.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { beginRotation } from "../../src/keyring/operations/rotations.ts";
import type { Policy, RevokeCondition } from "../../src/store/keys.ts";
import {
  type Act,
  actsOf,
  changeAdmin,
  HOLDS,
  handIn,
  handInWrong,
  INTERRUPTIONS,
  INTERVENTIONS,
  USES,
} from "./people.ts";
import {
  DAY_MS,
  findBroken,
  givePolicy,
  HONEST,
  HOUR_MS,
  KEY,
  KINDS,
  open,
  ROOT,
  type Run,
} from "./scene.ts";
import { type Abilities, PERSON } from "./service.ts";
import { FAULTS, type Fault } from "./simulator.ts";

const RUNS = Number(process.env.SIM_RUNS ?? 2_000);
/** To repeat what went wrong. Without a number of runs they are always the same ones; `npm run sim` goes on from new seeds. */
const SEED = process.env.SIM_SEED ?? (process.env.SIM_RUNS === undefined ? "2" : undefined);
/** With the seed: one run alone, as its failure named it. */
const PATH = process.env.SIM_PATH;
const TRIGGER = "a second trigger";
const SECOND_MS = 1_000;

const DEEDS = actsOf({ ...INTERRUPTIONS, ...INTERVENTIONS, ...HOLDS });

const ACTIONS: Record<string, Act> = {
  ...DEEDS,
  ...USES,
  // A trigger is what a person may do: not of a key that is paused, lost or on its way out.
  "a second trigger": ({ simulator }, keyId) =>
    simulator.act((context) => void beginRotation(context, ROOT, keyId, { reveal: "none" })),
  handIn,
  handInWrong,
  changeCredential: (run) => changeAdmin(run, "admin-two"),
  changeAccount: (run) => changeAdmin(run, "admin-three", "other"),
  changeAccountBack: (run) => changeAdmin(run, "admin-two", "main"),
  clockBack: ({ simulator }) => {
    simulator.skewMs -= HOUR_MS;
  },
  // Each further day would only be a longer wait for cron's own time.
  clockForward: ({ simulator }) => {
    if (simulator.skewMs <= DAY_MS) simulator.skewMs += DAY_MS;
  },
  evict: ({ simulator }) => simulator.evict(),
  crash: ({ simulator }) => simulator.crash(),
  stranger: ({ service }) => void service.make(PERSON),
  lookalike: ({ simulator, service }, keyId) =>
    void service.make(PERSON, simulator.store.keys.get(keyId)?.name),
  webhookDown: ({ world }) => void world.down.add("one.acme.dev"),
  webhookRefuses: ({ world }) => void world.refusing.add("one.acme.dev"),
  kvDown: ({ world }) => void world.down.add("KEYS"),
  up,
};

function up({ world }: Run): void {
  world.down.clear();
  world.refusing.clear();
}

/** Where only the key itself can ask for its successor, another account cannot give it one, and an emergency would wait for ever. */
async function putRight(run: Run): Promise<void> {
  const { simulator, service, keyIds } = run;
  if (service.abilities.overlap !== "none" || !service.abilities.connects) return;
  let isRight = false;
  while (!isRight) {
    // It is never answered when the object dies under it.
    void changeAdmin(run, "admin-two", "main").then((isTaken) => {
      isRight ||= isTaken;
    });
    await simulator.runFor(HOUR_MS);
  }
  for (const keyId of keyIds) DEEDS["a retry"]?.(run, keyId);
}

const waits = fc.oneof(
  fc.integer({ min: 1, max: 200 }),
  fc.integer({ min: 1, max: 120 }).map((seconds) => seconds * SECOND_MS),
  fc.integer({ min: 1, max: 12 }).map((hours) => hours * HOUR_MS),
);

/** How the key's account is reached, if it takes more than its own value. */
const ACCOUNTS: Partial<Abilities>[] = [{}, { connects: true }, { connects: true, tellsAccount: true }];

/** What an old version waits for, how long, and what then. */
const holding = fc.record({
  grace: fc.constantFrom("0", "10m", "1h", "5h"),
  maxGrace: fc.constantFrom("1h", "5h", "12h"),
  revokeWhen: fc.subarray<RevokeCondition>(["delivered", "acknowledged", "newSeen", "oldIdle:90m"], {
    minLength: 1,
  }),
  onCeiling: fc.constantFrom("revoke", "hold"),
});

/** Each thing once, and some more often than others. */
const DEALT = [
  ...Array<string>(6).fill(TRIGGER),
  ...Object.keys(ACTIONS),
  ...Object.keys(USES),
  ...Object.keys(USES),
];

const scripts = fc.record({
  policy: fc.oneof(fc.constant<Policy>({ grace: "1h" }), holding),
  kind: fc.constantFrom(...HONEST),
  account: fc.constantFrom(...ACCOUNTS),
  count: fc.constantFrom(1, 1, 2),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  doubleAlarms: fc.boolean(),
  faults: fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.constantFrom(...FAULTS)), { maxLength: 8 }),
  steps: fc.array(fc.tuple(waits, fc.constantFrom(...DEALT), fc.nat(1)), { minLength: 1, maxLength: 12 }),
});

it(`keeps its promises in ${RUNS} random runs`, { timeout: 7_200_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scripts, async ({ kind, account, policy, count, seed, doubleAlarms, faults, steps }) => {
      const plan = new Map<number, Fault>();
      let call = 0;
      for (const [gap, fault] of faults) {
        call += gap;
        plan.set(call, fault);
        call += 1;
      }
      const abilities: Abilities = { overlap: "ours", ...KINDS[kind], ...account };
      const run = open(abilities, (index) => plan.get(index), seed, [], count);
      run.simulator.doubleAlarms = doubleAlarms;
      // Where the service's clock runs from the mint on, no grace at all would leave no time to deliver.
      givePolicy(run, abilities.overlap === "provider" ? { ...policy, grace: "1h" } : policy);
      for (const [wait, action, index] of steps) {
        await run.simulator.runFor(wait);
        ACTIONS[action]?.(run, run.keyIds[index % count] ?? KEY);
      }
      up(run);
      await putRight(run);
      await run.simulator.runFor(12 * DAY_MS);
      expect(findBroken(run)).toEqual([]);
    }),
    {
      numRuns: RUNS,
      ...(SEED !== undefined && { seed: Number(SEED) }),
      ...(PATH !== undefined && { path: PATH }),
    },
  );
});
