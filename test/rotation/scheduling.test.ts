/** When cron may not start what is due: holds, limits, windows, freezes; and how it catches up. */
import { describe, expect, it } from "vitest";
import type { Policy } from "../../src/store/keys.ts";
import { at, pass, setTime } from "../support/clock.ts";
import { quiet } from "../support/inside.ts";
import { cron, cronAgain, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Keys of one age that are due in an hour. */
async function scheduled(count: number, policy: Policy = {}): Promise<Scene> {
  const scene = await makeScene();
  await scene.kv("store", { propagation: "0" });
  for (let n = 0; n < count; n++) {
    await scene.key({ name: `key-${n}`, destinations: ["store"], policy: { maxAge: "1h", ...policy } });
  }
  return scene;
}

async function rotated(scene: Scene, count: number): Promise<number> {
  await quiet(scene);
  const keys = await Promise.all(Array.from({ length: count }, (_, n) => scene.read(`key-${n}`)));
  return keys.filter(({ versions }) => versions.length > 1).length;
}

describe("a hold", () => {
  it("stops scheduled rotations until it is released, and says who set it and why", async () => {
    const scene = await scheduled(1);
    await scene.must("POST", "/v1/settings/hold", { reason: "a bad deploy" });
    pass("90m");
    await cron();
    expect(await rotated(scene, 1)).toBe(0);
    expect(await scene.must("GET", "/v1/settings")).toMatchObject({
      hold: { reason: "a bad deploy", by: "root", until: null },
    });
    await scene.must("POST", "/v1/settings/release");
    pass("1h");
    await cron();
    expect(await rotated(scene, 1)).toBe(1);
    expect((await scene.events()).map(({ type }) => type)).toEqual(
      expect.arrayContaining(["hold.started", "hold.released"]),
    );
  });

  it("ends by itself at the time that was given", async () => {
    const scene = await scheduled(1);
    const until = new Date(Date.now() + 3 * HOUR).toISOString();
    await scene.must("POST", "/v1/settings/hold", { reason: "a release", until });
    setTime(at(until) - 1);
    await cron();
    expect(await rotated(scene, 1)).toBe(0);
    setTime(at(until) + HOUR);
    await cron();
    expect(await rotated(scene, 1)).toBe(1);
    expect(await scene.must("GET", "/v1/settings")).toMatchObject({ hold: null });
  });

  it("lets a rotation by hand through", async () => {
    const scene = await scheduled(1);
    await scene.must("POST", "/v1/settings/hold", { reason: "a bad deploy" });
    await scene.rotate("key-0");
    expect(await rotated(scene, 1)).toBe(1);
  });

  it("leaves a live rotation alone", async () => {
    const scene = await scheduled(1);
    const hook = await scene.webhook("hook");
    await scene.key({ name: "key-1", destinations: ["hook"], policy: { maxAge: "1h" } });
    const release = hook.hold((message) => message.type !== "ping");
    pass("1h");
    await cron();
    await scene.must("POST", "/v1/settings/hold", { reason: "a bad deploy" });
    release();
    expect(await rotated(scene, 2)).toBe(2);
  });

  it("spreads what fell due meanwhile over the hour after it", async () => {
    const scene = await scheduled(12);
    await scene.must("POST", "/v1/settings/hold", { reason: "a bad deploy" });
    pass("2h");
    await scene.must("POST", "/v1/settings/release");
    await cron();
    const atOnce = await rotated(scene, 12);
    expect(atOnce).toBeLessThan(12);
    pass("30m");
    await cron();
    const later = await rotated(scene, 12);
    expect(later).toBeGreaterThan(atOnce);
    expect(later).toBeLessThan(12);
    pass("31m");
    await cron();
    expect(await rotated(scene, 12)).toBe(12);
  });
});

describe("after cron has stayed away", () => {
  it("each key catches up once, spread over an hour", async () => {
    const scene = await scheduled(12, { maxAge: "2h" });
    await cron();
    pass("50h");
    await cronAgain();
    const atOnce = await rotated(scene, 12);
    expect(atOnce).toBeLessThan(12);
    for (let n = 0; n < 7; n++) {
      pass("10m");
      await cron();
      await quiet(scene);
    }
    const keys = await Promise.all(Array.from({ length: 12 }, (_, n) => scene.read(`key-${n}`)));
    // Many ages went by, and each was rotated once; none of the new values is old yet.
    expect(keys.map(({ versions }) => versions.length).filter((count) => count !== 2)).toEqual([]);
  });

  it("for a few crons only, nothing waits", async () => {
    const scene = await scheduled(3);
    await cron();
    pass("1h");
    await cronAgain();
    expect(await rotated(scene, 3)).toBe(3);
  });
});

describe("a limit on rotations at once", () => {
  it("starts no more than that, and the rest when those are over", async () => {
    const scene = await scheduled(0);
    const hook = await scene.webhook("hook");
    for (let n = 0; n < 5; n++) {
      await scene.key({ name: `key-${n}`, destinations: ["hook"], policy: { maxAge: "1h" } });
    }
    await scene.must("PATCH", "/v1/settings", { limits: { rotations: 2 } });
    const release = hook.hold((message) => message.type !== "ping");
    pass("1h");
    await cron();
    await cron();
    const live = async () =>
      (await scene.must<{ items: { live: boolean }[] }>("GET", "/v1/rotations")).items.filter(
        (one) => one.live,
      );
    expect(await live()).toHaveLength(2);
    release();
    expect(await rotated(scene, 5)).toBe(2);
    await cron();
    await quiet(scene);
    await cron();
    expect(await rotated(scene, 5)).toBe(5);
  });

  it("is taken away by null", async () => {
    const scene = await scheduled(0);
    await scene.must("PATCH", "/v1/settings", { limits: { rotations: 2, rotationsPerConnection: 1 } });
    const left = await scene.must("PATCH", "/v1/settings", { limits: { rotations: null } });
    expect(left).toMatchObject({ hold: null, limits: { rotations: null, rotationsPerConnection: 1 } });
  });
});

describe("a window", () => {
  it("keeps what is overdue waiting until it opens, however late cron is", async () => {
    // The clock of these tests begins on the hour.
    const scene = await scheduled(1, { window: { cron: "0 3 * * *", duration: "2h" } });
    const { nextRotationAt } = await scene.read("key-0");
    const opening = at(nextRotationAt);
    expect(new Date(opening).getUTCHours()).toBe(3);
    setTime(opening + 3 * HOUR);
    await cron();
    expect(await rotated(scene, 1)).toBe(0);
    expect(at((await scene.read("key-0")).nextRotationAt)).toBe(opening + 24 * HOUR);
    setTime(opening + 25 * HOUR);
    await cron();
    expect(await rotated(scene, 1)).toBe(1);
  });

  it("holds no rotation by hand", async () => {
    const scene = await scheduled(1, { window: { cron: "0 3 1 1 *", duration: "1h" } });
    await scene.rotate("key-0");
    expect(await rotated(scene, 1)).toBe(1);
  });
});

describe("a freeze", () => {
  const frozen = () => {
    const from = new Date(Date.now()).toISOString();
    const until = new Date(Date.now() + 10 * HOUR).toISOString();
    return { freezes: [{ from, until, reason: "holidays" }], until };
  };

  it("keeps cron and people from rotating until it ends, and says until when", async () => {
    const scene = await scheduled(0);
    const { until, freezes } = frozen();
    await scene.key({ name: "key-0", destinations: ["store"], policy: { maxAge: "1h", freezes } });
    pass("2h");
    await cron();
    const refused = await scene.keyring.call("POST", "/v1/keys/key-0/rotate", { body: {} });
    expect(refused).toMatchObject({ status: 409, body: { code: "frozen", retryAt: until } });
    expect(await rotated(scene, 1)).toBe(0);
    setTime(at(until));
    await cron();
    expect(await rotated(scene, 1)).toBe(1);
  });

  it("leaves a live rotation alone", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ name: "key-0", destinations: ["hook"] });
    const release = hook.hold((message) => message.type !== "ping");
    await scene.rotate("key-0");
    await scene.must("PATCH", "/v1/keys/key-0", { policy: { freezes: frozen().freezes } });
    release();
    expect(await rotated(scene, 1)).toBe(1);
  });
});

describe("a policy that is paused", () => {
  it("starts nothing, by cron or by hand, and says so", async () => {
    const scene = await scheduled(1, { paused: true });
    expect(await scene.read("key-0")).toMatchObject({ paused: false, nextRotationAt: null });
    pass("2h");
    await cron();
    const refused = await scene.keyring.call("POST", "/v1/keys/key-0/rotate", { body: {} });
    expect(refused).toMatchObject({ status: 409, body: { code: "key-paused" } });
    expect(await rotated(scene, 1)).toBe(0);
  });
});
