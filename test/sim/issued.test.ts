/**
 * Issued keys under every fault at every call: whatever fails, loses its answer or dies around it, every promise holds after
 * each commit, and in the end the rotation is over and the old value dead.
 */
import { describe, expect, it } from "vitest";
import { createKey } from "../../src/keyring/operations/create-key.ts";
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import { startRotation } from "../../src/rotation/changes.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import type { KeyRow } from "../../src/store/keys.ts";
import { sendsArrived } from "./arrivals.ts";
import {
  atRest,
  chainHolds,
  deadAreAnchored,
  heldBy,
  oneOfEach,
  queueAgrees,
  retiredOnlyWhenReplaced,
  servedHoldsAccepted,
} from "./promises.ts";
import { FAULTS, type Fault, type Plan, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

const ROOT = { id: "root", scopes: "all" } as const;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

interface Run {
  simulator: Simulator;
  world: World;
}

function open(plan: Plan): Run {
  const world = new World();
  const simulator = new Simulator({
    plan,
    outbound: world.outbound,
    inspect: (sim) => [
      ...servedHoldsAccepted(sim, world),
      ...keysOf(sim).flatMap(({ id }) => retiredOnlyWhenReplaced(sim, world, id)),
      ...oneOfEach(sim),
      ...queueAgrees(sim),
      ...deadAreAnchored(sim),
    ],
  });
  simulator.act((context) => {
    unwrap(createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } }));
    for (const host of ["one", "two"]) {
      const config = { url: `https://${host}.acme.dev/`, secretMode: "plain" };
      unwrap(createDestination(context, ROOT, { name: host, type: "webhook", config }));
    }
    unwrap(
      createKey(context, ROOT, {
        name: "billing",
        provider: "issuer",
        scopes: [],
        labels: {},
        policy: { grace: "1h", maxAge: "30d" },
        destinations: ["kv", "one", "two"].map((id) => ({
          id,
          required: id !== "two",
          mustAcknowledge: false,
        })),
      }),
    );
  });
  return { simulator, world };
}

function keysOf({ store }: Simulator): KeyRow[] {
  return store.keys.list({}, "", 10);
}

function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

function rotate(context: EngineContext): void {
  const key = context.store.keys.byName("billing");
  if (!key) throw new Error("no key");
  startRotation(context, key, { trigger: "manual", reason: null, requestedBy: "root", grace: null });
}

function failAt(at: number, fault: Fault): Plan {
  return (index) => (index === at ? fault : undefined);
}

/** Runs a rotation to its end, and past its grace. */
async function runRotation({ simulator }: Run): Promise<void> {
  await simulator.runFor(2 * DAY_MS);
  simulator.act(rotate);
  await simulator.runFor(3 * DAY_MS);
}

function expectKept({ simulator, world }: Run): void {
  expect(simulator.bugs).toEqual([]);
  expect([...new Set([...simulator.broken, ...world.broken])]).toEqual([]);
  expect(atRest(simulator)).toEqual([]);
  expect(chainHolds(simulator)).toEqual([]);
  const key = simulator.store.keys.byName("billing");
  const current = key && simulator.store.versions.current(key.id);
  expect(current?.number).toBeGreaterThanOrEqual(2);
  // An issued value carries its version's id.
  const arrived = keysOf(simulator).flatMap(({ id }) =>
    sendsArrived(
      simulator,
      world,
      id,
      (version, value) => value.includes(version.id),
      () => true,
    ),
  );
  expect(arrived).toEqual([]);
  const held =
    key && simulator.store.destinations.linksOfKey(key.id).map((link) => heldBy(simulator, world, link));
  expect(new Set(held).size).toBe(1);
}

describe("a rotation of an issued key", () => {
  it("asks, delivers, and only then lets the old value go", async () => {
    const run = open(() => undefined);
    await runRotation(run);
    expectKept(run);
    const calls = run.simulator.calls.slice(-7);
    expect(calls.slice(0, 2)).toEqual(["KEYS GET", "one.acme.dev ping"]);
    expect(calls.slice(2, 5).sort()).toEqual([
      "KEYS PUT",
      "one.acme.dev key.version.ready",
      "two.acme.dev key.version.ready",
    ]);
    expect(calls.slice(5)).toEqual(["registry time", "registry anchor"]);
  });

  it.each(FAULTS)("survives %s at each call", async (fault) => {
    const calm = open(() => undefined);
    await runRotation(calm);
    for (let at = 0; at < calm.simulator.calls.length; at++) {
      const run = open(failAt(at, fault));
      await runRotation(run);
      expectKept(run);
    }
  });

  it.each(FAULTS)("survives %s at each call when every alarm runs twice", async (fault) => {
    for (let at = 0; at < 13; at++) {
      const run = open(failAt(at, fault));
      run.simulator.doubleAlarms = true;
      await runRotation(run);
      expectKept(run);
    }
  });
});

describe("a required destination that stays down", () => {
  it("has the old value put back where the new one went, and the new one dies", async () => {
    const run = open(() => undefined);
    await run.simulator.runFor(HOUR_MS);
    run.world.refusing.add("one.acme.dev");
    run.simulator.act(rotate);
    await run.simulator.runFor(7 * HOUR_MS);
    const key = run.simulator.store.keys.byName("billing");
    expect(key && run.simulator.store.rotations.live(key.id)?.state).toBe("needs-attention");
    run.world.refusing.clear();
    await run.simulator.runFor(30 * HOUR_MS);
    expect(run.simulator.bugs).toEqual([]);
    expect(run.simulator.broken).toEqual([]);
    expect(atRest(run.simulator)).toEqual([]);
    expect(key && run.simulator.store.versions.ofKey(key.id).map((version) => version.stage)).toEqual([
      "current",
      "discarded",
    ]);
  });
});
