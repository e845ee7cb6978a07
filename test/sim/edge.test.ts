/**
 * The one writer of a record at the edge, under every fault at each of its writes: lost, late, doubled, died around. In the end each
 * record says what the database says, and no name is ever written twice within a second.
 */
import { describe, expect, it } from "vitest";
import { parseRecord, recordNameOf } from "../../src/issuer/edge-record.ts";
import { judge } from "../../src/issuer/judge.ts";
import { createKey } from "../../src/keyring/operations/create-key.ts";
import { patchKey, revokeKey } from "../../src/keyring/operations/keys.ts";
import type { RecordToWrite } from "../../src/outbound/records.ts";
import { startRotation } from "../../src/rotation/changes.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import { queueAgrees } from "./promises.ts";
import { FAULTS, type Fault, type Plan, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

const ROOT = { id: "root", scopes: "all" } as const;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const PUT = "EDGE put";

interface Run {
  simulator: Simulator;
  /** What KV holds: the last write wins, whenever it lands. */
  stored: Map<string, string>;
  /** When each write was sent, by name. */
  sent: { name: string; at: number }[];
}

function open(plan: Plan, isDoubled = false): Run {
  const stored = new Map<string, string>();
  const sent: Run["sent"] = [];
  const put = (name: string, record: RecordToWrite | null) => {
    if (record) stored.set(name, record.text);
    else stored.delete(name);
  };
  const simulator: Simulator = new Simulator({
    plan,
    outbound: new World().outbound,
    records: (sim) => ({
      async write(name, record) {
        sent.push({ name, at: sim.now });
        if (isDoubled) sim.after(10, () => put(name, record));
        const reply = await sim.outside(PUT, () => put(name, record));
        // A binding answers or throws: a garbled answer does not exist.
        return reply.kind === "answered" || reply.kind === "garbage";
      },
    }),
    inspect: (sim) => queueAgrees(sim),
  });
  simulator.act((context) => {
    const made = createKey(context, ROOT, {
      name: "billing",
      provider: "issuer",
      scopes: ["read"],
      labels: {},
      policy: { grace: "1h", cooldown: "10m" },
      verification: { edge: true },
      destinations: [],
    });
    if (!made.ok) throw new Error(JSON.stringify(made.error));
  });
  return { simulator, stored, sent };
}

function rotate(context: EngineContext): void {
  const key = context.store.keys.byName("billing");
  if (!key) throw new Error("no key");
  startRotation(context, key, { trigger: "manual", reason: null, requestedBy: "root", grace: null });
}

const revokeCurrent = (context: EngineContext) => {
  const key = context.store.keys.byName("billing");
  const version = key && context.store.versions.current(key.id)?.number;
  if (version !== undefined) revokeKey(context, ROOT, "billing", { reason: "a test", version });
};

const revokeAll = (context: EngineContext) => void revokeKey(context, ROOT, "billing", { reason: "a test" });
const close = (context: EngineContext) =>
  void patchKey(context, ROOT, "billing", { verification: { edge: false } }, false);

/** Where records and database differ, in words. */
function findDifferences({ simulator, stored }: Run): string[] {
  const { store, now } = simulator;
  const { identity } = simulator.context;
  return store.keys.list({}, "", 10).flatMap((key) =>
    store.versions.ofKey(key.id).flatMap((version) => {
      const text = stored.get(recordNameOf(identity.code, version.id));
      const record = text === undefined ? undefined : parseRecord(text);
      const inDatabase = key.verification.edge ? judge(version, key, now) : "no record";
      const atEdge = record ? judge(record, record, now) : "no record";
      const problems = [];
      if (inDatabase !== atEdge)
        problems.push(`version ${version.number} is ${inDatabase}, at the edge ${atEdge}`);
      if (record && record.graceEndsAt !== version.graceEndsAt) problems.push("another deadline");
      if (record && atEdge === "valid" && record.cooldownUntil !== key.cooldownUntil)
        problems.push("another cooldown");
      return problems;
    }),
  );
}

function expectAgreement(run: Run): void {
  expect(run.simulator.bugs).toEqual([]);
  expect([...new Set(run.simulator.broken)]).toEqual([]);
  expect(findDifferences(run)).toEqual([]);
  for (const [n, { name, at }] of run.sent.entries()) {
    const before = run.sent.slice(0, n).filter((one) => one.name === name);
    for (const one of before) expect(at - one.at).toBeGreaterThanOrEqual(1_000);
  }
}

/** Something happens to the first write. */
function failFirst(fault: Fault | undefined): Plan {
  let writes = 0;
  return (_, name) => {
    if (name === PUT) writes += 1;
    return name === PUT && writes === 1 ? fault : undefined;
  };
}

/** Everything that changes a record, some of it while a write is on its way. */
async function live({ simulator }: Run): Promise<void> {
  await simulator.runFor(5);
  simulator.act(rotate);
  await simulator.runFor(30 * 60_000);
  simulator.act(rotate);
  await simulator.runFor(10);
  simulator.act(revokeCurrent);
  await simulator.runFor(2 * HOUR_MS);
}

describe("the record of each version", () => {
  it("is written when it is made, when its grace begins and when it ends", async () => {
    const run = open(() => undefined);
    await run.simulator.runFor(DAY_MS);
    expectAgreement(run);
    expect(run.sent).toHaveLength(1);
    run.simulator.act(rotate);
    await run.simulator.runFor(DAY_MS);
    expectAgreement(run);
    const [first = "", second = ""] = new Set(run.sent.map(({ name }) => name));
    const writes = (of: string) => run.sent.filter(({ name }) => name === of).length;
    expect([writes(first), writes(second)]).toEqual([3, 2]);
  });

  it("is written again every fifteen days while it is valid, and never after its end", async () => {
    const run = open(() => undefined);
    await run.simulator.runFor(46 * DAY_MS);
    expect(run.sent).toHaveLength(4);
    run.simulator.act(revokeAll);
    await run.simulator.runFor(60 * DAY_MS);
    expect(run.sent).toHaveLength(5);
    expectAgreement(run);
  });

  it.each(FAULTS)("agrees with the database after %s at each write", async (fault) => {
    const calm = open(() => undefined);
    await live(calm);
    expectAgreement(calm);
    const writes = calm.simulator.calls.flatMap((name, index) => (name === PUT ? [index] : []));
    expect(writes.length).toBeGreaterThan(4);
    for (const at of writes) {
      const run = open((index) => (index === at ? fault : undefined));
      await live(run);
      expectAgreement(run);
    }
  });

  it.each(FAULTS)("agrees after %s at every second write, with every alarm twice", async (fault) => {
    for (const odd of [0, 1]) {
      let writes = 0;
      const run = open((_, name): Fault | undefined => {
        if (name !== PUT) return undefined;
        writes += 1;
        return writes % 2 === odd && writes < 20 ? fault : undefined;
      }, true);
      run.simulator.doubleAlarms = true;
      await live(run);
      expectAgreement(run);
    }
  });

  it.each(["answer-lost-lands-late", "timeout-took-effect", "crash-after"] as const)(
    "is revoked in the end although %s let an older one land last",
    async (fault) => {
      const run = open(failFirst(fault));
      await run.simulator.runFor(10);
      run.simulator.act(revokeAll);
      await run.simulator.runFor(2 * 60_000);
      expectAgreement(run);
      expect([...run.stored.values()].map((text) => parseRecord(text)?.stage)).toEqual(["revoked"]);
    },
  );

  it("is gone in the end when the option was taken away while it was written", async () => {
    for (const fault of [undefined, ...FAULTS]) {
      const run = open(failFirst(fault));
      await run.simulator.runFor(10);
      run.simulator.act(close);
      await run.simulator.runFor(5 * 60_000);
      expectAgreement(run);
      expect([...run.stored.keys()]).toEqual([]);
    }
  });
});
