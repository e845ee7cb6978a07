/** A service with few slots: our own version in grace frees its slot by itself, and nothing else is ever deleted to make room. */
import { describe, expect, it } from "vitest";
import { beginRotation } from "../../src/keyring/operations/rotations.ts";
import { DAY_MS, findBroken, HOUR_MS, open, ROOT, type Run, rotate } from "./scene.ts";
import { PERSON } from "./service.ts";

const MINUTE_MS = 60_000;

function latest({ simulator }: Run) {
  const [rotation] = simulator.store.rotations.list("key_scripted", "", 1);
  return rotation;
}

function stages({ simulator }: Run): string[] {
  return simulator.store.versions.ofKey("key_scripted").map(({ stage }) => stage);
}

/** Two slots, one of them held by a version in a grace of an hour. */
async function inGrace(): Promise<Run> {
  const run = open({ overlap: "ours", find: true, maxLive: 2 }, () => undefined);
  await run.simulator.runFor(HOUR_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(MINUTE_MS);
  expect(stages(run)).toEqual(["previous", "current"]);
  return run;
}

describe("a rotation while our own version in grace holds the slot", () => {
  it("by schedule waits, and goes on the moment that version is seen dead", async () => {
    const run = await inGrace();
    const { simulator } = run;
    const endsAt = simulator.store.versions.byNumber("key_scripted", 1)?.graceEndsAt ?? 0;
    simulator.act(rotate);
    await simulator.runFor(endsAt - simulator.now - 1);
    expect(latest(run)).toMatchObject({ state: "blocked", problem: expect.stringContaining("version 1") });
    await simulator.runFor(2_000);
    expect(stages(run)).toEqual(["revoked", "previous", "current"]);
    await simulator.runFor(2 * DAY_MS);
    expect(findBroken(run)).toEqual([]);
  });

  it("by hand is refused with the time at which the slot is free", async () => {
    const run = await inGrace();
    const begin = () =>
      run.simulator.act((context) => beginRotation(context, ROOT, "billing", { reveal: "none" }));
    const endsAt = run.simulator.store.versions.byNumber("key_scripted", 1)?.graceEndsAt ?? 0;
    expect(begin()).toEqual({
      ok: false,
      error: { code: "grace-running", retryAt: new Date(endsAt).toISOString() },
    });
    await run.simulator.runFor(2 * HOUR_MS);
    expect(begin()).toMatchObject({ ok: true });
  });
});

describe("a service without a free slot", () => {
  it("whose only one holds the current value stops with needs-slot, and the rotation fails at its deadline", async () => {
    const run = open({ overlap: "ours", find: true, maxLive: 1 }, () => undefined);
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS);
    expect(latest(run)).toMatchObject({ live: true, state: "needs-slot" });
    expect(run.simulator.calls).not.toContain("mint");
    await run.simulator.runFor(DAY_MS);
    expect(latest(run)).toMatchObject({ live: false, state: "failed" });
    expect(stages(run)).toEqual(["current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("as a person took the last one is asked, refuses, and keeps what the person made", async () => {
    const run = open({ overlap: "ours", find: true, maxLive: 2, countsPersons: true }, () => undefined);
    run.service.make(PERSON);
    run.simulator.act(rotate);
    await run.simulator.runFor(DAY_MS);
    expect(latest(run)).toMatchObject({ state: "failed", problem: "no slot is free" });
    expect(run.service.credentials.every(({ endsAt }) => endsAt === Infinity)).toBe(true);
    expect(findBroken(run)).toEqual([]);
  });
});
