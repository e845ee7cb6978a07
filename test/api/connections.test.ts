import "../support/standin.ts";
import { HttpResponse } from "msw";
import { describe, expect, it, vi } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { Standin } from "../support/standin.ts";
import {
  callAs,
  expectInvalid,
  expectProblem,
  makeAccessKey,
  makeKey,
  readTables,
  settle,
  snapshot,
} from "./fixtures.ts";

const ADMIN = "what-opens-the-account";
const OTHER_ADMIN = "what-opens-it-just-as-well";
const OPENER = "the-value-of-the-opener";
const ELSEWHERE = "https://api.elsewhere.acme.dev";

interface Connection {
  id: string;
  name: string;
  revision: number;
  usedBy: string[];
}

const WANTED = { name: "account", provider: "standin", credential: { secret: ADMIN } };

async function connect(ring: Pick<TestKeyring, "call">, more: object = {}): Promise<Connection> {
  const made = await ring.call<Connection>("POST", "/v1/connections", { body: { ...WANTED, ...more } });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return made.body;
}

/** A key on the connection, at rest. */
async function makeUser(ring: TestKeyring, name = "billing"): Promise<string> {
  const { id } = await makeKey(ring, name, { provider: "standin", connection: "account" });
  await settle(ring);
  return id;
}

const patch = (ring: Pick<TestKeyring, "call">, body: object) =>
  ring.call<Connection>("PATCH", "/v1/connections/account", { body });

/** A key whose value is kept, and opens the account. */
async function makeOpener(ring: TestKeyring): Promise<string> {
  await ring.call("POST", "/v1/destinations", { body: { name: "store", type: "kv" } });
  const { id } = await makeKey(ring, "opener", {
    fields: { secret: OPENER },
    destinations: [{ id: "store" }],
  });
  await settle(ring);
  return id;
}

describe("creating a connection", () => {
  it("asks its service, then answers what it made and never what opens it", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    const made = await connect(ring, { config: { region: "us" } });
    expect(service.journal).toEqual([`GET /account ${ADMIN}`]);
    expect(made).toEqual({
      id: expect.stringMatching(/^con_[0-9a-z]{26}$/),
      name: "account",
      provider: "standin",
      config: { baseUrl: "https://api.standin.acme.dev", region: "us" },
      credentialKey: null,
      account: "acme",
      revision: 1,
      usedBy: [],
      createdAt: expect.any(String),
      createdBy: "root",
    });
    for (const path of [`/v1/connections/${made.id}`, "/v1/connections/account"]) {
      expect((await ring.call("GET", path)).body).toEqual(made);
    }
    expect((await ring.call("GET", "/v1/connections")).body).toEqual({ items: [made], nextCursor: null });
  });

  it.each([
    ["refuses the credential", () => HttpResponse.json({ error: ADMIN }, { status: 401 }), "answered 401"],
    ["does not answer", () => HttpResponse.error(), "no answer from"],
    ["answers something else", () => HttpResponse.text(`<p>${ADMIN}</p>`), "something else than agreed"],
    ["asks for less", () => new HttpResponse(null, { status: 429 }), "answered 429"],
  ])("that %s stores nothing, and quotes nothing", async (_, answers, problem) => {
    const service = new Standin();
    service.answers = answers;
    const ring = await makeKeyring();
    const before = await snapshot(ring);
    const refused = await ring.call("POST", "/v1/connections", { body: WANTED });
    expect(expectProblem(refused, 409, "connection-rejected").detail).toContain(problem);
    expect(JSON.stringify(refused.body)).not.toContain(ADMIN);
    expect(await snapshot(ring)).toEqual(before);
  });

  it.each([
    ["its provider needs none", { provider: "issuer", credential: undefined }, "provider"],
    ["what opens it is missing", { credential: undefined }, "credential"],
    ["what opens it is too short", { credential: { secret: "short" } }, "credential.secret"],
    [
      "what opens it has a field that nobody knows",
      { credential: { secret: ADMIN, more: "x" } },
      "credential.more",
    ],
    ["its provider opens no account", { provider: "bitscale" }, "credential"],
    ["a setting is unknown", { config: { surprise: true } }, "config.surprise"],
    ["its address is an internal one", { config: { baseUrl: "https://10.0.0.1" } }, "config"],
    ["its address is not https", { config: { baseUrl: "http://api.standin.acme.dev" } }, "config"],
    ["it has no name", { name: "" }, "name"],
    ["its name looks like an id", { name: "con_1" }, "name"],
  ])("is refused when %s, and nobody is asked", async (_, more, field) => {
    const ring = await makeKeyring();
    const before = await snapshot(ring);
    expectInvalid(await ring.call("POST", "/v1/connections", { body: { ...WANTED, ...more } }), field);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("names every field that is wrong", async () => {
    const ring = await makeKeyring();
    const body = { ...WANTED, credential: { secret: "short" }, config: { region: 7 } };
    const refused = await ring.call("POST", "/v1/connections", { body });
    expectInvalid(refused, "credential.secret", "config.region");
  });

  it("under a name that is taken is refused before its service is asked", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    const { id } = await connect(ring);
    service.journal.length = 0;
    const before = await snapshot(ring);
    const refused = await ring.call("POST", "/v1/connections", { body: WANTED });
    expect(expectProblem(refused, 409, "name-taken").holder).toBe(id);
    expect(service.journal).toEqual([]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("twice at once under one name makes one", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    const answers = await Promise.all(
      [1, 2].map(() => ring.call("POST", "/v1/connections", { body: WANTED })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
  });

  it("is done once under an Idempotency-Key, and its service asked once", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    const headers = { "idempotency-key": "once" };
    const first = await ring.call("POST", "/v1/connections", { body: WANTED, headers });
    expect(await ring.call("POST", "/v1/connections", { body: WANTED, headers })).toMatchObject({
      status: 201,
      body: first.body,
    });
    expect(service.journal).toHaveLength(1);
    const other = { ...WANTED, credential: { secret: OTHER_ADMIN } };
    expectProblem(
      await ring.call("POST", "/v1/connections", { body: other, headers }),
      422,
      "idempotency-mismatch",
    );
  });

  it("that its service refused may be asked for again under the same Idempotency-Key", async () => {
    const service = new Standin();
    const ring = await makeKeyring();
    const request = { body: WANTED, headers: { "idempotency-key": "once" } };
    expectProblem(await ring.call("POST", "/v1/connections", request), 409, "connection-rejected");
    service.admits.add(ADMIN);
    expect((await ring.call("POST", "/v1/connections", request)).status).toBe(201);
  });
});

describe("what opens a connection", () => {
  it("is sealed, in no answer, no event and no log", async () => {
    const logged = vi.spyOn(console, "log");
    new Standin([ADMIN, OTHER_ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    await patch(ring, { credential: { secret: OTHER_ADMIN } });
    await ring.call("POST", "/v1/connections/account/test");
    const pages = await Promise.all(
      ["/v1/connections", "/v1/connections/account", "/v1/events?limit=100", "/v1/status"].map(async (path) =>
        JSON.stringify((await ring.call("GET", path)).body),
      ),
    );
    const stored = JSON.stringify(await readTables(ring), (_, value) =>
      value instanceof ArrayBuffer ? Buffer.from(value).toString("latin1") : value,
    );
    for (const text of [...pages, stored, JSON.stringify(logged.mock.calls)]) {
      expect(text).not.toContain(ADMIN);
      expect(text).not.toContain(OTHER_ADMIN);
    }
  });

  it("may be the current value of a key here, and is the next one once that was rotated", async () => {
    const service = new Standin();
    const ring = await makeKeyring();
    const id = await makeOpener(ring);
    service.admits.add(OPENER);
    expect(await connect(ring, { credential: { key: "opener" } })).toMatchObject({ credentialKey: id });
    service.journal.length = 0;
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/opener/rotate?wait=10s", {
      body: { reveal: "inline" },
    });
    service.admits.add(rotated.body.secret);
    await settle(ring);
    expect((await ring.call("POST", "/v1/connections/account/test")).body).toMatchObject({ ok: true });
    expect(service.journal).toEqual([`GET /account ${rotated.body.secret}`]);
  });

  it("may not be a key that is not there, nor one that keeps no value", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "hashed");
    const attempt = (key: string) =>
      ring.call("POST", "/v1/connections", { body: { ...WANTED, credential: { key } } });
    expectProblem(await attempt("nobody"), 404, "not-found");
    expectProblem(await attempt("hashed"), 409, "connection-rejected");
  });

  it("may not be a key that is itself on the connection", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    await makeUser(ring);
    const before = await snapshot(ring);
    expectProblem(await patch(ring, { credential: { key: "billing" } }), 409, "connection-cycle");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("may not be an access key with scopes beyond the caller's", async () => {
    const ring = await makeKeyring();
    const { call } = await makeAccessKey(ring, ["settings:write"]);
    const { name } = await makeAccessKey(ring, ["settings:write", "keys:reveal"]);
    const before = await snapshot(ring);
    const refused = await call("POST", "/v1/connections", { body: { ...WANTED, credential: { key: name } } });
    expect(expectProblem(refused, 403, "scope-exceeded").scopes).toEqual(["keys:reveal"]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("may be a key of ours at an address of one's own choice for root alone", async () => {
    const service = new Standin([OPENER], ELSEWHERE);
    const usual = new Standin([OPENER]);
    const ring = await makeKeyring();
    await makeOpener(ring);
    const { call } = await makeAccessKey(ring, SCOPES);
    const own = { ...WANTED, credential: { key: "opener" }, config: { baseUrl: ELSEWHERE } };
    expectInvalid(await call("POST", "/v1/connections", { body: own }), "config");
    await connect({ call }, { credential: { key: "opener" } });
    expectProblem(await patch({ call }, { config: { baseUrl: ELSEWHERE } }), 403, "root-required");
    expect(service.journal).toEqual([]);
    expect(usual.journal).toHaveLength(1);
    expect((await patch(ring, { config: { baseUrl: ELSEWHERE } })).status).toBe(200);
    expect(service.journal).toHaveLength(1);
  });

  it("may be changed under somebody's keys by root or its maker alone where the service does not say whose it is", async () => {
    const service = new Standin([ADMIN, OTHER_ADMIN], undefined, null);
    const ring = await makeKeyring();
    const maker = await makeAccessKey(ring, SCOPES);
    const other = await makeAccessKey(ring, SCOPES);
    expect(await connect(maker)).toMatchObject({ account: null });
    const credential = { secret: OTHER_ADMIN };
    expect((await patch(other, { credential })).status).toBe(200);
    await makeUser(ring);
    const before = service.journal.length;
    expectProblem(await patch(other, { credential }), 403, "root-required");
    expect(service.journal).toHaveLength(before);
    expect((await patch(maker, { credential })).status).toBe(200);
    expect((await patch(ring, { credential })).status).toBe(200);
  });
});

describe("testing a connection", () => {
  it("asks its service now, and says how that went", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    const connection = await connect(ring);
    const before = await snapshot(ring);
    expect((await ring.call("POST", "/v1/connections/account/test")).body).toEqual({
      ok: true,
      problem: null,
      call: { method: "GET", host: "api.standin.acme.dev", status: 200, code: "ok", at: expect.any(String) },
      connection,
    });
    service.admits.clear();
    expect((await ring.call("POST", "/v1/connections/account/test")).body).toMatchObject({
      ok: false,
      problem: "api.standin.acme.dev answered 401",
      call: { status: 401, code: "status" },
    });
    expect(await snapshot(ring)).toEqual(before);
  });

  it("again under the same Idempotency-Key asks nobody", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    const headers = { "idempotency-key": "once" };
    await ring.call("POST", "/v1/connections/account/test", { headers });
    expect((await ring.call("POST", "/v1/connections/account/test", { headers })).status).toBe(200);
    expect(service.journal).toHaveLength(2);
  });

  it("whose key has no value that is kept says so", async () => {
    new Standin([OPENER]);
    const ring = await makeKeyring();
    await makeOpener(ring);
    await connect(ring, { credential: { key: "opener" } });
    await ring.call("POST", "/v1/keys/opener/revoke", { body: { reason: "a test" } });
    await settle(ring);
    expect((await ring.call("POST", "/v1/connections/account/test")).body).toMatchObject({
      ok: false,
      problem: "its credential has no value that is kept",
      call: null,
    });
  });
});

describe("changing a connection", () => {
  it("to another name asks nobody, and keeps the rest", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    const made = await connect(ring);
    service.journal.length = 0;
    expect((await patch(ring, { name: "renamed" })).body).toEqual({ ...made, name: "renamed" });
    expect(service.journal).toEqual([]);
    expectProblem(await ring.call("GET", "/v1/connections/account"), 404, "not-found");
  });

  it("to a name that is taken is refused, with all that came along", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    const { id } = await connect(ring, { name: "other" });
    service.journal.length = 0;
    const before = await snapshot(ring);
    const refused = await patch(ring, { name: "other", credential: { secret: OTHER_ADMIN } });
    expect(expectProblem(refused, 409, "name-taken").holder).toBe(id);
    expect(service.journal).toEqual([]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("to another credential is tried with that one first", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    const before = await snapshot(ring);
    const change = { credential: { secret: OTHER_ADMIN } };
    expectProblem(await patch(ring, change), 409, "connection-rejected");
    expect(await snapshot(ring)).toEqual(before);
    service.admits.add(OTHER_ADMIN);
    expect((await patch(ring, change)).body).toMatchObject({ revision: 2, account: "acme" });
    service.journal.length = 0;
    await ring.call("POST", "/v1/connections/account/test");
    expect(service.journal).toEqual([`GET /account ${OTHER_ADMIN}`]);
  });

  it("is used by the next rotation of its keys", async () => {
    const service = new Standin([ADMIN, OTHER_ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    await makeUser(ring);
    await patch(ring, { credential: { secret: OTHER_ADMIN } });
    service.journal.length = 0;
    await ring.call("POST", "/v1/keys/billing/rotate?wait=10s", { body: { reveal: "inline" } });
    await settle(ring);
    expect(service.journal).toContain(`POST /keys ${OTHER_ADMIN}`);
    expect(service.journal.join()).not.toContain(ADMIN);
  });

  it("of where values are sent is refused while keys are on it; of anything else it is not", async () => {
    new Standin([ADMIN]);
    const elsewhere = new Standin([ADMIN], ELSEWHERE);
    const ring = await makeKeyring();
    await connect(ring);
    const user = await makeUser(ring);
    const before = await snapshot(ring);
    const refused = await patch(ring, { config: { baseUrl: ELSEWHERE } });
    expect(expectProblem(refused, 409, "in-use").usedBy).toEqual([user]);
    expect(elsewhere.journal).toEqual([]);
    expect(await snapshot(ring)).toEqual(before);
    expect((await patch(ring, { config: { region: "us" } })).body).toMatchObject({ revision: 2 });
  });

  it("of where values are sent is refused when a key came to it while its service was asked", async () => {
    const usual = new Standin([ADMIN]);
    const elsewhere = new Standin([ADMIN], ELSEWHERE);
    const ring = await makeKeyring();
    await connect(ring);
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    elsewhere.answers = async () => {
      await answered;
      return HttpResponse.json({ account: "acme" });
    };
    const changing = patch(ring, { config: { baseUrl: ELSEWHERE } });
    await eventually(() => expect(elsewhere.journal).toHaveLength(1));
    const user = await makeUser(ring);
    answer();
    expect(expectProblem(await changing, 409, "in-use").usedBy).toEqual([user]);
    expect((await ring.call("GET", "/v1/connections/account")).body).toMatchObject({ revision: 1 });
    expect(usual.journal.join()).toContain("POST /keys");
  });

  it("that names nothing, or what nobody knows, is refused", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    expectProblem(await patch(ring, {}), 422, "invalid");
    expectInvalid(await patch(ring, { name: "renamed", provider: "issuer" }), "provider");
  });
});

describe("deleting a connection", () => {
  it("is refused while keys are on it, which are named", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    const user = await makeUser(ring);
    const before = await snapshot(ring);
    const refused = await ring.call("DELETE", "/v1/connections/account");
    expect(expectProblem(refused, 409, "in-use").usedBy).toEqual([user]);
    expect((await ring.call("GET", "/v1/connections/account")).body.usedBy).toEqual([user]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("takes its credential with it, and frees its name", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    const { id } = await connect(ring);
    expect(await ring.call("DELETE", "/v1/connections/account")).toMatchObject({ status: 204, body: null });
    for (const path of ["/v1/connections/account", `/v1/connections/${id}`]) {
      expectProblem(await ring.call("GET", path), 404, "not-found");
    }
    const { connection, connectionRevision, event = [] } = await readTables(ring);
    expect([connection, connectionRevision]).toEqual([[], []]);
    expect(event.map(({ type }) => type)).toContain("connection.deleted");
    await connect(ring);
  });

  it("and all that happens to it is in the history", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    const { id } = await connect(ring);
    await patch(ring, { name: "renamed" });
    await ring.call("PATCH", "/v1/connections/renamed", { body: { config: { region: "us" } } });
    await ring.call("DELETE", "/v1/connections/renamed");
    const { body } = await ring.call<{ items: { type: string }[] }>("GET", "/v1/events");
    expect(body.items.filter(({ type }) => type.startsWith("connection."))).toMatchObject([
      { type: "connection.deleted", actor: "root", data: { connectionId: id, name: "renamed" } },
      { type: "connection.updated", data: { connectionId: id, changed: "config" } },
      { type: "connection.updated", data: { connectionId: id, changed: "name" } },
      { type: "connection.created", data: { connectionId: id, name: "account", provider: "standin" } },
    ]);
  });
});

describe("a list of connections", () => {
  it("comes in pages, in the order in which they were made", async () => {
    new Standin([ADMIN]);
    const ring = await makeKeyring();
    for (const name of ["one", "two", "three"]) {
      await connect(ring, { name });
      pass("1s");
    }
    type Page = { items: Connection[]; nextCursor: string | null };
    const names: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const { body } = await ring.call<Page>("GET", `/v1/connections?limit=2${query}`);
      names.push(...body.items.map(({ name }) => name));
      cursor = body.nextCursor;
    }
    expect(names).toEqual(["one", "two", "three"]);
    expectInvalid(await ring.call("GET", "/v1/connections?cursor=nonsense"), "cursor");
  });
});

describe("who may not", () => {
  const attempts = (call: TestKeyring["call"]) => [
    call("POST", "/v1/connections", { body: { ...WANTED, name: "another" } }),
    call("PATCH", "/v1/connections/account", { body: { credential: { secret: OTHER_ADMIN } } }),
    call("DELETE", "/v1/connections/account"),
  ];

  it("an access key in the cooldown of its rotation changes nothing, and no service is asked", async () => {
    const service = new Standin([ADMIN, OTHER_ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    const { name } = await makeAccessKey(ring, SCOPES, { policy: { cooldown: "60m" } });
    const rotated = await ring.call<{ secret: string }>("POST", `/v1/keys/${name}/rotate?wait=10s`, {
      body: { reveal: "inline" },
    });
    const call = callAs(rotated.body.secret);
    service.journal.length = 0;
    await settle(ring);
    for (const answer of await Promise.all(attempts(call))) {
      expect(expectProblem(answer, 409, "caller-cooldown").retryAt).toEqual(expect.any(String));
    }
    expect(service.journal).toEqual([]);
    expect((await call("GET", "/v1/connections/account")).status).toBe(200);
    pass("61m");
    expect((await patch({ call }, { credential: { secret: OTHER_ADMIN } })).status).toBe(200);
  });

  it("an access key that was revoked reads nothing and changes nothing", async () => {
    const service = new Standin([ADMIN]);
    const ring = await makeKeyring();
    await connect(ring);
    const { name, call } = await makeAccessKey(ring, SCOPES);
    await ring.call("POST", `/v1/keys/${name}/revoke`, { body: { reason: "a test" } });
    await settle(ring);
    service.journal.length = 0;
    for (const answer of await Promise.all([...attempts(call), call("GET", "/v1/connections")])) {
      expectProblem(answer, 401, "credential-revoked");
    }
    expect(service.journal).toEqual([]);
  });
});
