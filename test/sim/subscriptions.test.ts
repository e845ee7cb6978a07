/**
 * Promise 6: every event reaches each subscriber at least once or is visibly failed, whatever becomes of the calls to it and of the
 * process around them. After every commit no cursor has passed an event that its receiver never got.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isWanted } from "../../src/events/filter.ts";
import { createKey } from "../../src/keyring/operations/create-key.ts";
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import { patchKey } from "../../src/keyring/operations/keys.ts";
import {
  createSubscription,
  patchSubscription,
  replaySubscription,
} from "../../src/keyring/operations/subscriptions.ts";
import { startRotation } from "../../src/rotation/changes.ts";
import type { EventRow } from "../../src/store/events.ts";
import type { SubscriptionRow } from "../../src/store/subscriptions.ts";
import { chainHolds, queueAgrees } from "./promises.ts";
import { Receivers } from "./receivers.ts";
import { FAULTS, type Fault, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

const ROOT = { id: "root", scopes: "all" } as const;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const RUNS = Number(process.env.SIM_RUNS ?? 2_000) / 20;

/** Name of each subscription, which is the first part of its host, and what it asks for. */
const SUBSCRIBERS = {
  everything: { types: [], labels: {} },
  keys: { types: ["key.*"], labels: { team: "payments" } },
} satisfies Record<string, { types: string[]; labels: Record<string, string> }>;

interface Run {
  simulator: Simulator;
  receivers: Receivers;
}

/** What becomes of the n-th call, and what happens beside it. */
type Script = (index: number, run: Run) => Fault | undefined;

function open(script: Script, seed = 1): Run {
  const world = new World();
  const receivers = new Receivers(Object.keys(SUBSCRIBERS));
  const simulator: Simulator = new Simulator({
    plan: (index) => script(index, { simulator, receivers }),
    seed,
    outbound: (sim) => receivers.join(world.outbound(sim), sim),
    inspect: (sim) => [...queueAgrees(sim), ...toldWhatItPassed(sim, receivers)],
  });
  simulator.act((context) => {
    unwrap(createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } }));
    for (const [name, filter] of Object.entries(SUBSCRIBERS)) {
      const url = `https://${name}.acme.dev/`;
      unwrap(createSubscription(context, ROOT, { name, url, format: "standard", ...filter }));
    }
  });
  simulator.act((context) => {
    for (const [name, labels] of [
      ["billing", { team: "payments" }],
      ["other", {}],
    ] as const) {
      unwrap(
        createKey(context, ROOT, {
          name,
          provider: "issuer",
          scopes: [],
          labels,
          policy: { grace: "1h" },
          destinations: [{ id: "kv", required: true, mustAcknowledge: false }],
        }),
      );
    }
  });
  return { simulator, receivers };
}

function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

/** Events of the history that a subscription asked for, since it was made, without those that were given up for it. */
function wantedBy({ store }: Simulator, row: SubscriptionRow): EventRow[] {
  const events = store.events.after(0, 100_000);
  const made = events.find(({ type, data }) => type === "subscription.created" && data.includes(row.id));
  return events.filter((event) => {
    const key = event.keyId === null ? undefined : store.keys.get(event.keyId);
    const isLater = event.seq > (made?.seq ?? 0);
    return isLater && isWanted(row, event, key?.labels) && !row.skipped.includes(event.seq);
  });
}

/** A cursor never passes an event that its receiver did not get, and an idle subscription was told everything. */
function toldWhatItPassed(simulator: Simulator, receivers: Receivers): string[] {
  return simulator.store.subscriptions.list("", 100).flatMap((row) => {
    const got = new Set(receivers.of(row.name).map(({ id }) => id));
    const isIdle = row.dueAt === null && row.state !== "disabled";
    return wantedBy(simulator, row)
      .filter(({ seq, id }) => (isIdle || seq <= row.sentSeq) && !got.has(id))
      .map(({ seq, type }) => `promise 6: ${row.name} was not told ${type} (${seq})`);
  });
}

/** Says what is wrong at the end, when nothing stands in the way any more. */
function findBroken({ simulator, receivers }: Run): string[] {
  const rows = simulator.store.subscriptions.list("", 100);
  return [
    ...simulator.bugs.map((bug) => `bug: ${bug instanceof Error ? bug.stack : String(bug)}`),
    ...new Set(simulator.broken),
    ...chainHolds(simulator),
    ...receivers.early.map((name) => `${name} was sent an event before it had answered a ping`),
    ...rows.flatMap((row) => {
      const isWell = row.state === "ready" || row.state === "unproven";
      if (!isWell || row.dueAt !== null) return [`${row.name} is ${row.state} and not at rest`];
      // A receiver that deduplicates on the id and orders by the number ends with the whole list.
      const heard = new Map(receivers.of(row.name).map(({ id, seq }) => [id, seq]));
      const got = [...heard].sort(([, a], [, b]) => a - b);
      const wanted = wantedBy(simulator, row).map(({ id, seq }) => [id, seq]);
      const kept = got.filter(([, seq]) => !row.skipped.includes(seq));
      return JSON.stringify(kept) === JSON.stringify(wanted)
        ? []
        : [`${row.name} has ${JSON.stringify(kept)}, not ${JSON.stringify(wanted)}`];
    }),
  ];
}

/** Two rotations and a change, with all their events. */
async function live({ simulator }: Run): Promise<void> {
  await simulator.runFor(10 * MINUTE_MS);
  for (const name of ["billing", "other"]) {
    simulator.act((context) => {
      const key = context.store.keys.byName(name);
      if (key)
        startRotation(context, key, { trigger: "manual", reason: null, requestedBy: "root", grace: null });
    });
  }
  await simulator.runFor(90 * MINUTE_MS);
  simulator.act((context) => void patchKey(context, ROOT, "billing", { paused: true }, false));
  await simulator.runFor(90 * MINUTE_MS);
}

/** Things that happen at any call. */
const INTERRUPTIONS: Record<string, (run: Run) => void> = {
  "a replay of all": ({ simulator }) =>
    simulator.act((context) => {
      for (const name of Object.keys(SUBSCRIBERS)) {
        const { id } = context.store.subscriptions.find(name) ?? {};
        const made = context.store.events
          .after(0, 100)
          .find(({ type, data }) => type === "subscription.created" && data.includes(String(id)));
        unwrap(replaySubscription(context, ROOT, name, { seq: (made?.seq ?? 0) + 1 }));
      }
    }),
  "a new secret": ({ simulator }) =>
    simulator.act((context) => void unwrap(patchSubscription(context, ROOT, "keys", { rotateSecret: true }))),
  "another address": ({ simulator }) =>
    simulator.act((context) => {
      unwrap(patchSubscription(context, ROOT, "everything", { url: "https://everything.acme.dev/new" }));
    }),
  "an event": ({ simulator }) =>
    simulator.act(
      (context) => void patchKey(context, ROOT, "billing", { labels: { team: "payments" } }, false),
    ),
  "an eviction": ({ simulator }) => simulator.evict(),
  "a crash": ({ simulator }) => simulator.crash(),
};

describe("subscribers", () => {
  it("are told every event that they asked for, in order, once when nothing goes wrong", async () => {
    const run = open(() => undefined);
    await live(run);
    expect(findBroken(run)).toEqual([]);
    for (const name of Object.keys(SUBSCRIBERS)) {
      const seqs = run.receivers.of(name).map(({ seq }) => seq);
      expect(seqs.length).toBeGreaterThan(4);
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    }
    expect(run.receivers.of("keys").length).toBeLessThan(run.receivers.of("everything").length / 2);
  });

  it.each(FAULTS)("are told every event under %s at each call", async (fault) => {
    const calm = open(() => undefined);
    await live(calm);
    const broken: string[] = [];
    for (let at = 0; at < calm.simulator.calls.length; at++) {
      const run = open((index) => (index === at ? fault : undefined));
      run.simulator.doubleAlarms = at % 2 === 1;
      await live(run);
      const found = findBroken(run);
      broken.push(...found.map((text) => `${fault} at ${at} (${calm.simulator.calls[at]}): ${text}`));
    }
    expect(broken).toEqual([]);
  });

  it.each(Object.entries(INTERRUPTIONS))(
    "are told every event when %s comes at each call",
    async (name, act) => {
      const calm = open(() => undefined);
      await live(calm);
      const broken: string[] = [];
      for (let at = 0; at < calm.simulator.calls.length; at++) {
        const run = open((index, self) => {
          if (index === at) self.simulator.after(25, () => act(self));
          return undefined;
        });
        await live(run);
        const found = findBroken(run);
        broken.push(...found.map((text) => `${name} at ${at} (${calm.simulator.calls[at]}): ${text}`));
      }
      expect(broken).toEqual([]);
    },
  );

  it("that one of them is dead for a week delays no other, and it is told all when it is back", async () => {
    const run = open(() => undefined);
    const { simulator, receivers } = run;
    await simulator.runFor(MINUTE_MS);
    receivers.down.add("everything");
    await live(run);
    const keys = simulator.store.subscriptions.find("keys");
    expect(keys && wantedBy(simulator, keys).map(({ seq }) => seq)).toEqual(
      receivers.of("keys").map(({ seq }) => seq),
    );
    await simulator.runFor(7 * DAY_MS);
    expect(simulator.store.subscriptions.find("everything")?.state).toBe("failing");
    receivers.down.clear();
    await simulator.runFor(2 * DAY_MS);
    expect(findBroken(run)).toEqual([]);
  });
});

const steps = fc.array(
  fc.tuple(
    fc.oneof(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 60 }).map((minutes) => minutes * MINUTE_MS),
      fc.integer({ min: 1, max: 5 }).map((days) => days * DAY_MS),
    ),
    fc.constantFrom("rotate", "down", "up", ...Object.keys(INTERRUPTIONS)),
  ),
  { minLength: 1, maxLength: 10 },
);
const faults = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(...FAULTS)), {
  maxLength: 30,
});

it(`subscribers are told every event in ${RUNS} random runs`, { timeout: 3_600_000 }, async () => {
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
          if (action === "down") run.receivers.down.add("everything");
          else if (action === "up") run.receivers.down.clear();
          else if (action === "rotate") rotate(run);
          else INTERRUPTIONS[action]?.(run);
        }
        run.receivers.down.clear();
        await run.simulator.runFor(10 * DAY_MS);
        expect(findBroken(run)).toEqual([]);
      },
    ),
    { numRuns: RUNS },
  );
});

function rotate({ simulator }: Run): void {
  simulator.act((context) => {
    const key = context.store.keys.byName("billing");
    if (!key || context.store.rotations.live(key.id)) return;
    startRotation(context, key, { trigger: "manual", reason: null, requestedBy: "root", grace: null });
  });
}
