/**
 * Keys of outside services under every fault at every call, for each overlap and set of abilities, and under everything that people
 * do meanwhile: every promise holds after each commit, and in the end the service holds exactly what Rekey knows of.
 */
import { describe, expect, it } from "vitest";
import { deleteKey, patchKey, revokeKey } from "../../src/keyring/operations/keys.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import { cancelRotation, retryRotation } from "../../src/rotation/interventions.ts";
import type { OnCompromise } from "../../src/store/keys.ts";
import type { Stage } from "../../src/store/versions.ts";
import { DAY_MS, findBroken, HOUR_MS, KINDS, open, ROOT, type Run, rotate, runRotation } from "./scene.ts";
import { FAULTS, type Fault, type Plan } from "./simulator.ts";

function failAt(at: number, fault: Fault): Plan {
  return (index) => (index === at ? fault : undefined);
}

/** The newest version at a stage leaks. */
function leak(stage: Stage, onCompromise?: OnCompromise) {
  return (context: EngineContext) => {
    const key = context.store.keys.get("key_scripted");
    const version = context.store.versions.ofKey("key_scripted").findLast((one) => one.stage === stage);
    if (key && onCompromise) context.store.keys.update(key, { policy: { ...key.policy, onCompromise } });
    if (version) compromiseVersion(context, version, { source: "test", actor: "root" });
  };
}

/** What people do while a rotation is live. */
const INTERRUPTIONS: Record<string, (context: EngineContext) => void> = {
  "a second trigger": (context) => {
    if (!context.store.rotations.live("key_scripted")) rotate(context);
  },
  "a delete": (context) => void deleteKey(context, ROOT, "billing"),
  "a pause": (context) => void patchKey(context, ROOT, "billing", { paused: true }, false),
  "a change of policy": (context) =>
    void patchKey(context, ROOT, "billing", { policy: { grace: "2h", maxAge: "90d" } }, false),
  "a cancel": (context) => {
    const rotation = context.store.rotations.live("key_scripted");
    if (rotation) cancelRotation(context, rotation, "root");
  },
  "a retry": (context) => {
    const rotation = context.store.rotations.live("key_scripted");
    if (rotation) retryRotation(context, rotation);
  },
  "a revoke of every version": (context) => void revokeKey(context, ROOT, "billing", { reason: "left" }),
  "a revoke of the current version": (context) => {
    const current = context.store.versions.current("key_scripted");
    if (current) revokeKey(context, ROOT, "billing", { reason: "old", version: current.number });
  },
  "a revoke of the new version": (context) => {
    const fresh = context.store.versions.ofKey("key_scripted").find((version) => version.stage === "pending");
    if (fresh) revokeKey(context, ROOT, "billing", { reason: "new", version: fresh.number });
  },
  "a leak of the current version": leak("current"),
  "a leak of the current version, to be held": leak("current", "hold"),
  "a leak of the current version, to be revoked first": leak("current", "revoke-first"),
  "a leak of the current version, only to be revoked": leak("current", "revoke-only"),
  "a leak of the current version, only to be told": leak("current", "notify-only"),
  "a leak of the new version": leak("pending"),
  "a leak of the old version": leak("previous"),
  "a leak of a version that is being revoked": leak("revoking"),
};

describe.each(Object.entries(KINDS))("a key of a service with overlap %s", (_, abilities) => {
  it("rotates, and the old value dies", async () => {
    const run = open(abilities, () => undefined);
    await runRotation(run);
    expect(findBroken(run)).toEqual([]);
    const stages = run.simulator.store.versions.ofKey("key_scripted").map((version) => version.stage);
    expect(stages).toEqual(["revoked", "current"]);
  });

  it.each(FAULTS)("keeps its promises under %s at each call", async (fault) => {
    const calm = open(abilities, () => undefined);
    await runRotation(calm);
    const broken: string[] = [];
    for (let at = 0; at < calm.simulator.calls.length; at++) {
      for (const doubleAlarms of [false, true]) {
        const run = open(abilities, failAt(at, fault));
        run.simulator.doubleAlarms = doubleAlarms;
        await runRotation(run);
        broken.push(
          ...findBroken(run).map((text) => `${fault} at ${at} (${calm.simulator.calls[at]}): ${text}`),
        );
      }
    }
    expect(broken).toEqual([]);
  });

  it.each(Object.entries(INTERRUPTIONS))(
    "keeps its promises when %s comes at each call",
    async (name, interrupt) => {
      const calm = open(abilities, () => undefined);
      await runRotation(calm);
      const broken: string[] = [];
      for (let at = 0; at < calm.simulator.calls.length; at++) {
        for (const delayMs of [25, 75]) {
          const run: Run = open(abilities, (index) => {
            if (index === at) run.simulator.after(delayMs, () => run.simulator.act(interrupt));
            return undefined;
          });
          await runRotation(run);
          broken.push(
            ...findBroken(run).map((text) => `${name} at ${at} (${calm.simulator.calls[at]}): ${text}`),
          );
        }
      }
      expect(broken).toEqual([]);
    },
  );

  it.each([
    ["set back an hour", -HOUR_MS],
    ["set forward a day", DAY_MS],
  ])("keeps its promises when the clock is %s at each call", async (_, skewMs) => {
    const calm = open(abilities, () => undefined);
    await runRotation(calm);
    const broken: string[] = [];
    for (let at = 0; at < calm.simulator.calls.length; at++) {
      const run: Run = open(abilities, (index) => {
        if (index === at) run.simulator.skewMs = skewMs;
        return undefined;
      });
      await runRotation(run);
      broken.push(...findBroken(run).map((text) => `clock at ${at} (${calm.simulator.calls[at]}): ${text}`));
    }
    expect(broken).toEqual([]);
  });
});
