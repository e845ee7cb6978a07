/** A leaked version that is new, or on its way out: what is called, in which order, and what lives afterwards. */
import { describe, expect, it } from "vitest";
import { cancelRotation } from "../../src/rotation/interventions.ts";
import { begin, leak, live, OURS, SECOND_MS, stages } from "./leaks.ts";
import { DAY_MS, findBroken, HOUR_MS, rotate } from "./scene.ts";

describe("a leak of the new version", () => {
  it("before it is current: the old one goes back where it was, and another is minted", async () => {
    const { run, simulator, world } = await begin(OURS);
    world.refusing.add("one.acme.dev");
    simulator.act(rotate);
    await simulator.runFor(HOUR_MS);
    expect(world.stored.get("billing")).toBe("scripted-secret-2");
    expect(leak(run, 2)).toMatchObject({ action: "discarded" });
    await simulator.runFor(60 * SECOND_MS);
    expect(stages(run)).toEqual(["current", "discarded: compromised", "pending"]);
    world.refusing.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: rotated", "discarded: compromised", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("leaves the old one everywhere when no other can be minted", async () => {
    const { run, simulator, world, faults } = await begin(OURS);
    world.refusing.add("one.acme.dev");
    simulator.act(rotate);
    await simulator.runFor(HOUR_MS);
    faults.set("mint", "refused");
    world.refusing.clear();
    leak(run, 2);
    await simulator.runFor(DAY_MS);
    expect(live(run)).toBeUndefined();
    expect(stages(run)).toEqual(["current", "discarded: compromised"]);
    expect(world.stored.get("billing")).toBe("scripted-secret-1");
    expect(findBroken(run)).toEqual([]);
  });

  it("while it is put back: it dies at once, and the old one is put back all the same", async () => {
    const { run, simulator, world } = await begin(OURS);
    world.refusing.add("one.acme.dev");
    simulator.act(rotate);
    await simulator.runFor(7 * HOUR_MS);
    expect(live(run)?.step).toBe("put-back");
    leak(run, 2);
    await simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["current", "discarded: compromised"]);
    world.refusing.clear();
    await simulator.runFor(2 * DAY_MS);
    expect(live(run)).toBeUndefined();
    expect(findBroken(run)).toEqual([]);
  });

  it("when it is current already and still being delivered: that rotation is closed and another takes over", async () => {
    const { run, simulator, world } = await begin({ overlap: "none" });
    simulator.act(rotate);
    world.refusing.add("one.acme.dev");
    await simulator.runFor(HOUR_MS);
    const first = live(run)?.id;
    expect(stages(run)).toEqual(["revoked: rotated", "current"]);
    const { action, rotationId } = leak(run, 2);
    expect(action).toBe("started");
    expect(rotationId).not.toBe(first);
    expect(simulator.store.rotations.get(first ?? "")).toMatchObject({ live: false, state: "cancelled" });
    world.refusing.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: rotated", "revoked: compromised", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("leaves it to be delivered after all, when the rotation that took over is cancelled", async () => {
    const { run, simulator, world } = await begin({ overlap: "none" });
    simulator.act(rotate);
    world.refusing.add("one.acme.dev");
    await simulator.runFor(HOUR_MS);
    leak(run, 2);
    simulator.act((context) => {
      const rotation = live(run);
      if (rotation) cancelRotation(context, rotation, "root");
    });
    world.refusing.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run).at(-1)).toBe("current");
    expect(findBroken(run)).toEqual([]);
    expect(world.received.get("one.acme.dev/billing")?.value).toBe("scripted-secret-2");
  });

  it("hands on the search for what the closed rotation may have left at the service", async () => {
    const { run, simulator, faults } = await begin({
      overlap: "ours",
      find: true,
      propagationMs: 60_000,
      listLagMs: 60_000,
    });
    faults.set("mint", "answer-lost-lands-late");
    simulator.act(rotate);
    await simulator.runFor(SECOND_MS);
    faults.clear();
    await simulator.runFor(DAY_MS, () => live(run)?.step === "sweep");
    expect(live(run)?.step).toBe("sweep");
    const number = simulator.store.versions.current("key_scripted")?.number ?? 0;
    expect(leak(run, number)).toMatchObject({ action: "started" });
    expect(live(run)?.sought).toHaveLength(2);
    await simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a leak of a version on its way out", () => {
  it("ends its grace at once and mints nothing", async () => {
    const { run, simulator } = await begin(OURS);
    simulator.act(rotate);
    await simulator.runFor(60 * SECOND_MS);
    expect(stages(run)).toEqual(["previous: rotated", "current"]);
    simulator.calls.length = 0;
    expect(leak(run, 1)).toEqual({ action: "revoked", rotationId: null });
    await simulator.runFor(SECOND_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(simulator.calls).toEqual(["revoke", "test", "registry anchor"]);
  });

  it("has a revocation that waits tried now", async () => {
    const { run, simulator, faults } = await begin(OURS);
    faults.set("revoke", "server-error");
    simulator.act(rotate);
    await simulator.runFor(20 * DAY_MS);
    expect(stages(run)).toEqual(["revoking: rotated", "current"]);
    faults.clear();
    expect(leak(run, 1)).toEqual({ action: "retried", rotationId: null });
    await simulator.runFor(SECOND_MS);
    expect(stages(run)).toEqual(["revoked: rotated", "current"]);
  });

  it("is nothing new when it is dead", async () => {
    const { run, simulator } = await begin(OURS);
    simulator.act(rotate);
    await simulator.runFor(DAY_MS);
    simulator.calls.length = 0;
    expect(leak(run, 1)).toEqual({ action: "none", rotationId: null });
    await simulator.runFor(DAY_MS);
    expect(simulator.calls).toEqual([]);
  });
});
