/** A keyring as a file: everything comes back, nothing dead does, and a file that is not whole changes nothing. */
import "../support/standin.ts";
import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { exportJWK, generateKeyPair } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { findFileKey } from "../../src/crypto/file-key.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { appendEvent } from "../../src/events/chain.ts";
import type { BatchView } from "../../src/keyring/operations/batches.ts";
import { keyringOf } from "../../src/keyring/stub.ts";
import { KeyringExport } from "../../src/keyring/transfer/export.ts";
import { type Header, Seals } from "../../src/keyring/transfer/format.ts";
import { KeyringImport } from "../../src/keyring/transfer/import.ts";
import { listTables } from "../../src/keyring/transfer/tables.ts";
import type { RotationView } from "../../src/keyring/views.ts";
import { registryOf } from "../../src/registry/stub.ts";
import type { Policy } from "../../src/store/keys.ts";
import { migrateTo, SCHEMA_VERSION } from "../../src/store/migrations.ts";
import { Store } from "../../src/store/store.ts";
import { changeStore, expectProblem, readTables } from "../api/fixtures.ts";
import { ROOT, request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { onEmptyDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { inside, quiet, runUntil, startAlarm, stubOf } from "../support/inside.ts";
import { inRegistry } from "../support/registry.ts";
import { cron, type Hook, makeScene, type Scene } from "../support/scene.ts";
import { Standin } from "../support/standin.ts";
import { seqsOf, subscribe } from "../support/subscriber.ts";
import { exportFile, importFile, PASSPHRASE, wipe } from "../support/transfer.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;
const OPENER = { passphrase: PASSPHRASE };

interface Imported {
  name: string;
  code: string;
  headSeq: number;
  exportedAt: string;
  revoked: number;
  held: number;
}

interface Filled {
  scene: Scene;
  hook: Hook;
  old: string;
  current: string;
  access: string;
  revoked: string;
}

const ADOPTED = "an-adopted-value-of-ours";
/** What opens the account at the service outside. */
const ADMIN = "what-opens-the-account";

beforeEach(async () => {
  await cron();
});

/** A keyring with one of everything at rest: a key in grace, one that goes by schedule, an adopted one, an access key, a revoked one. */
async function fill(): Promise<Filled> {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  await scene.kv("store", { propagation: "0" });
  const { secret: old } = await scene.key({ destinations: ["hook"], policy: { grace: "24h" } });
  await scene.rotate();
  await quiet(scene);
  const current = hook.secret ?? "";
  await scene.key({ name: "aged", destinations: ["store"], policy: { maxAge: "30d" } });
  await scene.key({ name: "adopted", fields: { secret: ADOPTED }, destinations: ["store"] });
  const { secret: access } = await scene.key({ name: "door", provider: "access", scopes: ["keys:read"] });
  const { secret: revoked } = await scene.key({ name: "revoked" });
  await scene.must("POST", "/v1/keys/revoked/revoke", { reason: "a test" });
  await quiet(scene);
  scene.journal.length = 0;
  return { scene, hook, old, current, access, revoked };
}

const take = async ({ name }: Scene, file: string, opener: object = OPENER) => {
  const answer = await importFile<Imported>(name, opener, file);
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 201 });
  return answer.body;
};

const release = async ({ name }: Scene) =>
  (await request<{ released: number; left: number }>(ROOT, "POST", `/v1/keyrings/${name}/release`)).body;

const names = async () => {
  const { body } = await request<{ items: { name: string }[] }>(ROOT, "GET", "/v1/keyrings?limit=100");
  return body.items.map(({ name }) => name).sort();
};

/** Waits until nothing is under way. Unlike `quiet` it takes no offence at what is on hold. */
async function idle(scene: Scene): Promise<void> {
  await eventually(async () => {
    const { version = [], rotation = [], delivery = [] } = await readTables(scene);
    expect([...version, ...rotation, ...delivery].filter(({ leaseUntil }) => leaseUntil !== null)).toEqual(
      [],
    );
  });
}

/** Another deployment: nobody there has heard of this keyring. */
async function moveAway(scene: Scene): Promise<void> {
  await inRegistry((_, { storage }) => {
    for (const table of ["keyring", "dead", "setting"]) storage.sql.exec(`DELETE FROM ${table}`);
  });
  await wipe(scene);
  await cron();
}

describe("a keyring imported into another deployment", () => {
  it("has every row that it had, and every key still verifies, opens, and is found", async () => {
    const { scene, old, current, access, revoked } = await fill();
    const before = await readTables(scene);
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    const imported = await take(scene, file);
    expect(imported).toMatchObject({ name: scene.name, code: scene.code, revoked: 0 });

    const after = await readTables(scene);
    for (const [table, rows] of Object.entries(before)) {
      if (["due", "idempotency", "held", "setting", "schemaVersion", "event"].includes(table)) continue;
      const still = (list: typeof rows = []) =>
        list.map(({ dueAt: _, claim: __, leaseUntil: ___, ...row }) => row);
      expect(still(after[table]), table).toEqual(still(rows));
    }
    expect(after.event?.slice(0, before.event?.length)).toEqual(before.event);
    expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });

    const verdicts = await Promise.all([old, current, ADOPTED, revoked].map((key) => scene.verdict(key)));
    expect(verdicts).toEqual(["valid", "valid", "valid", "revoked"]);
    expect(await request(access, "GET", "/v1/keys")).toMatchObject({ status: 200 });
    const [event] = await scene.events("keyring.imported");
    expect(event).toMatchObject({ actor: "root", data: { headSeq: imported.headSeq, from: scene.name } });
    expect(event?.seq).toBe(imported.headSeq + 1);
  });

  it("reaches the accounts at services outside as before, by credentials that nobody can read in the file", async () => {
    const service = new Standin([ADMIN]);
    const scene = await makeScene();
    const connection = { name: "account", provider: "standin", credential: { secret: ADMIN } };
    const made = await scene.must<Record<string, unknown>>("POST", "/v1/connections", connection);
    await scene.kv("store");
    await scene.must("POST", "/v1/keys", {
      name: "billing",
      provider: "standin",
      connection: "account",
      config: { plan: "gold" },
      destinations: [{ id: "store" }],
    });
    await quiet(scene);
    const file = await exportFile(scene.name, OPENER);
    expect(file).not.toContain(ADMIN);
    await moveAway(scene);
    await take(scene, file);
    expect(await scene.must("GET", "/v1/connections/account")).toMatchObject({
      ...made,
      usedBy: [expect.any(String)],
    });
    expect(await scene.read()).toMatchObject({ config: { plan: "gold" } });
    await release(scene);
    service.journal.length = 0;
    expect(await scene.must("POST", "/v1/connections/account/test")).toMatchObject({ ok: true });
    expect(service.journal).toEqual([`GET /account ${ADMIN}`]);
    await scene.rotate();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });

  it("calls nobody and ends nothing until it is released; then everything goes on", async () => {
    const { scene, hook, old, current } = await fill();
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    const { held } = await take(scene, file);
    expect(held).toBeGreaterThan(1);
    pass("32d");
    await cron();
    await startAlarm(scene);
    await cron();
    await idle(scene);
    expect(scene.journal).toEqual([]);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    // Verification goes by the stored deadline, held or not.
    expect(await scene.verdict(old)).toBe("grace-ended");
    expect(await scene.verdict(current)).toBe("valid");

    expect(await release(scene)).toEqual({ released: held, left: 0 });
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    await cron();
    await quiet(scene);
    expect(await scene.stages("aged")).toEqual(["previous", "current"]);
    expect(scene.journal.length).toBeGreaterThan(0);
    expect(await scene.events("keyring.released")).toHaveLength(1);
    expect(await release(scene)).toEqual({ released: 0, left: 0 });
    expect(await scene.events("keyring.released")).toHaveLength(1);

    const values = hook.deliveries.length;
    await scene.rotate();
    await quiet(scene);
    expect(hook.deliveries.length).toBe(values + 1);
    expect(await scene.verdict(hook.secret ?? "")).toBe("valid");
  });

  it("tells no subscriber what was still to be told until it is released, and then all of it, in order", async () => {
    const { scene } = await fill();
    const ops = await subscribe(scene);
    await quiet(scene);
    ops.fail(503);
    await scene.key({ name: "untold" });
    await quiet(scene);
    const told = ops.deliveries.length;
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    await take(scene, file);
    ops.up();
    scene.journal.length = 0;
    pass("2h");
    await cron();
    await startAlarm(scene);
    await idle(scene);
    expect(scene.journal).toEqual([]);

    await release(scene);
    await runUntil(scene, Date.now() + HOUR);
    const missed = ops.deliveries.slice(told).map(({ type }) => type);
    expect(missed[0]).toBe("key.created");
    const seqs = seqsOf(ops).slice(told);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  });

  it("goes on with no batch until it is released, whatever ends meanwhile; then with what was left", async () => {
    const { scene, hook } = await fill();
    for (let n = 0; n < 3; n++) {
      const destinations = [{ id: "hook", as: `more-${n}` }];
      await scene.key({ name: `more-${n}`, labels: { team: "payments" }, destinations });
    }
    await scene.must("PATCH", "/v1/settings", { limits: { rotations: 1 } });
    hook.fail(503);
    const made = await scene.must<BatchView>("POST", "/v1/rotations", {
      select: { label: "team=payments" },
      reason: "a test",
    });
    expect(made).toMatchObject({ started: 1, live: 1 });
    await idle(scene);
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    await take(scene, file);
    hook.up();
    const read = () => scene.must<BatchView>("GET", `/v1/batches/${made.id}`);
    expect(await read()).toMatchObject({ waitsFor: "the release of the imported keyring", live: 1 });
    const [rotation] = (await scene.must<{ items: RotationView[] }>("GET", `/v1/rotations?batch=${made.id}`))
      .items;
    await scene.must("POST", `/v1/rotations/${rotation?.id}/cancel`);
    await idle(scene);
    expect(await read()).toMatchObject({ state: "running", started: 1, live: 0, failed: 1 });
    await scene.must("PATCH", "/v1/settings", { limits: { rotations: null } });
    await release(scene);
    await runUntil(scene, Date.now() + MINUTE);
    const done = await read();
    expect(done).toMatchObject({ state: "done", live: 0, failed: 1, succeeded: 2, left: 0 });
  });

  it("gives no key a shared policy that was still on its way until it is released", async () => {
    const { scene } = await fill();
    await scene.must("POST", "/v1/policies", { name: "shared", policy: { grace: "1h" } });
    await scene.must("PATCH", "/v1/keys/aged", { policy: "shared" });
    const policy: Policy = { grace: "2h" };
    await changeStore(scene, (store) => {
      const row = store.policies.find("shared");
      if (row) store.policies.update(row, { policy, appliedTo: "", dueAt: Date.now() + HOUR });
    });
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    await take(scene, file);
    const graceOf = async () => (await scene.read("aged")).policy.grace;
    pass("2h");
    await cron();
    await startAlarm(scene);
    await idle(scene);
    expect(await graceOf()).toBe("1h");
    expect(await scene.must("GET", "/v1/policies/shared")).toMatchObject({ applied: true });
    await release(scene);
    await runUntil(scene, Date.now() + MINUTE);
    expect(await graceOf()).toBe("2h");
  });

  it("ends no grace for a policy that is changed meanwhile, and holds it by that one once it is released", async () => {
    const { scene, old } = await fill();
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    await take(scene, file);
    const policy: Policy = { grace: "24h", revokeWhen: ["acknowledged"] };
    await scene.must("PATCH", "/v1/keys/billing", { policy });
    pass("23h");
    pass("55m");
    await cron();
    await startAlarm(scene);
    await idle(scene);
    const [held] = (await scene.read()).versions;
    expect(held).toMatchObject({ stage: "previous", heldSince: null });
    await release(scene);
    await runUntil(scene, Date.now() + 2 * HOUR);
    expect(await scene.verdict(old)).toBe("valid");
  });

  it("shows what was live as held, and goes on with it after the release", async () => {
    const { scene, hook } = await fill();
    const letGo = hook.hold(({ type }) => type !== "ping");
    const { id } = await scene.rotate();
    await scene.reaches(id, { step: "deliver" });
    const file = await exportFile(scene.name, OPENER);
    letGo(503);
    await quiet(scene);
    await moveAway(scene);
    await take(scene, file);
    expect(await scene.rotation(id)).toMatchObject({
      live: true,
      state: "needs-attention",
      problem: expect.stringContaining("released"),
    });
    await release(scene);
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "succeeded" });
  });

  it("does what a person asks although the rest is on hold", async () => {
    const { scene, old, current } = await fill();
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    await take(scene, file);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "leaked" });
    await idle(scene);
    expect(await scene.stages()).toEqual(["revoked", "revoked"]);
    expect([await scene.verdict(old), await scene.verdict(current)]).toEqual(["revoked", "revoked"]);
    await release(scene);
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "revoked"]);
  });

  it("may be exported while it is on hold: what is held stays held, and is released there", async () => {
    const { scene } = await fill();
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    const { held } = await take(scene, file);
    const again = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    expect(await take(scene, again)).toMatchObject({ held });
    expect(await release(scene)).toEqual({ released: held, left: 0 });
    await runUntil(scene, Date.now() + 25 * HOUR);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("may come from an older Rekey: its tables are brought up to date", async () => {
    const { rows, tables } = await onEmptyDatabase((sql) => {
      migrateTo(sql, SCHEMA_VERSION - 1);
      const store = new Store(sql);
      // As it was written then: with no more than every key has had to have from the first.
      sql.all(
        `INSERT INTO key (id, name, provider, prefix, scopes, labels, policy, paused, state, revision, lastNumber, failures, createdAt, createdBy)
         VALUES ('key_1', 'from-before', 'issuer', 'rekey', '[]', '{}', '{}', 0, 'active', 1, 1, 0, 0, 'root')`,
      );
      appendEvent(store.events, { type: "keyring.created", actor: "root" }, 1, secureRandom);
      const header: Header = {
        format: "rekey-export",
        version: 1,
        schema: SCHEMA_VERSION - 1,
        keyring: { name: "before", code: "Before01" },
        exportedAt: new Date().toISOString(),
        sealing: { kind: "public-key", jwe: "x" },
        cipher: "AES-256-GCM",
        compression: "gzip",
      };
      const seals = new Seals(new Uint8Array(32), "Before01", JSON.stringify(header));
      const slice = new KeyringExport(sql, store, seals, new Uint8Array(32)).next();
      const reader = new KeyringImport(sql, header, seals, 0);
      expect(reader.add(slice?.lines ?? [])).toEqual({ ok: true, value: null });
      sql.transaction(() => reader.replaceTables());
      return { rows: store.keys.list({}, "", 10), tables: listTables(sql).map(({ name }) => name) };
    });
    expect(rows).toMatchObject([{ name: "from-before", config: {}, connectionId: null }]);
    expect(tables).toContain("held");
    expect(tables).not.toContain("importLine");
  });

  it("may have another name there, and opens with the private key that it was sealed to", async () => {
    const pair = await generateKeyPair("ECDH-ES+A256KW", { crv: "X25519", extractable: true });
    const { scene, current } = await fill();
    const file = await exportFile(scene.name, { publicKey: await exportJWK(pair.publicKey) });
    await moveAway(scene);
    const opener = { privateKey: await exportJWK(pair.privateKey) };
    expect((await importFile<Imported>("elsewhere", opener, file)).body).toMatchObject({
      name: "elsewhere",
      code: scene.code,
    });
    const headers = { "rekey-keyring": "elsewhere" };
    const answer = await request(ROOT, "POST", "/v1/verify", { body: { key: current }, headers });
    expect(answer.body).toMatchObject({ code: "valid" });
  });
});

describe("a keyring imported where it was", () => {
  it("brings back nothing that died since: it is revoked again, before anybody can use it", async () => {
    const { scene, old, current } = await fill();
    const file = await exportFile(scene.name, OPENER);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "leaked" });
    await quiet(scene);
    await wipe(scene);
    expect(await take(scene, file)).toMatchObject({ revoked: 2 });
    expect([await scene.verdict(old), await scene.verdict(current)]).toEqual(["revoked", "revoked"]);
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "revoked"]);
    await abortAllDurableObjects();
    expect(await scene.verdict(ADOPTED)).toBe("valid");
    expect(await scene.must("GET", "/v1/events/verify")).toMatchObject({ ok: true });
  });

  it("is refused when the list of what died since has been forgotten", async () => {
    const { scene, current } = await fill();
    const file = await exportFile(scene.name, OPENER);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "leaked" });
    await quiet(scene);
    await wipe(scene);
    pass("32d");
    await cron();
    expectProblem(await importFile(scene.name, OPENER, file), 409, "file-too-old");
    // The next call makes an empty keyring, in which the key is unknown.
    expect(await scene.verdict(current)).not.toBe("valid");
  });

  it("takes the place of one that is empty, and of no other", async () => {
    const { scene, current } = await fill();
    const file = await exportFile(scene.name, OPENER);
    expectProblem(await importFile(scene.name, OPENER, file), 409, "keyring-not-empty");
    await wipe(scene);
    await registryOf(env).setAnchor(scene.code, { seq: 0, hash: new Uint8Array(32) });
    await scene.must("GET", "/v1/keys");
    expect(await scene.events("keyring.created")).toHaveLength(1);
    await take(scene, file);
    expect(await scene.verdict(current)).toBe("valid");
  });

  it("answers the same file as before, and refuses another once it has something in it", async () => {
    const { scene } = await fill();
    const file = await exportFile(scene.name, OPENER);
    const other = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    const first = await take(scene, file);
    await scene.startKey({ name: "made-since" });
    expect(await take(scene, file)).toEqual(first);
    expect(await scene.stages("made-since")).toEqual(["current"]);
    expectProblem(await importFile(scene.name, OPENER, other), 409, "keyring-not-empty");
  });
});

/** One character in the middle of a line is another; the line is as well-formed as before. */
function changeOne(line: string): string {
  if (line.includes("exportedAt"))
    return line.replace(/(\d)Z"/, (_, digit) => `${(Number(digit) + 1) % 10}Z"`);
  const at = Math.floor(line.length / 2);
  return line.slice(0, at) + (line[at] === "A" ? "B" : "A") + line.slice(at + 1);
}

describe("a file that cannot be taken", () => {
  async function refuses(
    send: (file: string[], scene: Scene) => [name: string, opener: object, file: string[]],
  ) {
    const { scene } = await fill();
    const lines = (await exportFile(scene.name, OPENER)).trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(6);
    await moveAway(scene);
    const [name, opener, changed] = send(lines, scene);
    const answer = await importFile(name, opener, changed.map((line) => `${line}\n`).join(""));
    return { scene, answer };
  }

  async function expectNothing(scene: Scene): Promise<void> {
    expect(await names()).not.toContain(scene.name);
    expect(await readTables(scene)).toEqual({});
  }

  it("because of another passphrase, changes nothing", async () => {
    const { scene, answer } = await refuses((file, { name }) => [
      name,
      { passphrase: "another passphrase" },
      file,
    ]);
    expect(expectProblem(answer, 422, "file-refused").detail).toContain("passphrase");
    await expectNothing(scene);
  });

  it("because any of its lines is changed, missing, doubled or moved, changes nothing", async () => {
    const { scene } = await fill();
    const lines = (await exportFile(scene.name, OPENER)).trimEnd().split("\n");
    await moveAway(scene);
    const changed = (at: number, line: (text: string) => string[]) =>
      lines.flatMap((text, index) => (index === at ? line(text) : [text]));
    const files: [string, string[]][] = [
      ...lines.flatMap((_, at): [string, string[]][] => [
        [`line ${at} changed`, changed(at, (text) => [changeOne(text)])],
        [`line ${at} missing`, changed(at, () => [])],
        [`cut off before line ${at}`, lines.slice(0, at)],
        ...(at > 0
          ? [[`line ${at} doubled`, changed(at, (text) => [text, text])] as [string, string[]]]
          : []),
      ]),
      ["two lines moved", [...lines.slice(0, 2), ...lines.slice(2, 4).reverse(), ...lines.slice(4)]],
    ];
    for (const [what, file] of files) {
      const answer = await importFile(scene.name, OPENER, file.map((line) => `${line}\n`).join(""));
      expect(answer, what).toMatchObject({ status: 422, body: { code: "file-refused" } });
    }
    await expectNothing(scene);
    await take(scene, lines.join("\n"));
  }, 120_000);

  it("because its history does not hold, changes nothing", async () => {
    const { scene } = await fill();
    await inside(scene, (_, { storage }) =>
      storage.sql.exec("UPDATE event SET actor = 'nobody' WHERE seq = 3"),
    );
    const file = await exportFile(scene.name, OPENER);
    await moveAway(scene);
    const answer = await importFile(scene.name, OPENER, file);
    expect(expectProblem(answer, 422, "file-refused").detail).toContain("history");
    await expectNothing(scene);
  });

  it("because a newer Rekey made it, changes nothing", async () => {
    for (const change of [{ schema: 999 }, { version: 2 }]) {
      const { scene, answer } = await refuses(([header = "", ...parts], { name }) => [
        name,
        OPENER,
        [JSON.stringify({ ...JSON.parse(header), ...change }), ...parts],
      ]);
      expectProblem(answer, 409, "file-too-new");
      await expectNothing(scene);
    }
  });

  it("because its name is another keyring's, or its code lives under another name, changes nothing", async () => {
    const { scene } = await fill();
    const file = await exportFile(scene.name, OPENER);
    const other = await makeScene();
    expect(expectProblem(await importFile(other.name, OPENER, file), 409, "keyring-exists").holder).toBe(
      other.code,
    );
    expect(expectProblem(await importFile("fresh", OPENER, file), 409, "code-taken").holder).toBe(scene.name);
    expect(await names()).toEqual([scene.name, other.name].sort());
  });

  it.each([
    ["nothing", ""],
    ["no opener", "x\n"],
    ["an opener of both kinds", `${JSON.stringify({ passphrase: PASSPHRASE, privateKey: {} })}\n`],
    ["a passphrase that is too short", `${JSON.stringify({ passphrase: "short" })}\n`],
  ])("because it is %s, is invalid", async (_, rawBody) => {
    const answer = await request(ROOT, "POST", "/v1/keyrings/fresh/import", { rawBody });
    expectProblem(answer, 422, "invalid");
  });

  it.each(["", "{}", "x", '{"format":"rekey-export"}'])(
    "because it begins with %j, is refused",
    async (line) => {
      expectProblem(await importFile("fresh", OPENER, `${line}\n`), 422, "file-refused");
    },
  );
});

describe("an import that is cut off", () => {
  async function begin() {
    const { scene } = await fill();
    const [header = "", ...parts] = (await exportFile(scene.name, OPENER)).trimEnd().split("\n");
    await moveAway(scene);
    const parsed = JSON.parse(header);
    const key = (await findFileKey(parsed.sealing, OPENER)) ?? new Uint8Array();
    const begun = await keyringOf(env, scene.code).beginImport(scene.name, parsed, header, key);
    if (!begun.ok) throw new Error(begun.error.code);
    return { scene, header, parts, id: begun.value.id, file: [header, ...parts].join("\n") };
  }

  it("by a crash of the object has changed nothing and can be begun again", async () => {
    const { scene, parts, id, file } = await begin();
    expect(await keyringOf(env, scene.code).addImport(id, parts)).toEqual({ ok: true, value: null });
    await abortAllDurableObjects();
    const cutOff = { ok: false, error: { code: "transfer-interrupted" } };
    expect(await keyringOf(env, scene.code).endImport(id)).toEqual(cutOff);
    expect(await keyringOf(env, scene.code).addImport(id, [])).toEqual(cutOff);
    expect(await names()).not.toContain(scene.name);
    await take(scene, file);
  });

  it("by its sender leaves its lines for an hour", async () => {
    const { scene, parts, id } = await begin();
    await keyringOf(env, scene.code).addImport(id, parts.slice(0, 2));
    expect(Object.keys(await readTables(scene))).toEqual(["importLine"]);
    pass("61m");
    expect(await runDurableObjectAlarm(stubOf(scene))).toBe(true);
    expect(await readTables(scene)).toEqual({});
  });

  it("before its last part is refused whole", async () => {
    const { scene, parts, id } = await begin();
    await keyringOf(env, scene.code).addImport(id, parts.slice(0, -1));
    expect(await keyringOf(env, scene.code).endImport(id)).toMatchObject({ error: { code: "file-refused" } });
    expect(await readTables(scene)).toEqual({});
    expect(await names()).not.toContain(scene.name);
  });
});
