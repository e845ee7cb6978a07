/** A keyring read out into a file: one moment of it, and nothing that can be read without the file's key. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { keyringOf } from "../../src/keyring/stub.ts";
import { expectProblem, readTables } from "../api/fixtures.ts";
import { ROOT, request } from "../support/api.ts";
import { inside, quiet } from "../support/inside.ts";
import { inRegistry } from "../support/registry.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";
import { exportFile, importFile, PASSPHRASE, PUBLIC_KEY, wipe } from "../support/transfer.ts";

const ROUTE = "POST /v1/keyrings/{name}/export";
const SEALING = { kind: "public-key", jwe: "x" } as const;
const OPENER = { passphrase: PASSPHRASE };

beforeEach(async () => {
  await cron();
});

/** More keys than one turn of an export reads. */
async function makeMany(scene: Scene, count: number): Promise<void> {
  await scene.key({ name: "first" });
  await inside(scene, (store, { storage }) => {
    const first = store.keys.byName("first");
    if (!first) throw new Error("no key");
    storage.transactionSync(() => {
      for (let n = 0; n < count; n++) {
        const number = String(n).padStart(6, "0");
        store.keys.insert({ ...first, id: `${first.id.slice(0, -6)}${number}`, name: `k${number}` });
      }
    });
  });
  await abortAllDurableObjects();
}

/** Reads an export to its end as the Worker does, and lets `meanwhile` happen after its first turn. */
async function exportWhile(
  scene: Scene,
  key: Uint8Array,
  meanwhile: () => Promise<unknown>,
): Promise<string[]> {
  const keyring = keyringOf(env, scene.code);
  const begun = await keyring.beginExport(SEALING, key, ROUTE);
  if (!begun.ok) throw new Error(begun.error.code);
  const lines = [begun.value.line];
  for (let turn = 0; ; turn++) {
    const slice = await keyring.readExport(begun.value.id);
    if (!slice.ok) throw new Error(slice.error.code);
    lines.push(...slice.value.lines);
    if (slice.value.isDone) return lines;
    if (turn === 0) await meanwhile();
  }
}

async function importWith(scene: Scene, [header = "", ...parts]: string[], key: Uint8Array): Promise<void> {
  await inRegistry((_, { storage }) => storage.sql.exec("DELETE FROM keyring"));
  await wipe(scene);
  const keyring = keyringOf(env, scene.code);
  const begun = await keyring.beginImport(scene.name, JSON.parse(header), header, key);
  if (!begun.ok) throw new Error(begun.error.code);
  expect(await keyring.addImport(begun.value.id, parts)).toEqual({ ok: true, value: null });
  expect(await keyring.endImport(begun.value.id)).toMatchObject({ ok: true });
}

describe("an exported keyring", () => {
  it("shows one moment, although it changes while it is read", async () => {
    const scene = await makeScene();
    await scene.kv("store", { propagation: "0" });
    await makeMany(scene, 2_400);
    const key = secureRandom(32);
    let turns = 0;
    const lines = await exportWhile(scene, new Uint8Array(key), async () => {
      turns += 1;
      // One that was read already, one that was not, one that goes, one that comes, and work that goes on by itself.
      await scene.must("PATCH", "/v1/keys/k000001", { labels: { changed: "early" } });
      await scene.must("PATCH", "/v1/keys/k002390", { labels: { changed: "late" } });
      await scene.must("DELETE", "/v1/destinations/store");
      await scene.kv("other", { propagation: "0" });
      await scene.must("POST", "/v1/keys", {
        name: "came",
        provider: "issuer",
        destinations: [{ id: "other" }],
      });
      await scene.rotate("came");
      await quiet(scene);
    });
    expect(turns).toBe(1);
    const before = await readTables(scene);
    await importWith(scene, lines, new Uint8Array(key));
    const after = await readTables(scene);
    const still = (rows: Record<string, unknown>[] = []) =>
      rows.map(({ dueAt: _, claim: __, leaseUntil: ___, ...row }) => row);
    for (const table of [
      "key",
      "keyCount",
      "version",
      "rotation",
      "delivery",
      "destination",
      "keyDestination",
    ]) {
      expect(still(after[table]), table).toEqual(still(before[table]));
    }
    expect(after.event?.slice(0, before.event?.length)).toEqual(before.event);
    expect(after.key).toHaveLength(2_402);
  }, 60_000);

  it("holds nothing that can be read: no value, no name, no address", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("canary-hook");
    const { secret } = await scene.key({ name: "canary-key", destinations: ["canary-hook"] });
    const file = await exportFile(scene.name, OPENER);
    for (const text of [secret, "canary", hook.signingSecret.slice(6), PASSPHRASE]) {
      expect(file).not.toContain(text);
      expect(file).not.toContain(Buffer.from(text).toString("base64").replace(/=+$/, ""));
    }
    const stored = JSON.stringify(await readTables(scene), (_, value) =>
      value instanceof ArrayBuffer ? Buffer.from(value).toString("latin1") : value,
    );
    expect(stored).not.toContain(PASSPHRASE);
  });

  it("is two events: that root was used, and how the file was sealed", async () => {
    const scene = await makeScene();
    await exportFile(scene.name, OPENER);
    await exportFile(scene.name, { publicKey: PUBLIC_KEY });
    const events = await scene.events("keyring.exported");
    expect(events.map(({ actor, data }) => [actor, data])).toEqual([
      ["root", { sealing: "passphrase" }],
      ["root", { sealing: "public-key" }],
    ]);
    const { event = [] } = await readTables(scene);
    const uses = event.filter(({ type, data }) => type === "root.used" && String(data).includes(ROUTE));
    expect(uses).toHaveLength(2);
  });

  it("breaks off when its object is restarted, and what was read of it is taken by no import", async () => {
    const scene = await makeScene();
    await makeMany(scene, 4_500);
    const response = await exports.default.fetch(`https://rekey.test/v1/keyrings/${scene.name}/export`, {
      method: "POST",
      headers: { authorization: `Bearer ${ROOT}`, "content-type": "application/json" },
      body: JSON.stringify(OPENER),
    });
    const reader = response.body?.getReader();
    const chunks: Uint8Array[] = [];
    const read = async () => {
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
        if (done) return;
        chunks.push(value);
        if (chunks.length === 2) await abortAllDurableObjects();
      }
    };
    await expect(read()).rejects.toThrow();
    const file = Buffer.concat(chunks).toString("utf8");
    expect(file.split("\n").length).toBeGreaterThan(3);
    expect(file).not.toContain('"last":true');
    await inRegistry((_, { storage }) => storage.sql.exec("DELETE FROM keyring"));
    await wipe(scene);
    expectProblem(await importFile(scene.name, OPENER, file), 422, "file-refused");
  }, 60_000);

  it("is given up when another one is begun", async () => {
    const scene = await makeScene();
    await makeMany(scene, 2_400);
    const key = new Uint8Array(32);
    const begun = await keyringOf(env, scene.code).beginExport(SEALING, key, ROUTE);
    if (!begun.ok) throw new Error(begun.error.code);
    await keyringOf(env, scene.code).beginExport(SEALING, key, ROUTE);
    const cutOff = { ok: false, error: { code: "transfer-interrupted" } };
    expect(await keyringOf(env, scene.code).readExport(begun.value.id)).toEqual(cutOff);
  });
});

describe("POST /v1/keyrings/{name}/export", () => {
  it.each([
    ["a passphrase of 11 characters", { passphrase: "x".repeat(11) }],
    ["neither", {}],
    ["both", { passphrase: PASSPHRASE, publicKey: PUBLIC_KEY }],
    ["a private key", { publicKey: { ...PUBLIC_KEY, d: "A".repeat(43) } }],
    ["a point off its curve", { publicKey: { ...PUBLIC_KEY, y: PUBLIC_KEY.x } }],
    ["another curve", { publicKey: { ...PUBLIC_KEY, crv: "P-384" } }],
  ])("refuses %s, and the history says nothing of an export", async (_, body) => {
    const scene = await makeScene();
    const answer = await request(ROOT, "POST", `/v1/keyrings/${scene.name}/export`, { body });
    expectProblem(answer, 422, "invalid");
    expect(JSON.stringify(answer.body)).not.toContain("A".repeat(43));
    expect(await scene.events("keyring.exported")).toEqual([]);
  });

  it("knows no keyring that is not there", async () => {
    const answer = await request(ROOT, "POST", "/v1/keyrings/nobody/export", { body: OPENER });
    expectProblem(answer, 404, "keyring-unknown");
  });
});
