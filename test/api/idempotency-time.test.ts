/** What an Idempotency-Key stands for is forgotten in time: its secret after 60 s, all of it after 24 h. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { sha256 } from "../../src/crypto/hash.ts";
import { makeKeyring, ROOT, request, type TestKeyring } from "../support/api.ts";
import { expectProblem, makeKey, objectOf, readTables, settle } from "./fixtures.ts";

afterEach(() => {
  vi.useRealTimers();
});

const SECOND = 1_000;
const DAY = 86_400 * SECOND;
const headers = { "idempotency-key": "attempt-1" };
const config = { url: "https://hooks.acme.dev/rekey", secretMode: "none" };

/** Stops the clock; the returned function sets it to so many milliseconds from now. */
function stopClock(): (ms: number) => void {
  const start = Date.now();
  vi.useFakeTimers({ toFake: ["Date"], now: start });
  return (ms) => {
    vi.setSystemTime(start + ms);
  };
}

interface Case {
  what: string;
  path: string;
  body: object;
  other: object;
  /** Where the answer has the secret. */
  field: string;
  /** What was made, in an answer. */
  idOf(body: Record<string, unknown>): unknown;
}

const CASES: Case[] = [
  {
    what: "a new key's value",
    path: "/v1/keys",
    body: { name: "a", provider: "issuer" },
    other: { name: "b", provider: "issuer" },
    field: "secret",
    idOf: ({ id }) => id,
  },
  {
    what: "a rotation's value",
    path: "/v1/keys/billing/rotate?wait=10s",
    body: { reveal: "inline" },
    other: { reveal: "inline", reason: "again" },
    field: "secret",
    idOf: ({ rotation }) => (rotation as { id: string }).id,
  },
  {
    what: "a destination's signing secret",
    path: "/v1/destinations",
    body: { name: "a", type: "webhook", config },
    other: { name: "b", type: "webhook", config },
    field: "signingSecret",
    idOf: ({ id }) => id,
  },
];

const kept = async (ring: TestKeyring) => (await readTables(ring)).idempotency ?? [];

describe.each(CASES)("$what", ({ path, body, other, field, idOf }) => {
  const begin = async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const goTo = stopClock();
    const send = (sent: object) => ring.call("POST", path, { body: sent, headers });
    const first = await send(body);
    expect(first.body[field]).toMatch(/./);
    await settle(ring);
    return { ring, goTo, send, first: first.body };
  };

  it("is shown again for 60 s and then no more, even if the alarm is late; the result stays", async () => {
    const { goTo, send, first } = await begin();
    goTo(60 * SECOND - 1);
    expect((await send(body)).body[field]).toBe(first[field]);
    for (const ms of [60 * SECOND, 61 * SECOND, DAY - 1]) {
      goTo(ms);
      const again = await send(body);
      expect(again.status).toBeLessThan(300);
      expect(again.body).not.toHaveProperty(field);
      expect(idOf(again.body)).toBe(idOf(first));
    }
  });

  it("is kept with no hash of its request that a guess could be compared with", async () => {
    const { ring } = await begin();
    const [row] = await kept(ring);
    const plain = Buffer.from(sha256(JSON.stringify(body))).toString("hex");
    const hash = Buffer.from(row?.bodyHash as ArrayBuffer).toString("hex");
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(hash).not.toBe(plain);
  });

  it("is wiped by the alarm after 60 s, and the rest after 24 h", async () => {
    const { ring, goTo } = await begin();
    expect(await kept(ring)).toMatchObject([{ sealed: expect.any(ArrayBuffer) }]);
    goTo(60 * SECOND - 1);
    await runDurableObjectAlarm(objectOf(ring));
    expect(await kept(ring)).toMatchObject([{ sealed: expect.any(ArrayBuffer) }]);
    goTo(60 * SECOND);
    await runDurableObjectAlarm(objectOf(ring));
    expect(await kept(ring)).toMatchObject([{ sealed: null }]);
    goTo(DAY - 1);
    await runDurableObjectAlarm(objectOf(ring));
    expect(await kept(ring)).toHaveLength(1);
    goTo(DAY);
    await runDurableObjectAlarm(objectOf(ring));
    expect(await kept(ring)).toEqual([]);
  });

  it.each([true, false])("is a new request after 24 h, when the alarm was in time: %s", async (inTime) => {
    const { ring, goTo, send, first } = await begin();
    goTo(DAY - 1);
    expectProblem(await send(other), 422, "idempotency-mismatch");
    goTo(DAY);
    if (inTime) await runDurableObjectAlarm(objectOf(ring));
    const fresh = await send(other);
    expect(fresh.status).toBeLessThan(300);
    expect(fresh.body[field]).toMatch(/./);
    expect(fresh.body[field]).not.toBe(first[field]);
    expect(idOf(fresh.body)).not.toBe(idOf(first));
    expect(await kept(ring)).toHaveLength(1);
  });
});

describe("a keyring that was made", () => {
  it("is found again by the same request for 24 h, and then its name is taken", async () => {
    const body = { name: `once-${crypto.randomUUID().slice(0, 8)}` };
    const own = { "idempotency-key": crypto.randomUUID() };
    const send = () => request(ROOT, "POST", "/v1/keyrings", { body, headers: own });
    const goTo = stopClock();
    const first = await send();
    goTo(DAY - 1);
    expect((await send()).body).toEqual(first.body);
    goTo(DAY);
    expectProblem(await send(), 409, "keyring-exists");
    const other = { body: { name: `${body.name}-2` }, headers: own };
    expect((await request(ROOT, "POST", "/v1/keyrings", other)).status).toBe(201);
  });
});
