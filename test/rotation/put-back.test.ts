/** A required destination that answers pings and then refuses the value: everything goes back before anything is discarded. */
import { describe, expect, it } from "vitest";
import { at, pass, setTime } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { quiet, runUntil, startAlarm } from "../support/inside.ts";
import { cron, type Hook, makeScene, type Scene } from "../support/scene.ts";

const SECOND = 1_000;
const HOUR = 3_600_000;

interface HalfDelivered {
  scene: Scene;
  good: Hook;
  bad: Hook;
  old: string;
  /** The new value, as `good` got it. */
  fresh: string;
  id: string;
}

/** A scheduled rotation that `good` has accepted and `bad` refuses. */
async function makeHalfDelivered(): Promise<HalfDelivered> {
  const scene = await makeScene();
  const good = await scene.webhook("good");
  const bad = await scene.webhook("bad");
  const { secret: old } = await scene.key({ destinations: ["good", "bad"], policy: { maxAge: "30d" } });
  bad.refuseDeliveries();
  pass("30d");
  await cron();
  await quiet(scene);
  const [rotation] = await scene.rotations();
  return { scene, good, bad, old, fresh: good.secret ?? "", id: rotation?.id ?? "" };
}

describe("a required destination that dies after preflight", () => {
  it("is given until deliverWithin, on its own retry table", async () => {
    const { scene, good, bad, id } = await makeHalfDelivered();
    await runUntil(scene, Date.now() + 6 * HOUR - SECOND);
    expect(await scene.rotation(id)).toMatchObject({ state: "running", step: "deliver" });
    expect(good.versions).toEqual([1, 2]);
    expect(bad.versions.length).toBeGreaterThan(4);
    expect(await scene.stages()).toEqual(["current", "pending"]);
  });

  it("gets the new value when it recovers in time", async () => {
    const { scene, bad, id } = await makeHalfDelivered();
    await runUntil(scene, Date.now() + 2 * HOUR);
    bad.up();
    await runUntil(scene, Date.now() + 3 * HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(bad.versions.at(-1)).toBe(2);
  });

  it("has the old value put back everywhere it was tried, under a higher revision, and only then is the new one revoked", async () => {
    const { scene, good, bad, old, fresh, id } = await makeHalfDelivered();
    // It takes back the old value, though it refused the new one.
    bad.refuseDeliveries(503, ({ data }) => data.version === 2);
    const release = good.hold(({ data }) => data.version === 1);
    scene.journal.length = 0;
    await runUntilDeadline(scene, id);

    await eventually(() => expect(scene.journal.at(-1)).toMatch(/v1 r3$/));
    await eventually(() => expect([good.versions.at(-1), bad.versions.at(-1)]).toEqual([1, 1]));
    expect(await scene.rotation(id)).toMatchObject({
      state: "needs-attention",
      step: "put-back",
      live: true,
      problem: "a required destination did not confirm in time",
    });
    expect(await scene.stages()).toEqual(["current", "pending"]);
    expect(await scene.verdict(fresh)).toBe("valid");
    expect(await scene.verdict(old)).toBe("valid");

    release();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed", live: false });
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    expect(await scene.verdict(old)).toBe("valid");
    expect(await scene.verdict(fresh)).toBe("revoked");
    for (const hook of [good, bad]) {
      expect(hook.deliveries.at(-1)?.data).toMatchObject({
        version: 1,
        revision: 3,
        fields: { secret: old },
      });
    }
  });

  it("keeps the old value valid all along", async () => {
    const { scene, bad, old, id } = await makeHalfDelivered();
    const startedAt = at((await scene.rotation(id)).startedAt);
    for (let hour = 1; hour <= 8; hour++) {
      if (hour === 7) bad.up();
      await runUntil(scene, startedAt + hour * HOUR);
      expect(await scene.verdict(old)).toBe("valid");
    }
    expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
  });

  it("keeps both values alive for as long as it does not confirm the old one", async () => {
    const { scene, good, old, fresh, id } = await makeHalfDelivered();
    await runUntil(scene, Date.now() + 72 * HOUR);
    expect(await scene.rotation(id)).toMatchObject({
      state: "needs-attention",
      step: "put-back",
      live: true,
    });
    expect(await scene.verdict(old)).toBe("valid");
    expect(await scene.verdict(fresh)).toBe("valid");
    expect(good.versions).toEqual([1, 2, 1]);
  });

  it("waits the next step of the table before the schedule starts again", async () => {
    const { scene, bad } = await makeHalfDelivered();
    bad.refuseDeliveries(503, ({ data }) => data.version === 2);
    await runUntil(scene, Date.now() + 6 * HOUR);
    const [failed] = await scene.rotations();
    const wait = at((await scene.read()).nextRotationAt) - at(failed?.endedAt);
    expect(wait).toBeGreaterThanOrEqual(5 * SECOND);
    expect(wait).toBeLessThanOrEqual(5.5 * SECOND);

    bad.up();
    pass("1m");
    await cron();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "discarded", "current"]);
    expect(bad.deliveries.at(-1)?.data).toMatchObject({ version: 3, revision: 4 });
  });
});

describe("putting back", () => {
  it("reaches who may have got the value though its answer was lost", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "10m" } });
    hook.answer(({ type, data }) =>
      type !== "ping" && data.version === 2 ? Response.error() : new Response(),
    );
    const { id } = await scene.rotate();
    await runUntilDeadline(scene, id);
    await scene.reaches(id, { state: "failed" });
    expect(hook.deliveries.at(-1)?.data).toMatchObject({ version: 1, revision: 3 });
  });

  it("comes after a call that is still on its way, so that the old value arrives last", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "10s" } });
    const release = hook.hold(({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    setTime(at((await scene.rotation(id)).deadlineAt));
    await startAlarm(scene);
    await scene.reaches(id, { step: "put-back" });
    expect(hook.versions).toEqual([1, 2]);

    // It did take the new value, late; the old one follows at once.
    release(204);
    await eventually(() => expect(hook.versions).toEqual([1, 2, 1]));
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
    expect(await scene.stages()).toEqual(["current", "discarded"]);
  });

  it("leaves alone an optional destination that was never sent anything", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const silent = await scene.webhook("silent");
    silent.fail(503);
    await scene.key({
      destinations: ["hook", { id: "silent", required: false }],
      policy: { deliverWithin: "10m" },
    });
    hook.refuseDeliveries(503, ({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await runUntilDeadline(scene, id);
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
    expect(await scene.stages()).toEqual(["current", "discarded"]);

    // It never had the old value either, and still gets it when it comes to life.
    silent.up();
    await runUntil(scene, Date.now() + 7 * HOUR);
    expect(silent.deliveries.map(({ data }) => [data.version, data.revision])).toEqual([[1, 3]]);
  });

  it("includes KV, which then holds the old value again", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    const hook = await scene.webhook("hook");
    const { secret: old } = await scene.key({
      destinations: ["store", "hook"],
      policy: { deliverWithin: "10m" },
    });
    hook.refuseDeliveries(503, ({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await eventually(async () => expect(await scene.inKv("billing")).not.toBe(old));
    await runUntilDeadline(scene, id);
    await scene.reaches(id, { state: "failed" });
    expect(await scene.inKv("billing")).toBe(old);
  });

  it("discards at once what no destination was ever sent", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "0" } });
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "failed" });
    await quiet(scene);
    expect(hook.versions).toEqual([1]);
    expect(await scene.stages()).toEqual(["current"]);
  });
});

/** Goes to the rotation's deadline, alarm by alarm, without waiting for calls that hang. */
async function runUntilDeadline(scene: Scene, id: string): Promise<void> {
  const deadline = at((await scene.rotation(id)).deadlineAt);
  await runUntil(scene, deadline - 1);
  setTime(deadline);
  await startAlarm(scene);
  await eventually(async () => expect((await scene.rotation(id)).step).not.toBe("deliver"));
}
