/** What arrives late and what the clock says: two things that a random run meets too seldom. */
import { describe, expect, it } from "vitest";
import { revokeKey } from "../../src/keyring/operations/keys.ts";
import { createClock } from "../../src/rotation/clock.ts";
import { cancelRotation, retryRotation } from "../../src/rotation/interventions.ts";
import { DAY_MS, findBroken, KEY, open, ROOT, type Run, rotate } from "./scene.ts";
import { OUR_LABEL, PERSON } from "./service.ts";
import type { Fault } from "./simulator.ts";

describe("a put to KV that was never answered", () => {
  it("does not overwrite the value that was put back after it", async () => {
    let puts = 0;
    const run: Run = open({ overlap: "ours", find: true }, (_, name) => {
      if (name !== "KEYS PUT") return undefined;
      puts += 1;
      return puts === 1 ? "answer-lost-lands-late" : undefined;
    });
    run.simulator.act(rotate);
    await run.simulator.runFor(2_000);
    expect(puts).toBe(1);
    run.simulator.act((context) => {
      const rotation = context.store.rotations.live("key_scripted");
      if (rotation) cancelRotation(context, rotation, "root");
    });
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(run.world.stored.get("billing")).toBe("scripted-secret-1");
    expect(run.simulator.store.versions.ofKey("key_scripted").map(({ stage }) => stage)).toEqual([
      "current",
      "discarded",
    ]);
  });
});

describe("a retry while the last look waits for a lost mint to show", () => {
  it("does not make that look come too early", async () => {
    let mints = 0;
    const abilities = { overlap: "ours", find: true, listLagMs: 40_000 } as const;
    const run: Run = open(abilities, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "answer-lost-lands-late" : undefined;
    });
    run.simulator.act(rotate);
    await run.simulator.runFor(31_000);
    run.simulator.act((context) => {
      const rotation = context.store.rotations.live("key_scripted");
      if (rotation) retryRotation(context, rotation);
    });
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(mints).toBe(2);
  });
});

describe("an answer to a call to mint that its rotation no longer expected", () => {
  /** Up to the moment at which the call is under way. */
  async function startMint(run: Run): Promise<void> {
    run.simulator.act(rotate);
    await run.simulator.runFor(DAY_MS, () => run.simulator.calls.at(-1) === "mint");
  }

  const stages = (run: Run) => run.simulator.store.versions.ofKey(KEY).map(({ stage }) => stage);

  it("settles the doubt about it, so that a key which a person made is not taken for ours", async () => {
    const run = open({ overlap: "ours", list: true, test: false }, () => undefined);
    await startMint(run);
    run.simulator.act((context) => {
      const rotation = context.store.rotations.live(KEY);
      if (rotation) cancelRotation(context, rotation, "root");
    });
    run.service.make(PERSON, OUR_LABEL);
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(stages(run)).toEqual(["current", "discarded"]);
  });

  it("says that nothing was made, too", async () => {
    const run = open({ overlap: "ours", list: true }, (_, name) => (name === "mint" ? "refused" : undefined));
    await startMint(run);
    run.simulator.act((context) => {
      const rotation = context.store.rotations.live(KEY);
      if (rotation) cancelRotation(context, rotation, "root");
    });
    run.service.make(PERSON, OUR_LABEL);
    await run.simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(stages(run)).toEqual(["current"]);
  });
});

describe("the clock", () => {
  it("never goes back, not behind what is on record either", () => {
    let system = 1_000;
    const now = createClock(() => system, 5_000);
    expect(now()).toBe(5_000);
    system = 9_000;
    expect(now()).toBe(9_000);
    system = 2_000;
    expect(now()).toBe(9_000);
  });
});

describe("a clock that leaps forward during a grace", () => {
  it("ends it only when cron's own time has come to its end", async () => {
    const run: Run = open({ overlap: "ours", find: true }, () => undefined);
    await run.simulator.runFor(DAY_MS);
    run.simulator.act(rotate);
    await run.simulator.runFor(60_000);
    const [old] = run.simulator.store.versions.ofKey("key_scripted");
    const graceEndsAt = old?.graceEndsAt ?? 0;
    run.simulator.skewMs = DAY_MS;
    await run.simulator.runFor(graceEndsAt - run.simulator.now - 1_000);
    expect(run.simulator.calls).not.toContain("revoke");
    expect(run.simulator.store.versions.byNumber("key_scripted", 1)?.stage).toBe("previous");
    await run.simulator.runFor(10 * 60_000);
    expect(run.simulator.store.versions.byNumber("key_scripted", 1)?.stage).toBe("revoked");
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a clock that leaps forward while a mint is in doubt", () => {
  it("does not make it look settled: what lands late is found", async () => {
    let mints = 0;
    const run: Run = open({ overlap: "ours", find: true }, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "answer-lost-lands-late" : undefined;
    });
    await run.simulator.runFor(DAY_MS);
    run.simulator.act(rotate);
    await run.simulator.runFor(1_000);
    run.simulator.skewMs = DAY_MS;
    await run.simulator.runFor(5 * DAY_MS);
    expect(findBroken(run)).toEqual([]);
    const stages = run.simulator.store.versions.ofKey("key_scripted").map(({ stage }) => stage);
    expect(stages).toContain("discarded");
  });
});

describe("a mint in doubt without overlap, whose old value a person had revoked", () => {
  it("comes to its end: that the old value was seen dead says that the mint took effect", async () => {
    const faults = new Map<string, Fault>([["preflight", "server-error"]]);
    const run: Run = open({ overlap: "none" }, (_, name) => faults.get(name));
    await run.simulator.runFor(DAY_MS);
    run.simulator.act(rotate);
    await run.simulator.runFor(1_000);
    run.simulator.act((context) => void revokeKey(context, ROOT, "billing", { reason: "left", version: 1 }));
    faults.delete("preflight");
    faults.set("mint", "answer-lost-lands-late");
    await run.simulator.runFor(60_000);
    faults.clear();
    await run.simulator.runFor(2 * DAY_MS);
    expect(run.simulator.store.keys.get("key_scripted")?.state).toBe("lost");
    expect(run.simulator.store.rotations.live("key_scripted")).toBeUndefined();
    expect(findBroken(run)).toEqual([]);
  });
});
