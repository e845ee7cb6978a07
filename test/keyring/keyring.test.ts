/** The Durable Object of a keyring, before it is made and when it is woken. */
import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { keyringOf } from "../../src/keyring/stub.ts";
import { setTime } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { alarmAt, inside, quiet, runUntil, startAlarm, stubOf } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;
const ROOT_CALL = { credential: { kind: "root" }, route: "test" } as const;

describe("a keyring that was never made", () => {
  it("writes nothing, whatever it is asked", async () => {
    const code = "NoSuch01";
    const keyring = keyringOf(env, code);
    const unknown = { ok: false, error: { code: "keyring-unknown" } };
    expect(await keyring.visit()).toEqual(unknown);
    expect(await keyring.getKey(ROOT_CALL, "billing")).toEqual(unknown);
    expect(await keyring.verify(null, "test", "x", [])).toEqual(unknown);
    expect(await keyring.deleteKey(ROOT_CALL, "billing")).toEqual(unknown);

    const found = await runInDurableObject(stubOf({ code }), async (_, { storage }) => ({
      tables: storage.sql
        .exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")
        .toArray(),
      entries: (await storage.list()).size,
      alarm: await storage.getAlarm(),
    }));
    expect(found).toEqual({ tables: [], entries: 0, alarm: null });
  });

  it("is not made by an alarm", async () => {
    const stub = stubOf({ code: "NoSuch02" });
    await runInDurableObject(stub, (_, { storage }) => storage.setAlarm(Date.now() + HOUR));
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    const tables = await runInDurableObject(stub, (_, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'key'").toArray(),
    );
    expect(tables).toEqual([]);
  });
});

describe("making a keyring", () => {
  it("twice changes nothing", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const identity = { name: scene.name, code: scene.code };
    expect(await keyringOf(env, scene.code).make(identity)).toEqual({ ok: true, value: null });
    expect(await scene.verdict(secret)).toBe("valid");
    expect(await scene.events("keyring.created")).toHaveLength(1);
  });

  it("that was cut off after it was listed is finished by the next call", async () => {
    const scene = await makeScene();
    // As when the Worker died between the registry's entry and the keyring's own tables.
    await inside(scene, (_, { storage }) => storage.deleteAll());
    await abortAllDurableObjects();
    const made = await scene.startKey({});
    expect(await scene.verdict(made.secret)).toBe("valid");
  });
});

describe("a keyring at rest", () => {
  it("can be put to sleep as soon as its last call is answered: no timer keeps it in memory", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret } = await scene.key({ destinations: ["hook"] });
    // Waits for whatever the object still has to do; a call's time-out is 15 s.
    await evictDurableObject(stubOf(scene));
    expect(await scene.verdict(secret)).toBe("valid");
    expect(hook.versions).toEqual([1]);
  });
});

describe("the alarm", () => {
  it("is set for the earliest thing under way, and for nothing that cron will start", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h", grace: "20h" } });
    await runUntil(scene, Date.now() + 60_000);
    expect(await alarmAt(scene)).toBeNull();
    await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + 60_000);
    const [old] = (await scene.read()).versions;
    expect(await alarmAt(scene)).toBe(Date.parse(old?.graceEndsAt ?? ""));
  });

  it("returns while the work that it started is still going on", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    hook.fail(503);
    await scene.startKey({ destinations: ["hook"] });
    await quiet(scene);
    const release = hook.hold();
    const { nextTryAt } = (await scene.deliveries())[0] ?? {};
    setTime(Date.parse(nextTryAt ?? ""));
    // Would wait for the receiver for ever, were the call part of the alarm.
    expect(await runDurableObjectAlarm(stubOf(scene))).toBe(true);
    await eventually(() => expect(hook.pings).toHaveLength(2));
    release();
    await quiet(scene);
    expect(hook.versions).toEqual([1]);
  });

  it("does not lose one keyring's grace to another's silent receiver", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const silent = await scene.webhook("silent");
    await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
    await scene.rotate();
    await quiet(scene);
    const release = silent.hold();
    await scene.startKey({ name: "other", destinations: ["silent"] });
    await eventually(() => expect(silent.pings).toHaveLength(1));
    setTime(Date.parse((await scene.read()).versions[0]?.graceEndsAt ?? ""));
    await startAlarm(scene);
    await eventually(async () => expect(await scene.stages()).toEqual(["revoked", "current"]));
    release();
    await quiet(scene);
  });
});
