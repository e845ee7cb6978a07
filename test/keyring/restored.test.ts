/** A keyring whose database is set back in time brings nothing back to life. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Registry } from "../../src/registry/registry.ts";
import { registryOf } from "../../src/registry/stub.ts";
import { ROOT, request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { alarmAt, inside, quiet, runUntil } from "../support/inside.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;

type Tables = Record<string, Record<string, SqlStorageValue>[]>;

/** Everything that the database holds, as a backup would. */
function back(scene: Scene): Promise<Tables> {
  return inside(scene, (_, { storage: { sql } }) => {
    const names = sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      )
      .toArray();
    return Object.fromEntries(names.map(({ name }) => [name, sql.exec(`SELECT * FROM ${name}`).toArray()]));
  });
}

/** Puts a backup back, as a point-in-time recovery does: the object starts anew on the old database. */
async function restore(scene: Scene, tables: Tables): Promise<void> {
  await inside(scene, async (_, { storage }) => {
    await storage.deleteAlarm();
    for (const [name, rows] of Object.entries(tables)) {
      storage.sql.exec(`DELETE FROM ${name}`);
      for (const row of rows) {
        const columns = Object.keys(row);
        const marks = columns.map(() => "?").join(", ");
        storage.sql.exec(
          `INSERT INTO ${name} (${columns.join(", ")}) VALUES (${marks})`,
          ...Object.values(row),
        );
      }
    }
  });
  await abortAllDurableObjects();
}

const reconcile = (scene: Scene) =>
  request<{ lostEvents: number; revoked: number }>(ROOT, "POST", `/v1/keyrings/${scene.name}/reconcile`);

async function verify(scene: Scene, key: string) {
  return (await scene.keyring.call<{ code: string }>("POST", "/v1/verify", { body: { key } })).body.code;
}

beforeEach(async () => {
  await cron();
});

describe("a keyring restored to before a revocation", () => {
  it("verifies nothing and changes nothing until root reconciles it, and the revoked key stays dead", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const { secret: other } = await scene.key({ name: "other" });
    const tables = await back(scene);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "leaked" });
    await quiet(scene);
    await restore(scene, tables);

    expect(await verify(scene, secret)).toBe("chain-broken");
    expect(await verify(scene, other)).toBe("chain-broken");
    const refused = await scene.keyring.call("POST", "/v1/keys/other/rotate", { body: { reveal: "inline" } });
    expect(refused).toMatchObject({ status: 503, body: { code: "chain-broken" } });
    expect((await scene.events("chain.broken")).map(({ data }) => data)).toHaveLength(1);

    const { status, body } = await reconcile(scene);
    expect({ status, revoked: body.revoked }).toEqual({ status: 200, revoked: 1 });
    await quiet(scene);
    expect(await verify(scene, secret)).toBe("revoked");
    expect(await verify(scene, other)).toBe("valid");
    expect(await scene.stages()).toEqual(["revoked"]);
    expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });
    expect((await scene.events("chain.reconciled")).map(({ data }) => data)).toMatchObject([{ revoked: 1 }]);
    expect((await reconcile(scene)).body).toEqual({ lostEvents: 0, revoked: 0 });
  });

  it("does not open to an access key that was revoked since, nor to any other", async () => {
    const scene = await makeScene();
    const scopes = ["keys:read"];
    const { secret } = await scene.key({ name: "door", provider: "access", scopes });
    const { secret: good } = await scene.key({ name: "good", provider: "access", scopes });
    const tables = await back(scene);
    await scene.must("POST", "/v1/keys/door/revoke", { reason: "leaked" });
    await quiet(scene);
    await restore(scene, tables);
    for (const token of [secret, good]) {
      expect(await request(token, "GET", "/v1/keys")).toMatchObject({
        status: 503,
        body: { code: "chain-broken" },
      });
    }
    await reconcile(scene);
    expect(await request(secret, "GET", "/v1/keys")).toMatchObject({ status: 401 });
    expect(await request(good, "GET", "/v1/keys")).toMatchObject({ status: 200 });
  });

  it("stays closed when root has looked at it so often that its history is as long as it was", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const tables = await back(scene);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "leaked" });
    await quiet(scene);
    await restore(scene, tables);
    expect(await verify(scene, secret)).toBe("chain-broken");
    const { seq = Infinity } = (await registryOf(env).standingOf(scene.code)).anchor ?? {};
    const length = () => inside(scene, (store) => store.events.head()?.seq ?? 0);
    while ((await length()) <= seq) await scene.must("GET", "/v1/keys");
    await abortAllDurableObjects();
    expect(await verify(scene, secret)).toBe("chain-broken");
    expect((await reconcile(scene)).body).toMatchObject({ revoked: 1 });
    expect(await verify(scene, secret)).toBe("revoked");
  });

  it("starts nothing by cron or alarm while it is closed, and goes on afterwards", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "30d", grace: "1h" } });
    const { secret } = await scene.key({ name: "other" });
    const tables = await back(scene);
    await scene.must("POST", "/v1/keys/other/revoke", { reason: "test" });
    await quiet(scene);
    await restore(scene, tables);
    pass("30d");
    await cron();
    expect(hook.versions).toEqual([1]);
    expect(await verify(scene, secret)).toBe("chain-broken");
    await reconcile(scene);
    pass("1h");
    await cron();
    await quiet(scene);
    expect(hook.versions).toEqual([1, 2]);
  });

  it("is found out after a planned retirement, too", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret } = await scene.key({ destinations: ["hook"], policy: { grace: "1h" } });
    const tables = await back(scene);
    await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + 2 * HOUR);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    await restore(scene, tables);
    expect(await verify(scene, secret)).toBe("chain-broken");
    await reconcile(scene);
    expect(await verify(scene, secret)).toBe("revoked");
    expect(hook.versions).toEqual([1, 2]);
  });
});

describe("a keyring whose history is whole", () => {
  it("starts again without anything of the kind", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    await scene.key({ name: "other" });
    await scene.must("POST", "/v1/keys/other/revoke", { reason: "test" });
    await quiet(scene);
    await abortAllDurableObjects();
    expect(await verify(scene, secret)).toBe("valid");
    expect((await reconcile(scene)).body).toEqual({ lostEvents: 0, revoked: 0 });
    expect(await scene.events("chain.broken")).toEqual([]);
  });

  it("is closed while the registry cannot say so, and opens by itself", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const asked = vi.spyOn(Registry.prototype, "standingOf").mockImplementation(() => {
      throw new Error("the registry is out");
    });
    await abortAllDurableObjects();
    expect(await verify(scene, secret)).toBe("registry-unreachable");
    asked.mockRestore();
    await vi.waitFor(async () => expect(await verify(scene, secret)).toBe("valid"));
  });
});

describe("a revocation", () => {
  it("is on record in the registry before its caller hears of it", async () => {
    const scene = await makeScene();
    await scene.key({});
    const { anchor: before } = await registryOf(env).standingOf(scene.code);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test" });
    const { anchor } = await registryOf(env).standingOf(scene.code);
    expect(anchor?.seq).toBeGreaterThan(before?.seq ?? 0);
    const id = await inside(scene, (store) => store.versions.select("")[0]?.id);
    const dead = await registryOf(env).deadOf(scene.code, { at: 0, versionId: "" }, 10);
    expect(dead.map(({ versionId }) => versionId)).toContain(id);
    await quiet(scene);
  });

  it.each([
    ["/v1/keys/billing/revoke", () => ({ reason: "test" })],
    ["/v1/compromises", (secret: string) => ({ secret, source: "test" })],
  ])("is not answered while the registry takes its time (%s)", async (path, bodyOf) => {
    const scene = await makeScene();
    const { secret } = await scene.key({ policy: { onCompromise: "revoke-only" } });
    const order: string[] = [];
    const anchor = Registry.prototype.anchor;
    vi.spyOn(Registry.prototype, "anchor").mockImplementation(async function (this: Registry, ...known) {
      for (let turns = 0; turns < 100; turns++) await Promise.resolve();
      await registryOf(env).lastCronAt();
      anchor.apply(this, known);
      order.push("on record");
    });
    await scene.must("POST", path, bodyOf(secret));
    order.push("answered");
    expect(order[0]).toBe("on record");
    await quiet(scene);
  });

  it("stays open while the registry does not take it down, and closes when it does", async () => {
    const scene = await makeScene();
    const { secret } = await scene.key({});
    const anchoring = vi.spyOn(Registry.prototype, "anchor").mockImplementation(() => {
      throw new Error("the registry is out");
    });
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test" });
    expect(await verify(scene, secret)).toBe("revoked");
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoking"]);
    anchoring.mockRestore();
    await runUntil(scene, ((await alarmAt(scene)) ?? 0) + 1);
    expect(await scene.stages()).toEqual(["revoked"]);
  });
});

describe("what the registry keeps of the dead", () => {
  it("goes when no restore can bring them back any more", async () => {
    const scene = await makeScene();
    await scene.key({});
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test" });
    await quiet(scene);
    const dead = () => registryOf(env).deadOf(scene.code, { at: 0, versionId: "" }, 10);
    pass("30d");
    await cron();
    expect(await dead()).not.toEqual([]);
    pass("2d");
    await cron();
    expect(await dead()).toEqual([]);
  });
});
