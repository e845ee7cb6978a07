/** A required destination that does not even answer: nothing is minted, the reason is shown, and it is asked again. */
import { describe, expect, it } from "vitest";
import { at, pass } from "../support/clock.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { cron, makeScene } from "../support/scene.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

async function makeBlocked() {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  const key = await scene.key({ destinations: ["hook"], policy: { maxAge: "30d" } });
  hook.fail(503);
  pass("30d");
  await cron();
  await quiet(scene);
  const [rotation] = await scene.rotations();
  return { scene, hook, key, id: rotation?.id ?? "", startedAt: at(rotation?.startedAt) };
}

describe("a rotation whose required destination is down", () => {
  it("is blocked, says why, and mints nothing", async () => {
    const { scene, hook, id } = await makeBlocked();
    expect(await scene.rotation(id)).toMatchObject({
      live: true,
      state: "blocked",
      step: "preflight",
      toVersion: null,
      problem: "hook: hooks.acme.dev answered 503",
      lastCall: { method: "POST", host: "hooks.acme.dev", status: 503, code: "status" },
    });
    expect(scene.journal).toEqual(["hook: ping"]);
    expect(hook.versions).toEqual([1]);
    const blocked = await scene.events("key.rotation.blocked");
    expect(blocked).toHaveLength(1);
    expect(blocked[0]?.data).toMatchObject({ rotationId: id, problem: "hook: hooks.acme.dev answered 503" });
  });

  it("asks again after 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, and a last time at the deadline", async () => {
    const { scene, hook, startedAt } = await makeBlocked();
    await runUntil(scene, startedAt + 12 * HOUR);
    const times = hook.pings.slice(1).map((ping) => ping.at);
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    const table = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 2 * HOUR];
    for (const [index, base] of table.entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(base);
      expect(waits[index]).toBeLessThanOrEqual(base * 1.1);
    }
    expect(waits).toHaveLength(table.length + 1);
    expect((times.at(-1) ?? 0) - startedAt).toBe(6 * HOUR);
  });

  it("fails after deliverWithin with the old value current and nothing minted", async () => {
    const { scene, hook, key, id } = await makeBlocked();
    await runUntil(scene, Date.now() + 6 * HOUR);
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "failed", toVersion: null });
    expect(await scene.stages()).toEqual(["current"]);
    expect(await scene.verdict(key.secret)).toBe("valid");
    expect(hook.versions).toEqual([1]);
    expect((await scene.events("key.rotation.failed")).at(-1)?.data).toMatchObject({
      rotationId: id,
      state: "failed",
      problem: "hook: hooks.acme.dev answered 503",
    });
  });

  it("succeeds as soon as it is back", async () => {
    const { scene, hook, id } = await makeBlocked();
    await runUntil(scene, Date.now() + 20 * MINUTE);
    hook.up();
    await runUntil(scene, Date.now() + 30 * MINUTE);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded", problem: null });
    expect(hook.versions).toEqual([1, 2]);
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });

  it("mints nothing when it is back only at the deadline, and is tried again soon", async () => {
    const { scene, hook, id } = await makeBlocked();
    await runUntil(scene, Date.now() + 5 * HOUR);
    hook.up();
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed", toVersion: null });
    pass("1m");
    await cron();
    await quiet(scene);
    const [second] = await scene.rotations();
    expect(second).toMatchObject({ state: "succeeded", toVersion: 2 });
    expect(second?.id).not.toBe(id);
  });

  it("waits for as long as the receiver asks with Retry-After", async () => {
    const { scene, hook } = await makeBlocked();
    hook.fail(429, { "retry-after": "3600" });
    await runUntil(scene, Date.now() + 6 * SECOND);
    const asked = hook.pings.at(-1)?.at ?? 0;
    expect(at((await scene.rotations())[0]?.nextTryAt)).toBe(asked + HOUR);
    await runUntil(scene, asked + HOUR - 1);
    expect(hook.pings.at(-1)?.at).toBe(asked);
    await runUntil(scene, asked + HOUR);
    expect(hook.pings.at(-1)?.at).toBe(asked + HOUR);
  });

  it("keeps trying on the table, a step further for each failure in a row", async () => {
    const { scene, hook, id } = await makeBlocked();
    const failedAt = async () => {
      await runUntil(scene, Date.now() + 6 * HOUR);
      const [last] = await scene.rotations();
      return at(last?.endedAt);
    };
    const first = await failedAt();
    const retryAt = async () => at((await scene.read()).nextRotationAt);
    expect((await retryAt()) - first).toBeGreaterThanOrEqual(5 * SECOND);
    expect((await retryAt()) - first).toBeLessThanOrEqual(5.5 * SECOND);
    pass("5m");
    await cron();
    await quiet(scene);
    const second = await failedAt();
    expect((await retryAt()) - second).toBeGreaterThanOrEqual(30 * SECOND);
    expect((await retryAt()) - second).toBeLessThanOrEqual(33 * SECOND);
    expect((await scene.rotations()).map((row) => row.state)).toEqual(["failed", "failed"]);

    hook.up();
    pass("5m");
    await cron();
    await quiet(scene);
    const [third] = await scene.rotations();
    expect(third).toMatchObject({ state: "succeeded" });
    expect(third?.id).not.toBe(id);
    expect(at((await scene.read()).nextRotationAt)).toBe(Date.now() + 30 * 24 * HOUR);
  });

  it("does not start before that step is over, however often cron comes", async () => {
    const { scene } = await makeBlocked();
    await runUntil(scene, Date.now() + 6 * HOUR);
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(1);
  });

  it("does not hold up the rotation of another key", async () => {
    const { scene } = await makeBlocked();
    const other = await scene.webhook("other");
    await scene.key({ name: "other", destinations: ["other"] });
    await scene.rotate("other");
    await quiet(scene);
    expect(other.versions).toEqual([1, 2]);
    expect(await scene.stages("other")).toEqual(["previous", "current"]);
  });
});

describe("preflight", () => {
  it("asks every required destination and no other", async () => {
    const scene = await makeScene();
    for (const name of ["a", "b", "c"]) await scene.webhook(name);
    await scene.key({ destinations: ["a", "b", { id: "c", required: false }] });
    pass("10m");
    await scene.rotate();
    await quiet(scene);
    expect(scene.journal.filter((call) => call.endsWith("ping")).toSorted()).toEqual(["a: ping", "b: ping"]);
  });

  it("does not ask again who answered within five minutes", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    pass("5m");
    await scene.rotate();
    await quiet(scene);
    expect(scene.journal).toEqual(["hook: key.version.ready v2 r2"]);
  });

  it("asks all at once, and one that is red is enough to mint nothing", async () => {
    const scene = await makeScene();
    await scene.webhook("good");
    const bad = await scene.webhook("bad");
    await scene.key({ destinations: ["good", "bad"] });
    bad.fail(500);
    pass("10m");
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(scene.journal.toSorted()).toEqual(["bad: ping", "good: ping"]);
    expect(await scene.rotation(id)).toMatchObject({ state: "blocked", toVersion: null });
  });
});
