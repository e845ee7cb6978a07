/**
 * Promise 7 where the history is pruned: whatever becomes of the calls to the registry and of the process around them, what is kept
 * proves itself and reaches its anchor, nothing goes before its time, and no subscriber passes what it was not told, unless it has not
 * answered for as long as events are kept.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasReached } from "../../src/events/chain.ts";
import { isWanted } from "../../src/events/filter.ts";
import { createKey } from "../../src/keyring/operations/create-key.ts";
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import { createSubscription } from "../../src/keyring/operations/subscriptions.ts";
import { startRotation } from "../../src/rotation/changes.ts";
import { planPruning } from "../../src/rotation/pruning.ts";
import type { EventRow } from "../../src/store/events.ts";
import { chainHolds, queueAgrees } from "./promises.ts";
import { Receivers } from "./receivers.ts";
import { FAULTS, type Fault, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

const ROOT = { id: "root", scopes: "all" } as const;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const KEPT_MS = HOUR_MS;
const ROUNDS = 3;
const RUNS = Number(process.env.SIM_RUNS ?? 2_000) / 40;

interface Run {
  simulator: Simulator;
  receivers: Receivers;
  /** All that ever happened, by number. */
  all: Map<number, EventRow>;
  /** The highest number that was pruned before the subscriber was told. */
  missed: number;
}

/** What becomes of the n-th call, and what happens beside it. */
type Script = (index: number, run: Run) => Fault | undefined;

function open(script: Script, seed = 1): Run {
  const world = new World();
  const receivers = new Receivers(["ops"]);
  const simulator: Simulator = new Simulator({
    plan: (index) => script(index, run),
    seed,
    outbound: (sim) => receivers.join(world.outbound(sim), sim),
    inspect: (sim) => [...chainHolds(sim), ...queueAgrees(sim), ...anchored(sim), ...keptOrTold(run)],
  });
  const run: Run = { simulator, receivers, all: new Map(), missed: 0 };
  simulator.act((context) => {
    context.store.settings.setEventRetention("1h");
    unwrap(createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } }));
    const url = "https://ops.acme.dev/";
    unwrap(
      createSubscription(context, ROOT, {
        name: "ops",
        url,
        format: "standard",
        types: ["key.*"],
        labels: {},
      }),
    );
  });
  simulator.act((context) =>
    unwrap(
      createKey(context, ROOT, {
        name: "billing",
        provider: "issuer",
        scopes: [],
        labels: {},
        policy: { grace: "10m" },
        destinations: [{ id: "kv", required: true, mustAcknowledge: false }],
      }),
    ),
  );
  return run;
}

function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

function anchored({ anchor, store }: Simulator): string[] {
  return anchor.seq === 0 || hasReached(store, anchor) ? [] : [`promise 7: its anchor ${anchor.seq} is gone`];
}

/** What is gone was past its time, and the subscriber was told it or is said to have missed it. */
function keptOrTold(run: Run): string[] {
  const { simulator, receivers, all } = run;
  const { store, now } = simulator;
  for (const row of store.events.after(Math.max(0, ...all.keys()), 10_000)) all.set(row.seq, row);
  const [ops] = store.subscriptions.list("", 1);
  if (!ops) return [];
  run.missed = Math.max(run.missed, ops.missedSeq);
  const start = store.settings.historyStart()?.seq ?? 0;
  const got = new Set(receivers.of("ops").map(({ seq }) => seq));
  const untold = [...all.values()].filter(
    ({ seq }) => seq > run.missed && seq <= Math.max(start, ops.sentSeq) && !got.has(seq),
  );
  return [
    ...[...all.values()]
      .filter(({ seq, at }) => seq <= start && at > now - KEPT_MS)
      .map(({ seq }) => `promise 7: ${seq} went before its time`),
    ...untold
      .filter((event) => event.seq > madeAt(all) && isWanted(ops, event))
      .map(({ seq }) => `promise 6: ops was not told ${seq}`),
  ];
}

function madeAt(all: Map<number, EventRow>): number {
  return [...all.values()].find(({ type }) => type === "subscription.created")?.seq ?? Infinity;
}

function visit({ simulator }: Run): void {
  simulator.act((context) => planPruning(context));
}

function rotate({ simulator }: Run): void {
  simulator.act((context) => {
    const key = context.store.keys.byName("billing");
    if (!key || context.store.rotations.live(key.id)) return;
    startRotation(context, key, { trigger: "manual", reason: null, requestedBy: "root", grace: null });
  });
}

/** Rotations, an hour apart, and cron's visits. */
async function live(run: Run, rounds = ROUNDS): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    rotate(run);
    await run.simulator.runFor(50 * MINUTE_MS);
    visit(run);
    await run.simulator.runFor(10 * MINUTE_MS);
  }
}

/** Says what is wrong once nothing stands in the way any more. */
async function findBroken(run: Run, restMs = 8 * HOUR_MS): Promise<string[]> {
  const { simulator, receivers } = run;
  receivers.down.clear();
  await simulator.runFor(restMs);
  visit(run);
  await simulator.runFor(HOUR_MS + MINUTE_MS);
  const rows = simulator.store.events.after(0, 10_000);
  // The newest stays whatever its age.
  const old = rows.slice(0, -1).filter(({ at }) => at < simulator.now - KEPT_MS - 2 * HOUR_MS);
  return [
    ...simulator.bugs.map((bug) => `bug: ${bug instanceof Error ? bug.stack : String(bug)}`),
    ...new Set(simulator.broken),
    ...(simulator.store.settings.historyStart() ? [] : ["nothing was pruned"]),
    ...old.map(({ seq }) => `${seq} is past its time and still there`),
  ];
}

const INTERRUPTIONS: Record<string, (run: Run) => void> = {
  "a visit": visit,
  "a rotation": rotate,
  "an eviction": ({ simulator }) => simulator.evict(),
  "a crash": ({ simulator }) => simulator.crash(),
};

/** The calls of a life in which nothing goes wrong, from the first that pruning makes: what comes before is no business of this test. */
async function callsOf(): Promise<{ first: number; names: readonly string[] }> {
  const calm = open(() => undefined);
  await live(calm);
  const names = calm.simulator.calls;
  return { first: names.findIndex((name) => name.startsWith("registry")), names };
}

describe("a history that is pruned", () => {
  it("keeps what is not past its time, and what nobody was told yet", async () => {
    const run = open(() => undefined);
    await live(run);
    const calls = run.simulator.calls.filter((name) => name.startsWith("registry"));
    expect(calls).toContain("registry anchor");
    expect(run.simulator.store.settings.historyStart()?.seq).toBeGreaterThan(3);
    expect(await findBroken(run)).toEqual([]);
    expect(run.missed).toBe(0);
  });

  it.each(FAULTS)("holds under %s at each call", async (fault) => {
    const { first, names } = await callsOf();
    const broken: string[] = [];
    for (let at = first; at < names.length; at++) {
      const run = open((index) => (index === at ? fault : undefined));
      run.simulator.doubleAlarms = at % 2 === 1;
      await live(run);
      const found = await findBroken(run);
      broken.push(...found.map((text) => `${fault} at ${at} (${names[at]}): ${text}`));
    }
    expect(broken).toEqual([]);
  });

  it.each(Object.entries(INTERRUPTIONS))("holds when %s comes at each call", async (name, act) => {
    const { first, names } = await callsOf();
    const broken: string[] = [];
    for (let at = first; at < names.length; at++) {
      const run = open((index, self) => {
        if (index === at) self.simulator.after(25, () => act(self));
        return undefined;
      });
      await live(run);
      const found = await findBroken(run);
      broken.push(...found.map((text) => `${name} at ${at} (${names[at]}): ${text}`));
    }
    expect(broken).toEqual([]);
  });

  it("waits for a subscriber until that has not answered for as long, and says from where it missed some", async () => {
    const run = open(() => undefined);
    const { simulator, receivers } = run;
    await live(run, 1);
    receivers.down.add("ops");
    await live(run);
    const ops = () => simulator.store.subscriptions.find("ops");
    expect(ops()).toMatchObject({ state: "ready", missedSeq: 0 });
    const untold = ops()?.sentSeq ?? 0;
    expect(simulator.store.settings.historyStart()?.seq).toBeLessThanOrEqual(untold);
    await simulator.runFor(90 * HOUR_MS);
    expect(ops()).toMatchObject({ state: "failing", missedSeq: 0 });
    await live(run);
    expect(ops()?.missedSeq).toBeGreaterThan(untold);
    const said = [...run.all.values()].filter(({ type }) => type === "subscription.missed");
    expect(said.map(({ data }) => JSON.parse(data).fromSeq)).toEqual([untold + 1]);
    expect(await findBroken(run, 2 * 24 * HOUR_MS)).toEqual([]);
    expect(ops()).toMatchObject({ state: "ready", missedSeq: 0, dueAt: null });
  });
});

const steps = fc.array(
  fc.tuple(
    fc.oneof(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 300 }).map((minutes) => minutes * MINUTE_MS),
      fc.constantFrom(6, 100).map((hours) => hours * HOUR_MS),
    ),
    fc.constantFrom("up", "down", ...Object.keys(INTERRUPTIONS)),
  ),
  { minLength: 4, maxLength: 10 },
);
const faults = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.constantFrom(...FAULTS)), {
  maxLength: 15,
});

it(`a pruned history holds in ${RUNS} random runs`, { timeout: 3_600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({ seed: fc.integer({ min: 1, max: 1_000_000 }), doubleAlarms: fc.boolean(), faults, steps }),
      async (script) => {
        const plan = new Map<number, Fault>();
        let call = 0;
        for (const [gap, fault] of script.faults) {
          call += gap;
          plan.set(call, fault);
          call += 1;
        }
        const run = open((index) => plan.get(index), script.seed);
        run.simulator.doubleAlarms = script.doubleAlarms;
        for (const [wait, action] of script.steps) {
          await run.simulator.runFor(wait);
          if (action === "down") run.receivers.down.add("ops");
          else if (action === "up") run.receivers.down.clear();
          else INTERRUPTIONS[action]?.(run);
        }
        expect(await findBroken(run, 5 * 24 * HOUR_MS)).toEqual([]);
      },
    ),
    { numRuns: RUNS },
  );
});
