/** The list of keyrings: made over HTTP, walked by the sweep page by page. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { registryOf } from "../../src/registry/stub.ts";
import { ROOT, request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { meter } from "../support/meter.ts";
import { inRegistry, insertKeyrings } from "../support/registry.ts";
import "../support/scene.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe("POST /v1/keyrings", () => {
  it("makes a keyring with a code of eight digits and lists it", async () => {
    const made = await request<{ name: string; code: string }>(ROOT, "POST", "/v1/keyrings", {
      body: { name: "team-a" },
    });
    expect(made.status).toBe(201);
    expect(made.body).toEqual({ name: "team-a", code: expect.stringMatching(/^[0-9A-Za-z]{8}$/) });
    const listed = await request<{ items: { name: string }[] }>(ROOT, "GET", "/v1/keyrings");
    expect(listed.body.items).toEqual([
      expect.objectContaining({ ...made.body, createdAt: new Date().toISOString(), nextRotationAt: null }),
    ]);
  });

  it("refuses a name that is taken, and says by whom", async () => {
    const made = await request<{ code: string }>(ROOT, "POST", "/v1/keyrings", { body: { name: "twice" } });
    const again = await request(ROOT, "POST", "/v1/keyrings", { body: { name: "twice" } });
    expect(again).toMatchObject({ status: 409, body: { code: "keyring-exists", holder: made.body.code } });
  });

  it("answers the same request the same, by its Idempotency-Key, for a day", async () => {
    const send = (name: string) =>
      request<{ code: string }>(ROOT, "POST", "/v1/keyrings", {
        body: { name },
        headers: { "idempotency-key": "once" },
      });
    const first = await send("repeated");
    expect((await send("repeated")).body).toEqual(first.body);
    expect(await send("another")).toMatchObject({ status: 422, body: { code: "idempotency-mismatch" } });
    pass("24h");
    expect(await send("another")).toMatchObject({ status: 201 });
  });

  it("shows when each next has a rotation due", async () => {
    await request(ROOT, "POST", "/v1/keyrings", { body: { name: "team-a" } });
    const headers = { "rekey-keyring": "team-a" };
    await request(ROOT, "POST", "/v1/destinations", { headers, body: { name: "store", type: "kv" } });
    const body = {
      name: "k",
      provider: "issuer",
      policy: { maxAge: "30d" },
      destinations: [{ id: "store" }],
    };
    await request(ROOT, "POST", "/v1/keys", { headers, body });
    const { body: listed } = await request<{ items: { nextRotationAt: string }[] }>(
      ROOT,
      "GET",
      "/v1/keyrings",
    );
    expect(listed.items[0]?.nextRotationAt).toBe(new Date(Date.now() + 30 * DAY).toISOString());
  });
});

describe("the list of what is due", () => {
  const codesOf = (visits: { code: string }[]) => visits.map(({ code }) => code);

  it("comes in pages, each once, in order of time, and an empty page ends the round", async () => {
    const now = Date.now();
    await insertKeyrings(25, (n) => ({ nextStartAt: now - 25 + n, visitedAt: now }));
    const registry = registryOf(env);
    const pages: string[][] = [];
    for (;;) {
      const page = codesOf(await registry.nextDue(now, 10));
      if (page.length === 0) break;
      pages.push(page);
    }
    expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
    expect(new Set(pages.flat()).size).toBe(25);
    expect(pages.flat()).toEqual(pages.flat().toSorted());
  });

  it("goes on where it was cut off, and begins at the front after the round", async () => {
    const now = Date.now();
    await insertKeyrings(25, () => ({ nextStartAt: now, visitedAt: now }));
    const first = codesOf(await registryOf(env).nextDue(now, 10));
    // The sweep dies here, and so does the registry's object.
    await abortAllDurableObjects();
    const second = codesOf(await registryOf(env).nextDue(now + 300_000, 10));
    const third = codesOf(await registryOf(env).nextDue(now + 300_000, 10));
    expect(new Set([...first, ...second, ...third]).size).toBe(25);
    expect(await registryOf(env).nextDue(now + 300_000, 10)).toEqual([]);
    expect(codesOf(await registryOf(env).nextDue(now + 300_000, 10))).toEqual(first);
  });

  it("leaves out what is due later and what is never due", async () => {
    const now = Date.now();
    await insertKeyrings(3, (n) => ({ nextStartAt: [now, now + 1, null][n] ?? null, visitedAt: now }));
    expect(await registryOf(env).nextDue(now, 10)).toHaveLength(1);
  });

  it("reads no more rows than it returns, however many keyrings there are", async () => {
    const now = Date.now();
    await insertKeyrings(2_000, (n) => ({ nextStartAt: n < 3 ? now : now + DAY, visitedAt: now }));
    const rowsRead = await inRegistry((registry, state) => {
      const { statements, remove } = meter(state);
      registry.nextDue(now, 100);
      registry.nextUnseen(now, 100);
      remove();
      return statements().map((statement) => statement.rowsRead);
    });
    // The cursor's setting is read and written on the way.
    for (const read of rowsRead) expect(read).toBeLessThanOrEqual(4);
  });
});

describe("a keyring's report of its next start", () => {
  it("counts when it is nearer than what is known, and when what was known has passed", async () => {
    const now = Date.now();
    const [code = ""] = await insertKeyrings(1, () => ({ nextStartAt: null, visitedAt: now }));
    const nextStartAt = () =>
      inRegistry((_, { storage }) => storage.sql.exec("SELECT nextStartAt AS at FROM keyring").one().at);
    const registry = registryOf(env);
    await registry.noteStart(code, now + 2 * HOUR);
    expect(await nextStartAt()).toBe(now + 2 * HOUR);
    await registry.noteStart(code, now + HOUR);
    await registry.noteStart(code, now + 3 * HOUR);
    expect(await nextStartAt()).toBe(now + HOUR);
    pass("1h");
    await registry.noteStart(code, now + 3 * HOUR);
    expect(await nextStartAt()).toBe(now + 3 * HOUR);
  });

  it("that comes between the sweep's list and its note is not overwritten", async () => {
    const now = Date.now();
    await insertKeyrings(2, () => ({ nextStartAt: now, visitedAt: now }));
    const registry = registryOf(env);
    const [first, second] = await registry.nextDue(now, 10);
    if (!first || !second) throw new Error("two are due");
    // The visit started a rotation, which is over before the sweep comes to write down that nothing is scheduled.
    await registry.noteStart(first.code, now + HOUR);
    await registry.noteVisits(
      [first, second].map((due) => ({ ...due, ok: true, nextStartAt: null, masterKeyId: null })),
      now,
    );
    const rows = await inRegistry((_, { storage }) =>
      Object.fromEntries(
        storage.sql
          .exec("SELECT code, nextStartAt AS at FROM keyring")
          .toArray()
          .map(({ code, at }) => [code, at]),
      ),
    );
    expect(rows).toEqual({ [first.code]: now + HOUR, [second.code]: null });
  });
});
