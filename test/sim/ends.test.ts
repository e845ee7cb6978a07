/** What is to end does end: a cancelled rotation, a deleted key, whatever is in doubt at that moment. */
import { describe, expect, it } from "vitest";
import { deleteKey } from "../../src/keyring/operations/keys.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import { abandonVersion, cancelRotation } from "../../src/rotation/interventions.ts";
import { isDead } from "../../src/store/versions.ts";
import { DAY_MS, findBroken, HOUR_MS, KINDS, open, ROOT, type Run, rotate } from "./scene.ts";
import type { Abilities } from "./service.ts";
import type { Fault } from "./simulator.ts";

function latest({ simulator }: Run) {
  const [rotation] = simulator.store.rotations.list("key_scripted", "", 1);
  if (!rotation) throw new Error("no rotation");
  return rotation;
}

/** A mint whose answer was lost, a moment ago. */
async function inDoubt(abilities: Abilities, fault: Fault = "answer-lost"): Promise<Run> {
  let mints = 0;
  const run: Run = open(abilities, (_, name) => {
    if (name !== "mint") return undefined;
    mints += 1;
    return mints === 1 ? fault : undefined;
  });
  await run.simulator.runFor(HOUR_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(HOUR_MS, () => latest(run).step === "settle");
  expect(latest(run).step).toBe("settle");
  return run;
}

/** Those that overlap and keep their own word about when they list a key. */
const HONEST = Object.entries(KINDS).filter(
  ([, { overlap, listLagMs = 0, propagationMs = 0 }]) => overlap === "ours" && listLagMs <= propagationMs,
);

describe.each(HONEST)("while a mint is in doubt at a service with overlap %s", (_, abilities) => {
  it("a cancelled rotation ends cancelled, and the old value stays", async () => {
    const run = await inDoubt(abilities);
    run.simulator.act((context) => cancelRotation(context, latest(run), "root"));
    await run.simulator.runFor(5 * DAY_MS);
    const rotation = latest(run);
    if (rotation.state === "needs-human") return;
    expect(rotation).toMatchObject({ live: false, state: "cancelled" });
    expect(run.simulator.store.versions.current("key_scripted")?.number).toBe(1);
    expect(findBroken(run)).toEqual([]);
  });

  it("a deleted key leaves nothing alive, and is deleted only then", async () => {
    const run = await inDoubt(abilities, "answer-lost-lands-late");
    run.simulator.act((context) => deleteKey(context, ROOT, "billing"));
    await run.simulator.runFor(5_000);
    expect(run.simulator.store.keys.get("key_scripted")?.state).toBe("deleting");
    await run.simulator.runFor(5 * DAY_MS);
    const rotation = latest(run);
    if (rotation.state === "needs-human") return;
    expect(rotation.live).toBe(false);
    expect(run.simulator.store.versions.ofKey("key_scripted").every(isDead)).toBe(true);
    expect(run.service.live()).toEqual([]);
    expect(run.simulator.store.keys.get("key_scripted")?.state).toBe("deleted");
  });
});

describe("a leak while a cancelled rotation settles what is in doubt", () => {
  it("is not forgotten, though a worker has that in hand", async () => {
    const run = await inDoubt({ overlap: "ours", find: true, propagationMs: 30_000 });
    const { simulator } = run;
    simulator.act((context) => cancelRotation(context, latest(run), "root"));
    simulator.act((context) => {
      const key = context.store.keys.get("key_scripted");
      const current = context.store.versions.current("key_scripted");
      if (!key || !current) throw new Error("no version");
      context.store.keys.update(key, { policy: { ...key.policy, onCompromise: "hold" } });
      context.store.rotations.update(latest(run), { leaseUntil: simulator.now + 1 });
      compromiseVersion(context, current, { source: "test", actor: "root" });
    });
    await simulator.runFor(2 * DAY_MS);
    expect(simulator.store.versions.byNumber("key_scripted", 1)).toMatchObject({
      stage: "revoked",
      endReason: "compromised",
    });
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a mint that the service postpones, without overlap", () => {
  it("is not repeated before all is green again", async () => {
    let mints = 0;
    const run: Run = open({ overlap: "none" }, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      if (mints === 1) run.world.down.add("one.acme.dev");
      return mints === 1 ? "rate-limited" : undefined;
    });
    await run.simulator.runFor(HOUR_MS);
    run.simulator.act(rotate);
    await run.simulator.runFor(2 * HOUR_MS);
    expect(mints).toBe(1);
    run.world.down.clear();
    await run.simulator.runFor(DAY_MS);
    expect(mints).toBe(2);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a key that is being deleted", () => {
  it("is gone when its last revocation is given up", async () => {
    const run = open({ overlap: "ours", find: true }, (_, name) =>
      name === "revoke" ? "server-error" : undefined,
    );
    await run.simulator.runFor(HOUR_MS);
    run.simulator.act((context) => deleteKey(context, ROOT, "billing"));
    await run.simulator.runFor(DAY_MS);
    run.simulator.act((context) => {
      const version = context.store.versions.byNumber("key_scripted", 1);
      if (version) abandonVersion(context, version, "root");
    });
    expect(run.simulator.store.keys.get("key_scripted")?.state).toBe("deleted");
    expect(run.simulator.store.events.page({ type: "key.deleted" }, Infinity, 1).rows).toHaveLength(1);
  });
});
