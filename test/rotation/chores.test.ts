/** What a keyring does by itself: it says that it is alive, that cron stays away, and that its health has changed. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { registryOf } from "../../src/registry/stub.ts";
import { pass, setTime } from "../support/clock.ts";
import { rotationRow } from "../support/database.ts";
import { alarmAt, crash, inside, quiet, runUntil, stubOf } from "../support/inside.ts";
import { meter } from "../support/meter.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";
import { dataOf, subscribe } from "../support/subscriber.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe("the heartbeat", () => {
  it("comes at its interval, to those who asked for it, and stops when it is turned off", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene, "ops", { types: ["keyring.*"] });
    expect(await scene.must("GET", "/v1/settings")).toMatchObject({ heartbeat: "0" });
    await runUntil(scene, Date.now() + 48 * HOUR);
    expect(ops.messages).toEqual([]);
    expect(await scene.must("PATCH", "/v1/settings", { heartbeat: "12h" })).toMatchObject({
      heartbeat: "12h",
    });
    const start = Date.now();
    await runUntil(scene, start + 12 * HOUR - 1);
    expect(ops.messages).toEqual([]);
    await runUntil(scene, start + 25 * HOUR);
    expect(
      ops.deliveries.map((message) => [message.type, message.at - start, dataOf(message)]),
    ).toMatchObject([
      ["keyring.heartbeat", 12 * HOUR, { health: "healthy", every: "12h" }],
      ["keyring.heartbeat", 24 * HOUR, { health: "healthy", every: "12h" }],
    ]);
    await scene.must("PATCH", "/v1/settings", { heartbeat: "0" });
    await runUntil(scene, start + 72 * HOUR);
    expect(ops.deliveries).toHaveLength(2);
  });

  it("whose interval is set again as it is keeps its time", async () => {
    const scene = await makeScene();
    await scene.must("PATCH", "/v1/settings", { heartbeat: "12h" });
    const due = await alarmAt(scene);
    pass("5h");
    await scene.must("PATCH", "/v1/settings", { heartbeat: "12h" });
    expect(await alarmAt(scene)).toBe(due);
    expect(await scene.events("settings.updated")).toHaveLength(1);
  });
});

/** Goes from alarm to alarm as the platform would while cron is dead. */
async function runWithoutCron(scene: Scene, until: number): Promise<number> {
  for (let alarms = 0; ; alarms++) {
    const next = await alarmAt(scene);
    if (next === null || next > until) {
      setTime(until);
      return alarms;
    }
    setTime(Math.max(next, Date.now()));
    await runDurableObjectAlarm(stubOf(scene));
    await quiet(scene);
  }
}

describe("cron that stays away", () => {
  it("is told once by the keyring's own alarm, one an hour at most, and once when it is back", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene, "ops", { types: ["cron.*"] });
    await registryOf(env).beginSweep(Date.now());
    const last = new Date(Date.now()).toISOString();
    const alarms = await runWithoutCron(scene, Date.now() + 10 * HOUR);
    expect(alarms).toBeLessThanOrEqual(11);
    expect(ops.deliveries.map((message) => [message.type, dataOf(message).lastCronAt])).toEqual([
      ["cron.missing", last],
    ]);
    await registryOf(env).beginSweep(Date.now());
    const back = new Date(Date.now()).toISOString();
    await runUntil(scene, Date.now() + 10 * HOUR);
    expect(ops.deliveries.slice(1).map((message) => [message.type, dataOf(message).lastCronAt])).toEqual([
      ["cron.back", expect.any(String)],
    ]);
    expect(String(dataOf(ops.deliveries[1] ?? (ops.deliveries[0] as never)).lastCronAt) >= back).toBe(true);
  });

  it("is back as soon as it visits the keyring", async () => {
    const scene = await makeScene();
    await subscribe(scene, "ops", { types: ["cron.*"] });
    await registryOf(env).beginSweep(Date.now());
    await runWithoutCron(scene, Date.now() + 25 * HOUR);
    expect(await scene.events("cron.missing")).toHaveLength(1);
    await cron();
    await quiet(scene);
    expect(await scene.events("cron.back")).toHaveLength(1);
  });

  it("that never came is told, too", async () => {
    const scene = await makeScene();
    await subscribe(scene, "ops", { types: ["cron.*"] });
    await runWithoutCron(scene, Date.now() + 5 * HOUR);
    expect((await scene.events("cron.missing")).map(({ data }) => data)).toEqual([{ lastCronAt: null }]);
  });

  it("is not missing half an hour after it came", async () => {
    const scene = await makeScene();
    await subscribe(scene, "ops", { types: ["cron.*"] });
    const due = Number(await alarmAt(scene));
    await registryOf(env).beginSweep(due - 30 * MINUTE);
    await runWithoutCron(scene, due);
    expect(await scene.events("cron.missing")).toEqual([]);
  });

  it("is nobody's concern without a subscription: no alarm is set for it", async () => {
    const scene = await makeScene();
    expect(await alarmAt(scene)).toBeNull();
    await subscribe(scene);
    expect(await alarmAt(scene)).toBe(Date.now() + HOUR);
    await scene.must("DELETE", "/v1/subscriptions/ops");
    pass("1h");
    await runDurableObjectAlarm(stubOf(scene));
    expect(await alarmAt(scene)).toBeNull();
  });

  it("is looked after for two rows and an alarm each time", async () => {
    const scene = await makeScene();
    await subscribe(scene, "ops", { types: ["cron.*"] });
    const seen = await inside(scene, (_, state) => meter(state));
    await runUntil(scene, Date.now() + HOUR);
    const rows = await inside(scene, () => {
      const written = seen.writtenByTable();
      seen.remove();
      return written;
    });
    expect(rows).toEqual({ alarm: 1, chore: 1, due: 1 });
  });
});

/** Types of what a subscriber was sent, with how health changed. */
async function changes(scene: Scene): Promise<unknown[]> {
  return (await scene.events("health.changed")).map(({ data }) => [data.from, data.to]);
}

describe("a change of health", () => {
  it("is told once when something stays broken, with reasons, and once when it is well again", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const ops = await subscribe(scene, "ops", { types: ["health.changed"] });
    await scene.key({ destinations: [{ id: "hook", required: false }] });
    hook.refuseDeliveries();
    await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + 84 * HOUR);
    expect(ops.deliveries.map((message) => dataOf(message))).toMatchObject([
      {
        from: "healthy",
        to: "degraded",
        reasons: "1 delivery was given up; 1 destination does not answer",
      },
    ]);
    hook.up();
    await scene.must("POST", "/v1/destinations/hook/test");
    await quiet(scene);
    await runUntil(scene, Date.now() + MINUTE);
    expect(await changes(scene)).toEqual([
      ["healthy", "degraded"],
      ["degraded", "healthy"],
    ]);
    expect(await inside(scene, (store) => store.chores.get("health"))).toBeUndefined();
  });

  it("that heals within a minute rings nobody", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    hook.fail(410);
    await scene.must("POST", "/v1/destinations/hook/test");
    hook.up();
    await scene.must("POST", "/v1/destinations/hook/test");
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.events("delivery.failing")).toHaveLength(1);
    expect(await changes(scene)).toEqual([]);
  });

  it("by a rotation that is blocked and fails at its deadline is told then", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "2h" } });
    pass("10m");
    hook.fail(503);
    await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + 2 * HOUR - MINUTE);
    expect(await changes(scene)).toEqual([]);
    await runUntil(scene, Date.now() + 5 * MINUTE);
    expect(await changes(scene)).toEqual([["healthy", "degraded"]]);
  });

  it("by one that is blocked without end is told when its time to deliver is over", async () => {
    const scene = await makeScene();
    const { id: keyId } = await scene.key({});
    const deadlineAt = Date.now() + 30 * MINUTE;
    const blocked = { keyId, state: "blocked" as const, deadlineAt, dueAt: deadlineAt + HOUR };
    await inside(scene, async (store, { storage }) => {
      store.rotations.insert(rotationRow(blocked));
      store.chores.set("health", Date.now());
      await storage.setAlarm(Date.now());
    });
    // The object remembers what it has read.
    await crash(scene);
    await runUntil(scene, deadlineAt);
    expect(await changes(scene)).toEqual([]);
    await runUntil(scene, deadlineAt + 2 * MINUTE);
    expect(await changes(scene)).toEqual([["healthy", "failing"]]);
  });

  it("that no event announces is seen when the sweep comes", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    await scene.key({ destinations: ["store"], policy: { maxAge: "300d" } });
    await inside(scene, (store) => {
      const [key] = store.keys.select("");
      if (key) store.keys.update(key, { state: "lost" });
    });
    pass("25h");
    await cron();
    await quiet(scene);
    expect(await changes(scene)).toEqual([["healthy", "failing"]]);
  });

  it("is looked at once a minute at most, and never for what goes well", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    expect(await inside(scene, (store) => store.chores.get("health"))).toBeUndefined();
    const start = Date.now();
    hook.fail(410);
    for (const _ of [1, 2, 3]) {
      await scene.must("POST", "/v1/destinations/hook/test");
      pass("10s");
    }
    expect(await inside(scene, (store) => store.chores.get("health")?.dueAt)).toBe(start + MINUTE);
  });
});
