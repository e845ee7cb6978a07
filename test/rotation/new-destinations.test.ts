/** A destination that an access key made, or pointed elsewhere, receives no value for one cooldown. */
import { describe, expect, it } from "vitest";
import { request } from "../support/api.ts";
import { at, pass } from "../support/clock.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;

/** A caller with an access key that may do everything here. */
async function member(scene: Scene, more: object = {}) {
  const { secret } = await scene.must<{ secret: string }>("POST", "/v1/keys", {
    name: `member-${crypto.randomUUID().slice(0, 8)}`,
    provider: "access",
    scopes: ["keys:read", "keys:write", "keys:rotate", "settings:read", "settings:write"],
    ...more,
  });
  return async <Body>(method: string, path: string, body: unknown): Promise<Body> => {
    const answer = await request<Body>(secret, method, path, { body });
    if (answer.status >= 400) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  };
}

describe("a new destination", () => {
  it("is probed at once and gets its first value when its cooldown is over", async () => {
    const scene = await makeScene();
    const call = await member(scene);
    const made = await call<{ opensAt: string }>("POST", "/v1/destinations", { name: "store", type: "kv" });
    expect(at(made.opensAt) - Date.now()).toBe(HOUR);
    await scene.key({ destinations: ["store"] });
    expect(await scene.inKv("billing")).toBeNull();
    await runUntil(scene, at(made.opensAt) - 1);
    expect(await scene.inKv("billing")).toBeNull();
    await runUntil(scene, at(made.opensAt));
    expect(await scene.inKv("billing")).not.toBeNull();
  });

  it("blocks a rotation that would have to reach it, and says until when", async () => {
    const scene = await makeScene();
    const call = await member(scene);
    await scene.kv("store", { propagation: "0" });
    const made = await call<{ opensAt: string }>("POST", "/v1/destinations", {
      name: "second",
      type: "kv",
      config: { propagation: "0" },
    });
    await scene.key({ destinations: ["store", { id: "second", as: "other" }] });
    const { id } = await scene.rotate();
    await quiet(scene);
    const rotation = await scene.rotation(id);
    expect(rotation).toMatchObject({ state: "blocked", toVersion: null });
    expect(rotation.problem).toContain(made.opensAt);
    await cron();
    await runUntil(scene, at(made.opensAt) + 1_000);
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });

  it("that root made receives at once", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    expect(await scene.destination("store")).toMatchObject({ opensAt: null });
    await scene.key({ destinations: ["store"] });
    expect(await scene.inKv("billing")).not.toBeNull();
  });

  it("receives at once when the policy of who made it has no cooldown", async () => {
    const scene = await makeScene();
    const call = await member(scene, { policy: { cooldown: "0" } });
    expect(await call("POST", "/v1/destinations", { name: "store", type: "kv" })).toMatchObject({
      opensAt: null,
    });
  });
});

describe("a destination that is pointed elsewhere by an access key", () => {
  it("receives nothing for a cooldown again", async () => {
    const scene = await makeScene();
    const call = await member(scene);
    await scene.kv("store", { propagation: "0" });
    await scene.key({ destinations: ["store"] });
    await call("PATCH", "/v1/destinations/store", { config: { propagation: "10s" } });
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "blocked" });
    pass("30m");
    await call("PATCH", "/v1/destinations/store", { name: "renamed" });
    const { opensAt } = await scene.destination("renamed");
    expect(at(opensAt) - Date.now()).toBe(HOUR / 2);
  });
});
