/** The object dies anywhere, and every alarm rings twice: the end is the same. */
import { describe, expect, it } from "vitest";
import { at, pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { alarmAt, crash, inside, quiet, ring, runUntil, startAlarm } from "../support/inside.ts";
import { cron, type Hook, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** A claim's lease: after this, what a dead instance had in hand is taken up again. */
const LEASE_MS = 45_000;

async function makeReady(policy = {}): Promise<{ scene: Scene; hook: Hook; old: string }> {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  const { secret: old } = await scene.key({
    destinations: ["hook"],
    policy: { maxAge: "30d", grace: "2h", ...policy },
  });
  pass("10m");
  return { scene, hook, old };
}

async function expectCleanEnd(scene: Scene, id: string): Promise<void> {
  await runUntil(scene, Date.now() + 3 * HOUR);
  expect(await scene.rotation(id)).toMatchObject({ state: "succeeded", live: false });
  expect(await scene.stages()).toEqual(["revoked", "current"]);
  expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });
}

describe("an object that dies", () => {
  it("during preflight: nothing was minted, it asks again and goes on", async () => {
    const { scene, hook } = await makeReady();
    hook.hold();
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.pings).toHaveLength(2));
    await crash(scene);
    hook.up();
    expect(await scene.stages()).toEqual(["current"]);
    await runUntil(scene, Date.now() + LEASE_MS);
    expect(scene.journal).toEqual(["hook: ping", "hook: ping", "hook: key.version.ready v2 r2"]);
    await expectCleanEnd(scene, id);
  });

  it("while it is blocked: it goes on when its next try is due", async () => {
    const { scene, hook } = await makeReady();
    hook.fail(503);
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "blocked" });
    await quiet(scene);
    await crash(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "blocked" });
    hook.up();
    await expectCleanEnd(scene, id);
    expect(hook.versions).toEqual([1, 2]);
  });

  it("during a delivery: the same message is sent again, and nothing else is minted", async () => {
    const { scene, hook, old } = await makeReady();
    hook.hold(({ type }) => type !== "ping");
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await crash(scene);
    hook.up();
    expect(await scene.stages()).toEqual(["current", "pending"]);
    expect(await scene.verdict(old)).toBe("valid");

    await runUntil(scene, Date.now() + LEASE_MS - 1_000);
    expect(hook.versions).toEqual([1, 2]);
    await runUntil(scene, Date.now() + 1_000);
    expect(hook.versions).toEqual([1, 2, 2]);
    const [, first, second] = hook.deliveries;
    expect(second?.id).toBe(first?.id);
    expect(second?.raw).toBe(first?.raw);
    await expectCleanEnd(scene, id);
  });

  it("between two of its deliveries: only the one that was not confirmed is repeated", async () => {
    const scene = await makeScene();
    const first = await scene.webhook("first");
    const second = await scene.webhook("second");
    await scene.key({ destinations: ["first", "second"], policy: { grace: "2h" } });
    second.hold();
    const { id } = await scene.rotate();
    await eventually(async () =>
      expect((await scene.deliveries()).filter((row) => row.state === "delivered")).toHaveLength(3),
    );
    await eventually(() => expect(second.versions).toEqual([1, 2]));
    await crash(scene);
    second.up();
    await runUntil(scene, Date.now() + LEASE_MS);
    expect(first.versions).toEqual([1, 2]);
    expect(second.versions).toEqual([1, 2, 2]);
    await expectCleanEnd(scene, id);
  });

  it("in the grace: the old version is retired when that ends", async () => {
    const { scene, old } = await makeReady();
    const { id } = await scene.rotate();
    await quiet(scene);
    await crash(scene);
    await runUntil(scene, Date.now() + HOUR);
    await crash(scene);
    expect(await scene.verdict(old)).toBe("valid");
    await expectCleanEnd(scene, id);
  });

  it("while it retires a version: that is taken up again and ends", async () => {
    const { scene } = await makeReady();
    const { id } = await scene.rotate();
    await quiet(scene);
    pass("2h");
    // As a crash leaves it after the commit that ended the grace and before anything else.
    await inside(scene, (store) => {
      const row = store.versions.byNumber(store.keys.find("billing")?.id ?? "", 1);
      if (!row) throw new Error("no version");
      const lease = Date.now() + LEASE_MS;
      store.versions.update(row, {
        stage: "revoking",
        claim: row.claim + 1,
        leaseUntil: lease,
        dueAt: lease,
      });
    });
    await crash(scene);
    expect(await scene.stages()).toEqual(["revoking", "current"]);
    await expectCleanEnd(scene, id);
  });

  it("while it puts the old value back: it goes on with that", async () => {
    const { scene, hook, old } = await makeReady({ deliverWithin: "10m" });
    hook.refuseDeliveries(503, ({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await quiet(scene);
    const deadline = at((await scene.rotation(id)).deadlineAt);
    await runUntil(scene, deadline - 1);
    hook.hold(({ data }) => data.version === 1);
    pass("1s");
    await startAlarm(scene);
    await eventually(() => expect(hook.versions.at(-1)).toBe(1));
    await crash(scene);
    hook.up();
    expect(await scene.rotation(id)).toMatchObject({ step: "put-back", live: true });
    await runUntil(scene, Date.now() + LEASE_MS);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    expect(await scene.verdict(old)).toBe("valid");
    expect(hook.deliveries.at(-1)?.data).toMatchObject({ version: 1, revision: 3 });
  });

  it("right after cron started a rotation: the alarm goes on with it", async () => {
    const { scene, hook } = await makeReady();
    hook.hold();
    pass("30d");
    await cron();
    await eventually(() => expect(hook.pings).toHaveLength(2));
    await crash(scene);
    hook.up();
    const [rotation] = await scene.rotations();
    await expectCleanEnd(scene, rotation?.id ?? "");
    expect(await scene.rotations()).toHaveLength(1);
  });
});

describe("an alarm that rings twice", () => {
  it("at every step changes nothing", async () => {
    const { scene, hook } = await makeReady();
    hook.fail(503);
    const { id } = await scene.rotate();
    await quiet(scene);
    await ringTwice(scene);
    hook.up();
    for (let alarms = 0; alarms < 30 && (await alarmAt(scene)) !== null; alarms++) {
      await runUntil(scene, (await alarmAt(scene)) ?? 0);
      await ringTwice(scene);
    }
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(hook.versions).toEqual([1, 2]);
    expect(await scene.events("key.rotated")).toHaveLength(1);
    expect(await scene.events("key.revoked")).toHaveLength(1);
  });

  it("during a call starts no second one", async () => {
    const { scene, hook } = await makeReady();
    const release = hook.hold(({ type }) => type !== "ping");
    await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await startAlarm(scene);
    await startAlarm(scene);
    release();
    await quiet(scene);
    expect(hook.versions).toEqual([1, 2]);
  });

  it("too early for a grace leaves the old version alone", async () => {
    const { scene, old } = await makeReady();
    await scene.rotate();
    await quiet(scene);
    pass("1h");
    await ring(scene);
    expect(await scene.verdict(old)).toBe("valid");
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });
});

/** Rings the alarm, sets it again as a platform that lost its memory of it would, and rings it once more. */
async function ringTwice(scene: Scene): Promise<void> {
  for (let times = 0; times < 2; times++) {
    await inside(scene, (_, state) => state.storage.setAlarm(Date.now()));
    await ring(scene);
  }
}
