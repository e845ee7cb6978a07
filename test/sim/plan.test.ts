/** A dry run at services outside: asked, and nothing made. */
import { describe, expect, it } from "vitest";
import { planRotation, type RotationPlan } from "../../src/rotation/plan.ts";
import { findBroken, HOUR_MS, open, type Run, rotate } from "./scene.ts";
import type { Abilities } from "./service.ts";

async function plan({ simulator }: Run): Promise<RotationPlan> {
  const planned = simulator.perform((context) => {
    const key = context.store.keys.get("key_scripted");
    if (!key) throw new Error("no key");
    return planRotation(context, key, null);
  });
  await simulator.runFor(HOUR_MS / 60);
  const found = await planned;
  if (!found) throw new Error("no plan");
  return found;
}

describe.each<[Abilities["overlap"], string[]]>([
  ["ours", ["revoke"]],
  ["provider", ["mint", "revoke"]],
  ["none", ["mint", "revoke"]],
])("a dry run with overlap %s", (overlap, irreversible) => {
  it("asks the service and the destinations, makes nothing, and says what cannot be undone", async () => {
    const run = open({ overlap, find: overlap === "ours" }, () => undefined);
    const found = await plan(run);
    expect(run.simulator.calls.sort()).toEqual(["KEYS GET", "one.acme.dev ping", "preflight"]);
    expect(run.service.credentials).toHaveLength(1);
    expect(found.blockers).toEqual([]);
    expect(found.steps.filter((step) => step.irreversible).map(({ step }) => step)).toEqual(irreversible);
    expect(found.steps.some(({ step }) => step === "grace")).toBe(overlap !== "none");
    // Where the service ends the old value, no policy holds it.
    expect(found.hold === null).toBe(overlap !== "ours");
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a dry run", () => {
  it("names the service when it does not answer, and the slot when there is none", async () => {
    const run = open({ overlap: "ours", find: true, maxLive: 2 }, (_, name) =>
      name === "preflight" && isDown ? "server-error" : undefined,
    );
    let isDown = false;
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS / 2);
    isDown = true;
    const { blockers } = await plan(run);
    expect(blockers.map(({ what }) => what)).toEqual(["slot", "service"]);
    expect(blockers[0]?.until).toBeGreaterThan(run.simulator.now);
  });
});
