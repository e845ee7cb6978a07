/** What the tests of the API share: filled keyrings, access keys, the shape of a problem, and everything that is stored. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type { FailureCode, FieldError } from "../../src/errors/catalogue.ts";
import type { Scope } from "../../src/keyring/scopes.ts";
import { LANES } from "../../src/store/due.ts";
import { NEW_ROTATION, type RotationRow } from "../../src/store/rotations.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { type Answer, makeKeyring, request, type TestKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { noteCron } from "../support/registry.ts";

// Each test is many requests, and a machine may be busy.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

const HOUR_MS = 3_600_000;

export interface Made {
  id: string;
  secret: string;
}

/** Makes an access key and a caller that uses it. */
export async function makeAccessKey(ring: TestKeyring, scopes: readonly Scope[], more: object = {}) {
  await scheduler.wait(2);
  const name = `access-${crypto.randomUUID().slice(0, 8)}`;
  const made = await ring.call<Made>("POST", "/v1/keys", {
    body: { name, provider: "access", scopes, ...more },
  });
  expect(made.status).toBe(201);
  const { id, secret } = made.body;
  return { id, name, secret, call: callAs(secret) };
}

/** Sends requests with one credential. */
export function callAs(token: string) {
  return <Body = Record<string, unknown>>(
    method: string,
    path: string,
    options: Parameters<typeof request>[3] = {},
  ): Promise<Answer<Body>> => request<Body>(token, method, path, options);
}

/** Makes an issued key. A moment passes first, as ids of one millisecond are in no order. */
export async function makeKey(ring: TestKeyring, name: string, more: object = {}): Promise<Made> {
  await scheduler.wait(2);
  const made = await ring.call<Made>("POST", "/v1/keys", { body: { name, provider: "issuer", ...more } });
  expect(made.status).toBe(201);
  return made.body;
}

export interface Furnished extends TestKeyring {
  /** Id of the key `billing`, which was rotated once and goes to the destination `store`. */
  key: string;
  rotation: string;
  /** Id of the delivery of its second version. */
  delivery: string;
  /** Id of the destination `store`. */
  destination: string;
}

/** A keyring with one of everything, at rest, where cron has come: destinations `store` (used) and `spare`, the key `billing`, a rotation. */
export async function furnish(): Promise<Furnished> {
  const ring = await makeKeyring();
  await noteCron(Date.now());
  const store = await ring.call<{ id: string }>("POST", "/v1/destinations", {
    body: { name: "store", type: "kv" },
  });
  await ring.call("POST", "/v1/destinations", { body: { name: "spare", type: "kv" } });
  await ring.call("POST", "/v1/policies", { body: { name: "common", policy: {} } });
  const { id: key } = await makeKey(ring, "billing", { destinations: [{ id: "store" }] });
  await settle(ring);
  const rotated = await ring.call<{ rotation: { id: string; deliveries: { id: string }[] } }>(
    "POST",
    "/v1/keys/billing/rotate?wait=10s",
    { body: {} },
  );
  expect(rotated.status).toBe(200);
  await settle(ring);
  const { id: rotation, deliveries } = rotated.body.rotation;
  return { ...ring, key, rotation, delivery: deliveries[0]?.id ?? "", destination: store.body.id };
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: string;
  remedy: string;
  detail?: string;
  scope?: string;
  scopes?: string[];
  usedBy?: string[];
  holder?: string;
  retryAt?: string;
  errors?: FieldError[];
}

/** Checks that an answer is a whole problem document (RFC 9457) with this status and code, and returns it. */
export function expectProblem(
  answer: Answer<unknown>,
  status: number,
  code: FailureCode,
  request?: string,
): ProblemBody {
  const body = answer.body as ProblemBody;
  expect({ status: answer.status, code: body.code }, request).toEqual({ status, code });
  expect(body).toMatchObject({ type: `urn:rekey:problem:${code}`, status });
  expect(body.title).toMatch(/\S/);
  expect(body.remedy).toMatch(/\S/);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.headers.get("www-authenticate")).toBe(status === 401 ? "Bearer" : null);
  return body;
}

/** The same for an invalid request: names exactly these fields. */
export function expectInvalid(answer: Answer<unknown>, ...fields: string[]): void {
  const { errors = [] } = expectProblem(answer, 422, "invalid");
  expect(errors.map((error) => error.path).sort()).toEqual([...fields].sort());
  for (const { message } of errors) expect(message).toMatch(/\S/);
}

/** The object of a keyring. */
export function objectOf(ring: Pick<TestKeyring, "code">) {
  return env.KEYRING.get(env.KEYRING.idFromName(ring.code));
}

/** Makes an issued key whose value is lost, as a service without overlap may leave one. */
export async function makeLostKey(ring: TestKeyring, name: string, more: object = {}): Promise<Made> {
  const made = await makeKey(ring, name, more);
  await settle(ring);
  await changeStore(ring, (store) => {
    const key = store.keys.get(made.id);
    const version = store.versions.current(made.id);
    if (!key || !version) throw new Error("no key");
    store.versions.update(version, { stage: "revoked", endReason: "lost", sealed: null });
    store.keys.update(key, { state: "lost", dueAt: null });
  });
  return made;
}

/** Changes a keyring's tables past its object, which remembers what it has read: it is started anew. */
export async function changeStore(
  ring: Pick<TestKeyring, "code">,
  change: (store: Store) => unknown,
): Promise<void> {
  await runInDurableObject(objectOf(ring), (_, { storage }) => {
    change(new Store(durableObjectSql(storage)));
  });
  await abortAllDurableObjects();
}

/** A live rotation of a key of its own, as a service outside may leave one. Nothing wakes it for an hour. */
export async function makeStuckRotation(
  ring: TestKeyring,
  patch: Pick<RotationRow, "state" | "step"> & Partial<RotationRow>,
): Promise<{ live: string }> {
  const made = await makeKey(ring, "stuck", { destinations: [{ id: "spare", as: "stuck" }] });
  await settle(ring);
  const live = `rot_${made.id.slice(4)}`;
  const now = Date.now();
  await changeStore(ring, (store) =>
    store.rotations.insert({
      ...NEW_ROTATION,
      id: live,
      keyId: made.id,
      trigger: "manual",
      reason: null,
      requestedBy: "root",
      grace: null,
      live: true,
      fromVersion: 1,
      attempt: 1,
      problem: "a test",
      startedAt: now,
      deadlineAt: now + 6 * HOUR_MS,
      ending: null,
      tally: null,
      connectionRevision: null,
      dueAt: now + HOUR_MS,
      ...patch,
    }),
  );
  return { live };
}

/** Has the first version of a key that was rotated wait for its next try to be revoked, in an hour. */
export async function makeStuckRevocation(ring: TestKeyring, name = "billing"): Promise<void> {
  await changeStore(ring, (store) => {
    const key = store.keys.byName(name);
    const version = key && store.versions.byNumber(key.id, 1);
    if (!version) throw new Error("no version");
    store.versions.update(version, { stage: "revoking", attempt: 7, dueAt: Date.now() + HOUR_MS });
  });
}

type Row = Record<string, SqlStorageValue>;

/** Every row of every table of a keyring, as stored. */
export function readTables(ring: Pick<TestKeyring, "code">): Promise<Record<string, Row[]>> {
  return runInDurableObject(objectOf(ring), (_, { storage }) => {
    const names = storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
      .toArray()
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("_cf") && !name.startsWith("sqlite_"));
    return Object.fromEntries(
      names.map((name) => [name, storage.sql.exec<Row>(`SELECT * FROM ${name}`).toArray()]),
    );
  });
}

/** All that a refused request must leave as it was. Uses of a root token are events, and shift the numbers of those after. */
export async function snapshot(ring: Pick<TestKeyring, "code">): Promise<unknown> {
  const { event = [], subscription = [], due = [], ...rest } = await readTables(ring);
  const events = event
    .filter((row) => row.type !== "root.used")
    .map(({ id, type, data }) => ({ id, type, data }));
  // Who hears of everything is told of those uses, too: how far that has come is no change either.
  const told = new Set(subscription.filter(({ types }) => types === "[]").map(({ id }) => id));
  const tables = {
    ...rest,
    subscription: subscription.map((row) => (told.has(row.id) ? { ...row, ...UNTOLD } : row)),
    due: due.filter(({ id }) => !told.has(id)),
  };
  return JSON.parse(JSON.stringify({ ...tables, events }, (_, value) => readable(value)));
}

const UNTOLD = {
  sentSeq: 0,
  state: "",
  attempt: 0,
  provenAt: 0,
  lastCall: "",
  claim: 0,
  leaseUntil: 0,
  dueAt: 0,
} satisfies Row;

function readable(value: unknown): unknown {
  return value instanceof ArrayBuffer ? Buffer.from(value).toString("hex") : value;
}

/** Waits until no work of a keyring is due or under way. */
export async function settle(ring: Pick<TestKeyring, "code">, withinMs = 10_000): Promise<void> {
  await eventually(async () => {
    const { due = [], version = [] } = await readTables(ring);
    expect(version.filter(({ leaseUntil }) => Number(leaseUntil) > Date.now())).toEqual([]);
    const soon = Date.now() + 60_000;
    // A version in grace is at rest until its time has come, and so is a look at the keyring's health; what is due later may be in a worker's hands.
    const work = due.filter(
      ({ lane, kind, at }) =>
        lane !== LANES.starts &&
        kind !== "idempotency" &&
        Number(at) < (kind === "version" || kind === "chore" ? Date.now() : soon),
    );
    expect(work).toEqual([]);
  }, withinMs);
}
