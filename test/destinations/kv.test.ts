/** Workers KV as a destination. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { ROOT, request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;

describe("what is written to KV", () => {
  it("is the bare secret when that is the only field, else all fields as JSON", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    await scene.startKey({ name: "bare", destinations: ["store"] });
    const fields = { secret: "a-value-from-elsewhere", account: "AC42" };
    await scene.startKey({ name: "pair", destinations: ["store"], fields });
    await quiet(scene);
    expect(await scene.inKv("bare")).toMatch(/^rekey_[0-9A-Za-z]{74}$/);
    expect(JSON.parse((await scene.inKv("pair")) ?? "")).toEqual(fields);
  });

  it("is under the keyring's name, so that two keyrings never overwrite each other; only `default` is without", async () => {
    const first = await makeScene();
    await first.kv("store");
    await first.startKey({ destinations: ["store"] });
    const second = await makeScene();
    await second.kv("store");
    await second.startKey({ destinations: ["store"] });
    await Promise.all([quiet(first), quiet(second)]);
    const [one, two] = [await first.inKv("billing"), await second.inKv("billing")];
    expect(one).toMatch(/^rekey_/);
    expect(two).toMatch(/^rekey_/);
    expect(one).not.toBe(two);
    expect(await env.KEYS.get("billing")).toBeNull();

    await request(ROOT, "POST", "/v1/destinations", { body: { name: "store", type: "kv" } });
    const made = await request<{ secret: string }>(ROOT, "POST", "/v1/keys", {
      body: { name: "billing", provider: "issuer", destinations: [{ id: "store" }] },
    });
    await expect.poll(() => env.KEYS.get("billing")).toBe(made.body.secret);
  });

  it("is refused for a name that another key writes to", async () => {
    const scene = await makeScene();
    await scene.kv("one");
    await scene.kv("two");
    await scene.startKey({ destinations: ["one"] });
    const taken = await scene.keyring.call("POST", "/v1/keys", {
      body: { name: "other", provider: "issuer", destinations: [{ id: "two", as: "billing" }] },
    });
    expect(taken).toMatchObject({ status: 409, body: { code: "target-taken" } });
    await quiet(scene);
  });
});

describe("KV that refuses writes", () => {
  it("is tried on the common table, and the rotation goes on when it is back", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    const { secret: old } = await scene.key({ destinations: ["store"] });
    scene.kvIsDown = true;
    pass("10m");
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "running", step: "deliver" });
    expect((await scene.deliveries())[0]).toMatchObject({
      state: "pending",
      attempts: 1,
      lastCall: { method: "PUT", host: "KEYS", status: null, code: "network" },
    });
    expect(await scene.inKv("billing")).toBe(old);
    scene.kvIsDown = false;
    await runUntil(scene, Date.now() + 60_000);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(await scene.inKv("billing")).not.toBe(old);
  });

  it("is given up after eight attempts over half a day, and says so", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    scene.kvIsDown = true;
    await scene.startKey({ destinations: ["store"] });
    await quiet(scene);
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect(scene.journal).toHaveLength(8);
    expect((await scene.deliveries())[0]).toMatchObject({ state: "failing", attempts: 8 });
    expect(await scene.destination("store")).toMatchObject({ state: "failing" });
    expect(await scene.events("delivery.failing")).toHaveLength(1);
  });
});
