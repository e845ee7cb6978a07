/**
 * Going back to an earlier version, under every fault at every call and under everything that people do meanwhile: every promise holds
 * after each commit, and in the end one version is current, held everywhere, and the other dies.
 */
import { describe, expect, it } from "vitest";
import { deleteKey, revokeKey } from "../../src/keyring/operations/keys.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import {
  abandonVersion,
  cancelRotation,
  extendGrace,
  finishGrace,
  retryRotation,
} from "../../src/rotation/interventions.ts";
import { type RollbackRequest, startRollback } from "../../src/rotation/rollback.ts";
import type { Policy } from "../../src/store/keys.ts";
import type { Stage, VersionRow } from "../../src/store/versions.ts";
import { heldBy } from "./promises.ts";
import { DAY_MS, findBroken, HOUR_MS, KINDS, open, ROOT, type Run, rotate } from "./scene.ts";
import type { Abilities } from "./service.ts";
import { FAULTS, type Plan } from "./simulator.ts";

/** Those that differ in what a rollback asks of them; how a mint in doubt is settled is none of it. */
const OURS = [
  "ours, find",
  "ours, find, late propagation",
  "ours, list, no test",
  "ours, two slots",
  "ours, find, behind a connection",
].map((name): [string, Abilities] => [name, KINDS[name] ?? { overlap: "ours" }]);

function keyOf({ store }: EngineContext) {
  const key = store.keys.get("key_scripted");
  if (!key) throw new Error("no key");
  return key;
}

function rollBack(context: EngineContext, request: Partial<RollbackRequest> = {}) {
  return startRollback(context, keyOf(context), {
    reason: "a consumer broke",
    requestedBy: "root",
    ...request,
  });
}

function versions({ simulator }: Run): VersionRow[] {
  return simulator.store.versions.ofKey("key_scripted");
}

function stages(run: Run): string[] {
  return versions(run).map(({ stage }) => stage);
}

/** What each destination holds, in truth. */
function held({ simulator, world }: Run): (string | undefined)[] {
  return simulator.store.destinations
    .linksOfKey("key_scripted")
    .map((link) => heldBy(simulator, world, link));
}

/** A key that was rotated half an hour ago; its policy leaves version 1 an hour. */
async function rotated(
  abilities: Abilities,
  plan: Plan = () => undefined,
  policy: Policy = {},
): Promise<Run> {
  const run: Run = open(abilities, plan);
  run.simulator.act((context) => {
    const key = keyOf(context);
    context.store.keys.update(key, { policy: { ...key.policy, ...policy } });
  });
  await run.simulator.runFor(HOUR_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(HOUR_MS / 2);
  return run;
}

/** The same, rolled back and run until everything old is dead. The plan counts the calls from the rollback on. */
async function rolledBack(
  abilities: Abilities,
  plan: (run: Run) => Plan = () => () => undefined,
): Promise<Run> {
  let live: Plan = () => undefined;
  const run = await rotated(abilities, (index, name) => live(index, name));
  expect(stages(run)).toEqual(["previous", "current"]);
  const from = run.simulator.calls.length;
  const later = plan(run);
  live = (index, name) => later(index - from, name);
  expect(run.simulator.act((context) => rollBack(context)).ok).toBe(true);
  await run.simulator.runFor(4 * DAY_MS);
  return run;
}

function leak(stage: Stage) {
  return (context: EngineContext) => {
    const version = context.store.versions.ofKey("key_scripted").findLast((one) => one.stage === stage);
    if (version) compromiseVersion(context, version, { source: "test", actor: "root" });
  };
}

function revoke(stage: Stage) {
  return (context: EngineContext) => {
    const version = context.store.versions.ofKey("key_scripted").findLast((one) => one.stage === stage);
    if (version) revokeKey(context, ROOT, "billing", { reason: "a test", version: version.number });
  };
}

function onEach(act: (context: EngineContext, version: VersionRow) => unknown) {
  return (context: EngineContext) => {
    for (const version of context.store.versions.ofKey("key_scripted")) act(context, version);
  };
}

/** What people do while a rollback is live. */
const INTERRUPTIONS: Record<string, (context: EngineContext) => void> = {
  "a cancel": (context) => {
    const rotation = context.store.rotations.live("key_scripted");
    if (rotation) cancelRotation(context, rotation, "root");
  },
  "a retry": (context) => {
    const rotation = context.store.rotations.live("key_scripted");
    if (rotation) retryRotation(context, rotation);
  },
  "another rollback": (context) => void rollBack(context),
  "a rotation": (context) => {
    if (!context.store.rotations.live("key_scripted")) rotate(context);
  },
  "a delete": (context) => void deleteKey(context, ROOT, "billing"),
  "a revoke of every version": (context) => void revokeKey(context, ROOT, "billing", { reason: "left" }),
  "a revoke of the current version": revoke("current"),
  "a revoke of the version gone back to": revoke("pending"),
  "a leak of the current version": leak("current"),
  "a leak of the version gone back to": leak("pending"),
  "a leak of the version taken back": leak("previous"),
  "an extension of every grace": onEach((context, version) =>
    extendGrace(context, keyOf(context), version, "2h", "root"),
  ),
  "an end of every grace": onEach((context, version) =>
    finishGrace(context, keyOf(context), version, "root"),
  ),
  "giving up every revocation that waits": onEach((context, version) => {
    if (version.serviceRevokedAt !== null) abandonVersion(context, version, "root");
  }),
};

describe.each(OURS)("a key of a service with overlap %s", (_, abilities) => {
  it("goes back: the earlier value is held everywhere and current, the newer one dies", async () => {
    const run = await rolledBack(abilities);
    expect(findBroken(run)).toEqual([]);
    expect(stages(run)).toEqual(["current", "revoked"]);
    expect(new Set(held(run)).size).toBe(1);
    const [first] = held(run);
    expect(run.service.accepts(first ?? "")).toBe(true);
    expect(run.simulator.calls.filter((name) => name === "mint")).toHaveLength(1);
  });

  it.each(FAULTS)("keeps its promises under %s at each call of a rollback", async (fault) => {
    const calm = await rotated(abilities);
    const before = calm.simulator.calls.length;
    const whole = await rolledBack(abilities);
    const calls = whole.simulator.calls.slice(before);
    expect(calls.length).toBeGreaterThan(3);
    const broken: string[] = [];
    for (const [at, name] of calls.entries()) {
      const run = await rolledBack(abilities, () => (index) => (index === at ? fault : undefined));
      broken.push(...findBroken(run).map((text) => `${fault} at ${at} (${name}): ${text}`));
    }
    expect(broken).toEqual([]);
  });
});

describe.each(OURS.slice(0, 2))("a key of a service with overlap %s", (_, abilities) => {
  it.each(Object.entries(INTERRUPTIONS))(
    "keeps its promises when %s comes at each call of a rollback",
    async (name, interrupt) => {
      const calm = await rotated(abilities);
      const whole = await rolledBack(abilities);
      const calls = whole.simulator.calls.slice(calm.simulator.calls.length);
      const broken: string[] = [];
      for (const [at, call] of calls.entries()) {
        for (const delayMs of [25, 75]) {
          const run = await rolledBack(abilities, ({ simulator }) => (index) => {
            if (index === at) simulator.after(delayMs, () => simulator.act(interrupt));
            return undefined;
          });
          broken.push(...findBroken(run).map((text) => `${name} at ${at} (${call}): ${text}`));
        }
      }
      expect(broken).toEqual([]);
    },
  );
});

/** Receivers that answer pings and refuse what they are sent, and KV as well. */
function refuseAll({ world }: Run, names: readonly string[]): void {
  for (const name of names) (name === "KEYS" ? world.down : world.refusing).add(name);
}

function answerAgain({ world }: Run): void {
  world.down.clear();
  world.refusing.clear();
}

describe("a rollback", () => {
  const FIND: Abilities = { overlap: "ours", find: true };

  it("keeps the earlier version alive for as long as it runs, though its grace would have ended", async () => {
    const run = await rotated(FIND);
    refuseAll(run, ["one.acme.dev"]);
    run.simulator.act((context) => rollBack(context));
    await run.simulator.runFor(2 * HOUR_MS);
    expect(stages(run)).toEqual(["pending", "current"]);
    answerAgain(run);
    await run.simulator.runFor(HOUR_MS);
    expect(stages(run)[0]).toBe("current");
    await run.simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["current", "revoked"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("that cannot be delivered in time puts the newer value back, and only then the earlier one's grace goes on", async () => {
    const run = await rotated(FIND);
    const [before] = versions(run);
    const [newer] = held(run);
    refuseAll(run, ["one.acme.dev"]);
    run.simulator.act((context) => rollBack(context));
    await run.simulator.runFor(7 * HOUR_MS);
    // KV took the earlier value; the receiver that refuses everything may have.
    expect(stages(run)).toEqual(["pending", "current"]);
    expect(run.simulator.store.rotations.live("key_scripted")).toMatchObject({
      step: "put-back",
      state: "needs-attention",
    });
    answerAgain(run);
    await run.simulator.runFor(2 * DAY_MS);
    expect(held(run)).toEqual([newer, newer]);
    expect(stages(run)).toEqual(["revoked", "current"]);
    const [first] = versions(run);
    expect(first?.graceEndsAt).toBeGreaterThan(before?.graceEndsAt ?? Infinity);
    expect(findBroken(run)).toEqual([]);
  });

  it("that is cancelled at once leaves the grace as it was", async () => {
    const run = await rotated(FIND);
    const [before] = versions(run);
    const rotation = run.simulator.act((context) => rollBack(context));
    if (rotation.ok) run.simulator.act((context) => cancelRotation(context, rotation.value, "root"));
    const [after] = versions(run);
    expect(after).toMatchObject({
      stage: "previous",
      endReason: "rotated",
      graceEndsAt: before?.graceEndsAt,
      dueAt: before?.graceEndsAt,
    });
  });

  it("is given no longer than the grace may last at all", async () => {
    const run = await rotated(FIND, undefined, { maxGrace: "2h" });
    refuseAll(run, ["KEYS", "one.acme.dev"]);
    const rotation = run.simulator.act((context) => rollBack(context));
    const [, current] = versions(run);
    expect(rotation).toMatchObject({ value: { deadlineAt: (current?.promotedAt ?? 0) + 2 * HOUR_MS } });
  });

  it("goes back to a version of one's choice", async () => {
    const run = await rotated(FIND, undefined, { grace: "5h" });
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS);
    expect(stages(run)).toEqual(["previous", "previous", "current"]);
    run.simulator.act((context) => rollBack(context, { version: 1 }));
    await run.simulator.runFor(HOUR_MS);
    expect(stages(run)).toEqual(["current", "previous", "revoked"]);
    await run.simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["current", "revoked", "revoked"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("goes back to the newest version in grace unless told otherwise", async () => {
    const run = await rotated(FIND, undefined, { grace: "5h" });
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS);
    run.simulator.act((context) => rollBack(context));
    await run.simulator.runFor(HOUR_MS);
    expect(stages(run)).toEqual(["previous", "current", "revoked"]);
  });

  it("is there for a key whose current version was revoked", async () => {
    const run = await rotated(FIND);
    run.simulator.act(revoke("current"));
    await run.simulator.runFor(HOUR_MS / 10);
    expect(run.simulator.act((context) => rollBack(context)).ok).toBe(true);
    await run.simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["current", "revoked"]);
    expect(held(run).every((value) => value !== undefined && run.service.accepts(value))).toBe(true);
  });

  it("is not undone by the schedule, though the earlier version is past its age", async () => {
    const run = await rotated(FIND);
    run.simulator.act((context) => {
      const key = keyOf(context);
      context.store.keys.update(key, { policy: { ...key.policy, maxAge: "80m" } });
      rollBack(context);
    });
    await run.simulator.runFor(DAY_MS - HOUR_MS);
    expect(stages(run)).toEqual(["current", "revoked"]);
    await run.simulator.runFor(2 * HOUR_MS);
    expect(stages(run).length).toBeGreaterThan(2);
  });

  it("says who went back, from what to what, and why", async () => {
    const run = await rolledBack(FIND);
    const [event, ...more] = run.simulator.store.events.page({ type: "key.rolled-back" }, Infinity, 10).rows;
    expect(more).toEqual([]);
    expect(event).toMatchObject({ actor: "root", keyId: "key_scripted" });
    expect(JSON.parse(event?.data ?? "{}")).toMatchObject({
      fromVersion: 2,
      toVersion: 1,
      reason: "a consumer broke",
      graceEndsAt: expect.any(String),
    });
  });

  it.each(["provider", "none"] as const)("is refused where the overlap is %s", async (overlap) => {
    const run = await rotated({ overlap, find: true });
    expect(run.simulator.act((context) => rollBack(context))).toEqual({
      ok: false,
      error: { code: "forward-only" },
    });
  });

  it("is refused while a rotation is live, which it names", async () => {
    const run = await rotated(FIND);
    refuseAll(run, ["one.acme.dev"]);
    run.simulator.act(rotate);
    const live = run.simulator.store.rotations.live("key_scripted");
    expect(run.simulator.act((context) => rollBack(context))).toEqual({
      ok: false,
      error: { code: "rotation-live", holder: live?.id },
    });
  });

  it("is refused for a version that leaked, for one that is current and past the deadline", async () => {
    const run = await rotated(FIND);
    const refusal = (number?: number) => {
      const refused = run.simulator.act((context) => rollBack(context, { version: number }));
      return refused.ok ? "none" : refused.error.code;
    };
    expect(refusal(2)).toBe("not-in-grace");
    expect(refusal(3)).toBe("not-found");
    const [first] = versions(run);
    run.simulator.now = (first?.graceEndsAt ?? 0) - 1;
    run.simulator.act(({ store }) => {
      const version = store.versions.byNumber("key_scripted", 1);
      if (version) store.versions.update(version, { compromisedAt: 1 });
    });
    expect(refusal()).toBe("version-leaked");
    run.simulator.act(({ store }) => {
      const version = store.versions.byNumber("key_scripted", 1);
      if (version) store.versions.update(version, { compromisedAt: null });
    });
    run.simulator.now += 1;
    expect(refusal()).toBe("not-in-grace");
  });
});
