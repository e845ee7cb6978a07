/** A secret is in the one answer that may show it, and nowhere else: no other answer, no event, no log, no database. */

import { runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { HttpResponse, http } from "msw";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { makeKeyring, ROOT, request, type TestKeyring } from "../support/api.ts";
import { network } from "../support/network.ts";
import { makeAccessKey, makeKey, readTables, settle } from "./fixtures.ts";
import { ROUTES } from "./routes.ts";

const METHODS = ["log", "info", "warn", "error", "debug"] as const;
const URL_OUT = "https://hooks.acme.dev/rekey";
const FIELDS = { secret: "canary-adopted-value", user: "canary-adopted-user" };

let logged: string[];
beforeEach(() => {
  logged = [];
  Object.assign(env, { LOG_EVENTS: "all" });
  for (const method of METHODS) {
    vi.spyOn(console, method).mockImplementation((...words: unknown[]) => {
      logged.push(words.map((word) => (word instanceof Error ? word.stack : String(word))).join(" "));
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

interface Planted {
  ring: TestKeyring;
  secrets: string[];
  delivered: string[];
}

/** A keyring in which every kind of secret was made, shown, delivered, rotated and revoked. */
async function plant(): Promise<Planted> {
  const ring = await makeKeyring();
  const delivered: string[] = [];
  network.use(
    http.post(URL_OUT, async ({ request: message }) => {
      delivered.push(await message.text());
      return HttpResponse.text("canary-answer", { status: 200 });
    }),
  );
  const post = async (path: string, body: object): Promise<string> => {
    const headers = { "idempotency-key": crypto.randomUUID() };
    const answer = await ring.call("POST", path, { body, headers });
    expect(answer.status).toBeLessThan(300);
    return String(answer.body.secret ?? answer.body.signingSecret);
  };
  const config = { url: URL_OUT, secretMode: "plain" };
  const destinations = [{ id: "hook" }];
  const secrets = [await post("/v1/destinations", { name: "hook", type: "webhook", config })];
  secrets.push(await post("/v1/keys", { name: "delivered", provider: "issuer", destinations }));
  secrets.push(await post("/v1/keys", { name: "hashed", provider: "issuer" }));
  await post("/v1/keys", { name: "adopted", provider: "issuer", fields: FIELDS, destinations });
  secrets.push(...Object.values(FIELDS));
  secrets.push((await makeAccessKey(ring, SCOPES, { destinations })).secret);
  for (const name of ["delivered", "hashed", "adopted"]) {
    secrets.push(await post(`/v1/keys/${name}/rotate?wait=10s`, { reveal: "inline" }));
  }
  const { secret } = await makeKey(ring, "revoked", { destinations });
  secrets.push(secret);
  await ring.call("POST", "/v1/keys/revoked/revoke", { body: { reason: "a test" } });
  await settle(ring);
  for (const one of secrets) expect(one.length).toBeGreaterThan(15);
  return { ring, secrets, delivered };
}

/** Every way a secret could be written down: as it is, hex, base64, and the random part of it alone. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const random = /^\w+_[0-9A-Za-z]{74}$/.test(secret) ? [secret.slice(-49, -6)] : [];
  const raw = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : bytes;
  return [
    ...[secret, secret.replace("whsec_", ""), ...random],
    ...[bytes, raw].flatMap((value) => [value.toString("hex"), value.toString("base64").replace(/=+$/, "")]),
    ...[raw.toString("latin1")],
  ];
}

function expectNone(text: string, secrets: readonly string[], where: string): void {
  for (const secret of secrets) {
    for (const spelling of spellings(secret)) {
      const at = text.indexOf(spelling);
      expect(at === -1 ? "" : text.slice(Math.max(0, at - 60), at), where).toBe("");
    }
  }
}

function textOf(value: SqlStorageValue): string {
  return value instanceof ArrayBuffer ? Buffer.from(value).toString("latin1") : String(value);
}

async function expectNoneStored(ring: TestKeyring, secrets: readonly string[]): Promise<void> {
  for (const [table, rows] of Object.entries(await readTables(ring))) {
    for (const row of rows) {
      for (const [column, value] of Object.entries(row))
        expectNone(textOf(value), secrets, `${table}.${column}`);
    }
  }
}

describe("what was secret when it was made", () => {
  it("is in no other answer, not even to who has every scope", async () => {
    const { ring, secrets } = await plant();
    const { call } = await makeAccessKey(ring, SCOPES);
    const ids = ["delivered", "hashed", "adopted", "revoked"].map((name) => `/v1/keys/${name}`);
    const lists = ROUTES.filter(({ method, pattern }) => method === "GET" && !pattern.includes("{"));
    const rotations = await ring.call<{ items: { id: string }[] }>("GET", "/v1/rotations");
    const paths = [
      ...lists.map(({ path }) => `${path}${path === "/v1/events/verify" ? "" : "?limit=100"}`),
      ...ids,
      ...rotations.body.items.map(({ id }) => `/v1/rotations/${id}`),
      "/v1/destinations/hook",
    ];
    expect(paths.length).toBeGreaterThan(14);
    for (const path of paths) {
      const answer = await (path.startsWith("/v1/keyrings") ? ring.call : call)("GET", path);
      expect(answer.status).toBe(200);
      expectNone(JSON.stringify(answer.body), secrets, path);
    }
    const stream = await exports.default.fetch("https://rekey.test/v1/events", {
      headers: {
        authorization: `Bearer ${ROOT}`,
        "rekey-keyring": ring.name,
        accept: "application/x-ndjson",
      },
    });
    expectNone(Buffer.from(await stream.arrayBuffer()).toString("utf8"), secrets, "the stream of events");
  });

  it("is in no row of the keyring, the registry or the directory", async () => {
    const { ring, secrets } = await plant();
    await expectNoneStored(ring, secrets);
    const registry = env.REGISTRY.get(env.REGISTRY.idFromName("registry"));
    const rows = await runInDurableObject(registry, (_, { storage }) =>
      ["keyring", "setting", "idempotency"].flatMap((table) =>
        storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
      ),
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expectNone(Object.values(row).map(textOf).join(" "), secrets, "the registry");
    const { keys } = await env.REKEY_KV.list();
    const values = await Promise.all(keys.map(({ name }) => env.REKEY_KV.get(name)));
    expect(values).toContain(ring.name);
    expectNone(JSON.stringify([keys, values]), secrets, "REKEY_KV");
  });

  it("is in no log", async () => {
    const { ring, secrets } = await plant();
    const lines = logged.map((line) => JSON.parse(line)).filter(({ keyring }) => keyring === ring.name);
    const { event = [] } = await readTables(ring);
    expect(event.length).toBeGreaterThan(20);
    expect(lines.map(({ seq, event: type }) => [seq, type])).toEqual(
      event.map(({ seq, type }) => [seq, type]),
    );
    expectNone(logged.join("\n"), secrets, "the log");
  });

  it("is delivered only where it was asked for, and what the receiver answers is kept nowhere", async () => {
    const { ring, secrets, delivered } = await plant();
    const [signingSecret = "", ...values] = secrets;
    const messages = delivered.join("\n");
    expectNone(messages, [signingSecret], "the messages");
    expect(values.filter((value) => messages.includes(value)).length).toBeGreaterThan(5);
    await expectNoneStored(ring, ["canary-answer"]);
  });
});

describe("a secret in the wrong place", () => {
  it("is neither kept nor logged, wherever somebody puts it", async () => {
    const { ring } = await plant();
    const secret = "canary-misplaced-secret";
    const body = { name: "x", provider: "issuer", fields: { secret }, prefix: "not a prefix" };
    const config = { url: `https://user:${secret}@hooks.acme.dev/`, secretMode: "plain" };
    const calls: [method: string, path: string, body?: object][] = [
      ["GET", `/v1/keys/${secret}`],
      ["GET", `/v1/keys?label=a=${secret}`],
      ["GET", `/v1/keys?${secret}=1`],
      ["GET", `/v1/events?key=${secret}`],
      ["GET", `/v1/destinations/${secret}`],
      ["GET", `/${secret}`],
      ["DELETE", `/v1/keys/${secret}`],
      ["POST", `/v1/keys/${secret}/rotate`, {}],
      ["POST", `/v1/keys/${secret}/revoke`, { reason: "a test" }],
      ["POST", "/v1/keys", body],
      ["POST", "/v1/keys", { ...body, fields: secret }],
      ["POST", "/v1/verify", { key: secret }],
      ["POST", "/v1/verify", { key: [secret] }],
      ["POST", "/v1/destinations", { name: "y", type: "webhook", config }],
    ];
    for (const [method, path, sent] of calls) {
      const options = { ...(sent && { body: sent }), headers: { "idempotency-key": secret } };
      const answer = await ring.call(method, path, options);
      if (!path.includes(secret)) expectNone(JSON.stringify(answer.body), [secret], `${method} ${path}`);
      await request(secret, method, path, options);
    }
    await expectNoneStored(ring, [secret]);
    expectNone(logged.join("\n"), [secret], "the log");
  });
});
