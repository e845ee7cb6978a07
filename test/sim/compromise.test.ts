/** A leaked current version, whatever the policy says: what is called, in which order, and what lives afterwards. */
import { describe, expect, it } from "vitest";
import { patchKey } from "../../src/keyring/operations/keys.ts";
import { cancelRotation } from "../../src/rotation/interventions.ts";
import { begin, leak, live, OURS, report, SECOND_MS, stages, told } from "./leaks.ts";
import { DAY_MS, findBroken, HOUR_MS, ROOT, rotate } from "./scene.ts";

describe("a leaked current version", () => {
  it("is replaced and revoked within seconds, without a grace and without asking destinations", async () => {
    const { run, simulator, world } = await begin(OURS);
    expect(leak(run, 1)).toMatchObject({ action: "started" });
    await simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(simulator.calls.slice(0, 3)).toEqual(["preflight", "mint", "test"]);
    expect(simulator.calls.slice(3).toSorted()).toEqual(
      [
        "KEYS GET",
        "KEYS PUT",
        "one.acme.dev ping",
        "one.acme.dev key.version.ready",
        "registry anchor",
        "revoke",
        "test",
      ].toSorted(),
    );
    expect(world.stored.get("billing")).toBe("scripted-secret-2");
    expect(findBroken(run)).toEqual([]);
    const [event] = simulator.store.events.page({ type: "key.compromised" }, Infinity, 1).rows;
    expect(JSON.parse(event?.data ?? "")).toMatchObject({ version: 1, source: "test", action: "started" });
  });

  it("waits for no destination that is down, and for no test that says nothing", async () => {
    const { run, simulator, world, faults } = await begin(OURS);
    world.down.add("one.acme.dev").add("KEYS");
    faults.set("test", "server-error");
    leak(run, 1);
    await simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["revoking: compromised", "current"]);
    expect(live(run)?.step).toBe("deliver");
    faults.clear();
    world.down.clear();
    await simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
  });

  it("is rotated although its key is paused", async () => {
    const { run, simulator } = await begin(OURS);
    simulator.act((context) => patchKey(context, ROOT, "billing", { paused: true }, false));
    leak(run, 1);
    await simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
  });

  it("is revoked after a minute when no replacement is minted, which is tried until it succeeds", async () => {
    const { run, simulator, faults } = await begin(OURS);
    faults.set("mint", "refused");
    leak(run, 1);
    await simulator.runFor(59 * SECOND_MS);
    expect(stages(run)).toEqual(["current"]);
    await simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["revoked: compromised"]);
    // Longer than any deadline: an emergency has none.
    await simulator.runFor(DAY_MS);
    expect(live(run)?.state).toBe("blocked");
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is revoked after a minute though every call to mint hangs", async () => {
    const { run, simulator, faults } = await begin(OURS);
    faults.set("mint", "timeout-no-effect");
    leak(run, 1);
    await simulator.runFor(61 * SECOND_MS);
    expect(stages(run)[0]).toBe("revoked: compromised");
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(stages(run).at(-1)).toBe("current");
  });

  it("lives until its replacement is there, with `hold`", async () => {
    const { run, simulator, faults } = await begin(OURS, "hold");
    faults.set("mint", "refused");
    leak(run, 1);
    await simulator.runFor(10 * 60 * SECOND_MS);
    expect(stages(run)).toEqual(["current"]);
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is revoked before anything is minted, with `revoke-first`", async () => {
    const { run, simulator, faults } = await begin(OURS, "revoke-first");
    faults.set("preflight", "server-error");
    leak(run, 1);
    await simulator.runFor(SECOND_MS);
    expect(simulator.calls).not.toContain("mint");
    expect(stages(run)).toEqual(["revoked: compromised"]);
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(simulator.calls.indexOf("revoke")).toBeLessThan(simulator.calls.indexOf("mint"));
    expect(findBroken(run)).toEqual([]);
  });

  it("is revoked and not replaced, with `revoke-only`", async () => {
    const { run, simulator } = await begin(OURS, "revoke-only");
    expect(leak(run, 1)).toEqual({ action: "revoked", rotationId: null });
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised"]);
    expect(simulator.calls).toEqual(["revoke", "test", "registry anchor"]);
    expect(simulator.store.keys.get("key_scripted")?.state).toBe("revoked");
  });

  it("stays as it is, with `notify-only`, and the history says so", async () => {
    const { run, simulator } = await begin(OURS, "notify-only");
    expect(leak(run, 1)).toEqual({ action: "notified", rotationId: null });
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["current"]);
    expect(simulator.calls).toEqual([]);
    expect(simulator.store.events.page({ type: "key.compromised" }, Infinity, 1).rows).toHaveLength(1);
  });

  it("is said to stay as it is once, however often it is reported", async () => {
    const { run, simulator } = await begin(OURS, "notify-only");
    for (let times = 0; times < 3; times++) report(run, 1, `report-${times}`);
    await simulator.runFor(2 * SECOND_MS);
    expect(told(run)).toHaveLength(1);
  });

  it("is what a signed report named when it first came, whenever it comes again", async () => {
    const { run, simulator } = await begin(OURS);
    for (let times = 0; times < 3; times++) {
      report(run, undefined, "signed");
      await simulator.runFor(DAY_MS);
    }
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
  });

  it("is reported again while it is dealt with: nothing more is said, and nothing more is called", async () => {
    const { run, simulator, faults } = await begin(OURS);
    faults.set("mint", "refused");
    leak(run, 1);
    await simulator.runFor(10 * SECOND_MS);
    const asked = simulator.calls.filter((call) => call === "mint").length;
    for (let times = 0; times < 5; times++) expect(leak(run, 1).action).toBe("escalated");
    await simulator.runFor(SECOND_MS);
    expect(told(run)).toHaveLength(1);
    expect(simulator.calls.filter((call) => call === "mint")).toHaveLength(asked);
    // Once it waits for its service to end it, no report shortens that wait but the first.
    faults.clear();
    faults.set("revoke", "server-error");
    await simulator.runFor(10 * 60 * SECOND_MS);
    expect(stages(run)[0]).toBe("revoking: compromised");
    const ended = simulator.calls.filter((call) => call === "revoke").length;
    for (let times = 0; times < 5; times++) {
      expect(leak(run, 1).action).toBe("retried");
      await simulator.runFor(SECOND_MS);
    }
    expect(simulator.calls.filter((call) => call === "revoke")).toHaveLength(ended);
  });

  it("is replaced first, whatever the policy says, where only a mint can end it", async () => {
    const { run, simulator } = await begin({ overlap: "none" }, "revoke-first");
    expect(leak(run, 1)).toMatchObject({ action: "started" });
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is replaced first, too, where a mint needs the old value alive although it could be revoked", async () => {
    const { run, simulator, service } = await begin({ overlap: "none", revokes: true }, "revoke-first");
    expect(leak(run, 1)).toMatchObject({ action: "started" });
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    expect(service.live()).toEqual(["ref-2"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("that had to be revoked before its replacement was had leaves a lost key where only it could ask for one", async () => {
    const { run, simulator, faults } = await begin({ overlap: "none", revokes: true });
    faults.set("mint", "refused");
    leak(run, 1);
    await simulator.runFor(2 * 60 * SECOND_MS);
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toEqual(["revoked: compromised"]);
    expect(live(run)).toBeUndefined();
    expect(simulator.store.keys.get("key_scripted")?.state).toBe("lost");
    expect(findBroken(run)).toEqual([]);
  });

  it("of a service with a clock of its own does not wait for that clock", async () => {
    const { run, simulator, service } = await begin({ overlap: "provider", find: true });
    leak(run, 1);
    await simulator.runFor(2 * SECOND_MS);
    expect(service.live()).toEqual(["ref-2"]);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
  });

  it("makes room by revoking our own version in grace, when the service has no slot left", async () => {
    const { run, simulator, service } = await begin({ overlap: "ours", find: true, maxLive: 2 });
    simulator.act(rotate);
    await simulator.runFor(60 * SECOND_MS);
    expect(stages(run)).toEqual(["previous: rotated", "current"]);
    leak(run, 2);
    await simulator.runFor(10 * SECOND_MS);
    expect(stages(run)).toEqual(["revoked: revoked", "revoked: compromised", "current"]);
    expect(service.live()).toEqual(["ref-3"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("that is minted badly again and again is asked for on the backoff table, not without pause", async () => {
    const { run, simulator, service, faults } = await begin(OURS);
    service.mintsDeadValues = true;
    leak(run, 1);
    await simulator.runFor(60 * 60 * SECOND_MS);
    const mints = simulator.calls.filter((name) => name === "mint").length;
    expect(mints).toBeGreaterThan(3);
    expect(mints).toBeLessThan(12);
    service.mintsDeadValues = false;
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run).at(-1)).toBe("current");
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a leak of the value that a live rotation replaces", () => {
  it("escalates that rotation: a destination that is down holds it up no longer", async () => {
    const { run, simulator, world } = await begin(OURS);
    world.refusing.add("one.acme.dev");
    simulator.act(rotate);
    await simulator.runFor(HOUR_MS);
    const rotation = live(run);
    expect(rotation?.step).toBe("deliver");
    expect(leak(run, 1)).toEqual({ action: "escalated", rotationId: rotation?.id });
    await simulator.runFor(2 * SECOND_MS);
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    world.refusing.clear();
    await simulator.runFor(DAY_MS);
    expect(live(run)).toBeUndefined();
    expect(simulator.calls.filter((name) => name === "mint")).toHaveLength(1);
    expect(findBroken(run)).toEqual([]);
  });

  it("does not begin what a worker has in hand a second time", async () => {
    const { run, simulator, faults } = await begin(OURS);
    faults.set("mint", "timeout-took-effect");
    simulator.act(rotate);
    await simulator.runFor(5 * SECOND_MS);
    expect(live(run)?.step).toBe("mint");
    leak(run, 1);
    await simulator.runFor(5 * SECOND_MS);
    expect(simulator.calls.filter((call) => call === "mint")).toHaveLength(1);
    faults.clear();
    await simulator.runFor(DAY_MS);
    expect(stages(run)[0]).toBe("revoked: compromised");
    expect(findBroken(run)).toEqual([]);
  });

  it("turns it round under a new revision when it was putting the old value back", async () => {
    const { run, simulator, world } = await begin(OURS);
    world.refusing.add("one.acme.dev");
    simulator.act(rotate);
    await simulator.runFor(7 * HOUR_MS);
    expect(live(run)?.step).toBe("put-back");
    expect(world.stored.get("billing")).toBe("scripted-secret-1");
    const { revision = 0 } = simulator.store.keys.get("key_scripted") ?? {};
    leak(run, 1);
    await simulator.runFor(2 * SECOND_MS);
    expect(simulator.store.keys.get("key_scripted")?.revision).toBe(revision + 1);
    expect(world.stored.get("billing")).toBe("scripted-secret-2");
    expect(stages(run)).toEqual(["revoked: compromised", "current"]);
    world.refusing.clear();
    await simulator.runFor(DAY_MS);
    expect(findBroken(run)).toEqual([]);
  });

  it("overrules a cancellation that waits for a mint in doubt", async () => {
    const { run, simulator, faults } = await begin({ overlap: "ours", find: true, propagationMs: 30_000 });
    faults.set("mint", "answer-lost-lands-late");
    simulator.act(rotate);
    await simulator.runFor(SECOND_MS);
    faults.clear();
    expect(live(run)?.step).toBe("settle");
    simulator.act((context) => {
      const rotation = live(run);
      if (rotation) cancelRotation(context, rotation, "root");
    });
    leak(run, 1);
    await simulator.runFor(DAY_MS);
    expect(stages(run)).toContain("current");
    expect(stages(run)[0]).toBe("revoked: compromised");
    expect(findBroken(run)).toEqual([]);
  });
});
