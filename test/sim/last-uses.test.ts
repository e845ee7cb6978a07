/** `newSeen` and `oldIdle` at a service that says when a value was last used. */
import { describe, expect, it } from "vitest";
import type { Policy } from "../../src/store/keys.ts";
import { findBroken, HOUR_MS, open, type Run, rotate } from "./scene.ts";
import type { Plan } from "./simulator.ts";

const MINUTE_MS = 60_000;
const POLICY: Policy = { grace: "1h", maxGrace: "12h", revokeWhen: ["newSeen", "oldIdle:2h"] };

/** A key that was rotated a few minutes ago. */
async function rotated(plan: Plan = () => undefined, policy = POLICY): Promise<Run> {
  const run = open({ overlap: "ours", find: true, tellsUse: true }, plan);
  run.simulator.act(({ store }) => {
    const key = store.keys.get("key_scripted");
    if (key) store.keys.update(key, { policy });
  });
  run.simulator.act(rotate);
  await run.simulator.runFor(5 * MINUTE_MS);
  return run;
}

function old({ simulator }: Run) {
  return simulator.store.versions.byNumber("key_scripted", 1);
}

/** What was said of who has not moved, oldest first. */
function warnings({ simulator }: Run) {
  const { rows } = simulator.store.events.page({ type: "key.grace.ending" }, Infinity, 20);
  return rows.map(({ data }) => JSON.parse(data) as { waitsFor: string; isFinal: boolean }).reverse();
}

describe("an old version at a service that tells of uses", () => {
  it("lives on while the new one was used by nobody but Rekey's own test", async () => {
    const run = await rotated();
    await run.simulator.runFor(6 * HOUR_MS);
    expect(old(run)?.stage).toBe("previous");
    expect(warnings(run)[0]?.waitsFor).toContain("the new version was not seen yet");
    run.service.use("ref-2");
    await run.simulator.runFor(2 * HOUR_MS);
    expect(old(run)?.stage).toBe("revoked");
    expect(findBroken(run)).toEqual([]);
  });

  it("lives on while it is used itself, and the event says when it was", async () => {
    const run = await rotated();
    run.service.use("ref-2");
    for (let hour = 0; hour < 6; hour++) {
      run.service.use("ref-1");
      await run.simulator.runFor(HOUR_MS);
    }
    expect(old(run)?.stage).toBe("previous");
    expect(warnings(run)[0]?.waitsFor).toMatch(/the old version is not idle long enough, it was seen 2026-/);
    await run.simulator.runFor(5 * HOUR_MS);
    expect(old(run)?.stage).toBe("revoked");
    expect(findBroken(run)).toEqual([]);
  });

  it("is held up to maxGrace, and no longer, when the service cannot be asked", async () => {
    const run = await rotated((_, name) => (name === "last-used" ? "server-error" : undefined));
    run.service.use("ref-2");
    await run.simulator.runFor(11 * HOUR_MS);
    expect(old(run)?.stage).toBe("previous");
    expect(warnings(run)[0]?.waitsFor).toContain("nobody knows who uses which version");
    await run.simulator.runFor(2 * HOUR_MS);
    expect(old(run)?.stage).toBe("revoked");
    expect(warnings(run).map(({ isFinal }) => isFinal)).toEqual([false, true]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is asked about only as far as the policy waits for it", async () => {
    const run = await rotated(undefined, { ...POLICY, revokeWhen: ["acknowledged"] });
    await run.simulator.runFor(20 * HOUR_MS);
    expect(run.simulator.calls).not.toContain("last-used");
    expect(old(run)?.stage).toBe("revoked");
  });

  it("is held over a crash while the service is asked", async () => {
    const faults = ["crash-before", "crash-after"] as const;
    let asked = 0;
    const run = await rotated((_, name) => (name === "last-used" ? faults[asked++] : undefined));
    await run.simulator.runFor(6 * HOUR_MS);
    expect(old(run)?.stage).toBe("previous");
    run.service.use("ref-2");
    await run.simulator.runFor(7 * HOUR_MS);
    expect(old(run)?.stage).toBe("revoked");
    expect(findBroken(run)).toEqual([]);
  });
});
