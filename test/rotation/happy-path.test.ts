/** A key past its age, from the cron that finds it to the proof that its old value is dead. */
import { describe, expect, it } from "vitest";
import { at, pass, setTime } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { inside, quiet, ring, runUntil } from "../support/inside.ts";
import { cron, makeScene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe("a key past its age", () => {
  it("is asked for, delivered, promoted, retired and seen dead, in this order", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "30d", grace: "2h" } });

    pass("30d");
    await cron();
    await quiet(scene);
    const [rotation] = await scene.rotations();
    expect(rotation).toMatchObject({
      trigger: "schedule",
      requestedBy: "cron",
      state: "succeeded",
      live: false,
    });
    await runUntil(scene, at(rotation?.endedAt) + 3 * HOUR);

    expect(scene.journal).toEqual(["hook: ping", "hook: key.version.ready v2 r2"]);
    expect((await scene.events()).map((event) => event.type).slice(-5)).toEqual([
      "delivery.succeeded",
      "key.rotation.started",
      "delivery.succeeded",
      "key.rotated",
      "key.revoked",
    ]);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("is delivered before it is promoted, and both values work from then on", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret: old } = await scene.key({ destinations: ["hook"], policy: { maxAge: "30d" } });
    const release = hook.hold((message) => message.type !== "ping");
    pass("30d");
    await cron();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));

    expect(await scene.stages()).toEqual(["current", "pending"]);
    const fresh = hook.deliveries.at(-1)?.data.fields?.secret ?? "";
    expect(await scene.verdict(fresh)).toBe("valid");
    expect(await scene.verdict(old)).toBe("valid");

    release();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    expect(await scene.verdict(fresh)).toBe("valid");
    expect(await scene.verdict(old)).toBe("valid");
  });

  it("keeps its old value for the grace, to the millisecond, and then revokes it", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret: old } = await scene.key({ destinations: ["hook"], policy: { grace: "2h" } });
    await scene.rotate();
    await quiet(scene);
    const [before] = (await scene.read()).versions;
    expect(at(before?.graceEndsAt) - Date.now()).toBe(2 * HOUR);

    setTime(at(before?.graceEndsAt) - 1);
    expect(await scene.verdict(old)).toBe("valid");
    setTime(at(before?.graceEndsAt));
    expect(await scene.verdict(old)).toBe("grace-ended");
    expect(await scene.stages()).toEqual(["previous", "current"]);

    await ring(scene);
    const [after] = (await scene.read()).versions;
    expect(after).toMatchObject({ stage: "revoked", confirmed: true, endReason: "rotated" });
    expect(await scene.verdict(old)).toBe("grace-ended");
    expect(await scene.verdict(hook.secret ?? "")).toBe("valid");
  });

  it("keeps its old value sealed as long as that may be put back, and not after it is dead", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const { id } = await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
    const isKept = () => inside(scene, (store) => store.versions.byNumber(id, 1)?.sealed !== null);
    await scene.rotate();
    await quiet(scene);
    expect(await isKept()).toBe(true);
    pass("1h");
    await ring(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(await isKept()).toBe(false);
  });

  it("is in KV under its name, the bare secret", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    const { secret: old } = await scene.key({ destinations: [{ id: "store", as: "billing-key" }] });
    expect(await scene.inKv("billing-key")).toBe(old);
    await scene.rotate();
    await quiet(scene);

    expect(scene.journal).toEqual(["KEYS: put billing-key"]);
    const held = (await scene.inKv("billing-key")) ?? "";
    expect(held).not.toBe(old);
    expect(await scene.verdict(held)).toBe("valid");
  });

  it("is never revoked before KV is sure to show the new value everywhere", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    await scene.kv("quick", { propagation: "5s" });
    await scene.key({ name: "slow", destinations: ["store"], policy: { grace: "10s" } });
    await scene.key({ name: "fast", destinations: ["quick"], policy: { grace: "0" } });
    await scene.rotate("slow");
    await scene.rotate("fast");
    await quiet(scene);
    const graceOf = async (name: string) =>
      at((await scene.read(name)).versions[0]?.graceEndsAt) - Date.now();
    expect(await graceOf("slow")).toBe(MINUTE);
    expect(await graceOf("fast")).toBe(5_000);
  });

  it("waits for each of several required destinations, and for none that is not", async () => {
    const scene = await makeScene();
    const first = await scene.webhook("first");
    const second = await scene.webhook("second");
    const third = await scene.webhook("third");
    await scene.key({ destinations: ["first", "second", { id: "third", required: false }] });
    const releaseSecond = second.hold();
    const releaseThird = third.hold();
    await scene.rotate();
    await eventually(() => {
      expect([first.versions, second.versions, third.versions]).toEqual([
        [1, 2],
        [1, 2],
        [1, 2],
      ]);
    });
    expect(await scene.stages()).toEqual(["current", "pending"]);

    releaseSecond();
    await eventually(async () => expect(await scene.stages()).toEqual(["previous", "current"]));
    expect((await scene.deliveries()).filter((row) => row.state === "pending")).toHaveLength(1);
    releaseThird();
    await quiet(scene);
    expect((await scene.deliveries()).every((row) => row.state === "delivered")).toBe(true);
  });
});

describe("cron", () => {
  it("does nothing to a key that is not due", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "30d" } });
    pass("29d");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toEqual([]);
  });

  it("may be doubled: the key is rotated once", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "30d" } });
    const release = hook.hold((message) => message.type !== "ping");
    pass("30d");
    await Promise.all([cron(), cron()]);
    await cron();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await cron();
    release();
    await quiet(scene);
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(1);
    expect(hook.versions).toEqual([1, 2]);
  });

  it("may be skipped for days: the next one rotates the key, once", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1d" } });
    pass("9d");
    await cron();
    await quiet(scene);
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(1);
    expect(at((await scene.read()).nextRotationAt)).toBe(Date.now() + 24 * HOUR);
  });

  it("rotates again and again, each time at the age of the version that is current", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h", grace: "10m" } });
    for (let hour = 0; hour < 5; hour++) {
      await runUntil(scene, Date.now() + 30 * MINUTE);
      await cron();
      await quiet(scene);
      await runUntil(scene, Date.now() + 30 * MINUTE);
      await cron();
      await quiet(scene);
    }
    expect(hook.versions).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await scene.stages()).toEqual(["revoked", "revoked", "revoked", "revoked", "previous", "current"]);
  });
});
