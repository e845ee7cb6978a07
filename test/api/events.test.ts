import { runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { EVENT_TYPES } from "../../src/events/catalogue.ts";
import { appendEvent } from "../../src/events/chain.ts";
import type { ChainView } from "../../src/keyring/operations/events.ts";
import { EventTable } from "../../src/store/events.ts";
import { HeldSql } from "../../src/store/held-sql.ts";
import { durableObjectSql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { makeKeyring, ROOT, type TestKeyring } from "../support/api.ts";
import { type Furnished, furnish, makeKey, objectOf } from "./fixtures.ts";

interface Event {
  seq: number;
  id: string;
  type: string;
  at: string;
  actor: string;
  key: string | null;
  data: Record<string, unknown>;
  hash: string;
}

interface Page {
  items: Event[];
  nextCursor: string | null;
}

async function list(ring: TestKeyring, query = ""): Promise<Event[]> {
  return (await ring.call<Page>("GET", `/v1/events${query}`)).body.items;
}

async function stream(ring: TestKeyring, query = ""): Promise<Event[]> {
  const response = await exports.default.fetch(`https://rekey.test/v1/events${query}`, {
    headers: { authorization: `Bearer ${ROOT}`, "rekey-keyring": ring.name, accept: "application/x-ndjson" },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  expect(response.headers.get("cache-control")).toBe("no-store");
  const lines = Buffer.from(await response.arrayBuffer())
    .toString("utf8")
    .split("\n");
  expect(lines.pop()).toBe("");
  return lines.map((line) => JSON.parse(line) as Event);
}

/** What the look at the chain found, apart from what was pruned: nothing was. */
async function verify(ring: TestKeyring) {
  const { body } = await ring.call<ChainView>("GET", "/v1/events/verify");
  const { pruned, since, ...report } = body;
  expect(pruned).toBe(0);
  expect(since).toMatch(/^\d{4}-/);
  return report;
}

const change = (ring: TestKeyring, query: string) =>
  runInDurableObject(objectOf(ring), (_, { storage }) => {
    storage.sql.exec(query);
  });

describe("the history", () => {
  it("tells a rotation from its start to its end, newest first, without gaps", async () => {
    const ring = await furnish();
    const events = await list(ring);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => events.length - index));
    const own = events.filter(({ key }) => key === ring.key).reverse();
    expect(own.map(({ type }) => type)).toEqual([
      "key.created",
      "delivery.succeeded",
      "key.rotation.started",
      "delivery.succeeded",
      "key.rotated",
    ]);
    expect(own.at(-1)).toEqual({
      seq: expect.any(Number),
      id: expect.stringMatching(/^evt_[0-9a-z]{26}$/),
      type: "key.rotated",
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      actor: "root",
      key: ring.key,
      data: { rotationId: ring.rotation, fromVersion: 1, toVersion: 2, graceEndsAt: expect.any(String) },
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("can be asked for one key, by id or name, and for one type", async () => {
    const ring = await furnish();
    await makeKey(ring, "other");
    const byName = await list(ring, "?key=billing");
    expect(byName.length).toBeGreaterThan(3);
    expect(byName.every(({ key }) => key === ring.key)).toBe(true);
    expect(await list(ring, `?key=${ring.key}`)).toEqual(byName);
    expect((await list(ring, "?type=key.created")).map(({ data }) => data.name)).toEqual([
      "other",
      "billing",
    ]);
    expect((await list(ring, "?type=key.created&key=other")).map(({ data }) => data.name)).toEqual(["other"]);
    expect(await list(ring, "?key=nothing")).toEqual([]);
  });

  it("knows every type of event by name", async () => {
    const ring = await makeKeyring();
    for (const type of EVENT_TYPES)
      expect((await ring.call("GET", `/v1/events?type=${type}`)).status).toBe(200);
  });

  it("streams as one event a line, oldest first, and the same events", async () => {
    const ring = await furnish();
    const events = await list(ring, "?limit=100");
    const lines = await stream(ring);
    // The use of the root token for the list itself is newer than what the list shows of it.
    expect(lines.slice(0, events.length)).toEqual([...events].reverse());
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
    expect(await stream(ring, "?key=billing")).toEqual([...(await list(ring, "?key=billing"))].reverse());
    expect((await stream(ring, "?type=key.rotated")).map(({ type }) => type)).toEqual(["key.rotated"]);
  });

  it("streams whole when it is longer than one read", async () => {
    const ring = await makeKeyring();
    await runInDurableObject(objectOf(ring), (_, { storage }) => {
      const store = new Store(durableObjectSql(storage));
      store.transaction(() => {
        for (let count = 0; count < 2_500; count++) {
          const type = count % 2 === 0 ? "key.updated" : "key.created";
          appendEvent(store.events, { type, actor: "root", data: { count } }, Date.now(), secureRandom);
        }
      });
    });
    const lines = await stream(ring);
    expect(lines.length).toBeGreaterThan(2_500);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
    const updated = await stream(ring, "?type=key.updated");
    expect(updated.map(({ data }) => data.count)).toEqual(
      Array.from({ length: 1_250 }, (_, index) => index * 2),
    );
    expect(await verify(ring)).toMatchObject({ ok: true });
  });
});

describe("the chain of the history", () => {
  it("holds, and counts every event", async () => {
    const ring = await furnish();
    const [newest] = await list(ring, "?limit=1");
    // The use of the root token for this very call comes before the count.
    expect(await verify(ring)).toEqual({ ok: true, count: (newest?.seq ?? 0) + 1 });
  });

  it.each([
    ["a type changed", "UPDATE event SET type = 'key.deleted' WHERE seq = 5", 5],
    ["a time changed", "UPDATE event SET at = at + 1 WHERE seq = 5", 5],
    ["an actor changed", "UPDATE event SET actor = 'nobody' WHERE seq = 5", 5],
    ["a key changed", "UPDATE event SET keyId = 'key_x' WHERE seq = 5", 5],
    ["data changed", "UPDATE event SET data = '{}' WHERE seq = 5", 5],
    ["an id changed", "UPDATE event SET id = 'evt_x' WHERE seq = 5", 5],
    ["a hash changed", "UPDATE event SET hash = zeroblob(32) WHERE seq = 5", 5],
    ["an event taken out", "DELETE FROM event WHERE seq = 5", 5],
    ["the first event taken out", "DELETE FROM event WHERE seq = 1", 1],
    ["a gap closed", "DELETE FROM event WHERE seq = 1; UPDATE event SET seq = seq - 1", 1],
    [
      "two events exchanged",
      "UPDATE event SET seq = 99 WHERE seq = 5; UPDATE event SET seq = 5 WHERE seq = 6",
      5,
    ],
  ])("breaks at the place of %s", async (_, query, brokenAt) => {
    const ring = await furnish();
    await change(ring, query);
    expect(await verify(ring)).toEqual({ ok: false, count: brokenAt - 1, brokenAt });
  });

  it("breaks at a number that was left out, even with every hash computed anew", async () => {
    class Skipping extends EventTable {
      override head() {
        const head = super.head();
        return head && { ...head, seq: head.seq + 1 };
      }
    }
    const ring = await furnish();
    const [newest] = await list(ring, "?limit=1");
    await runInDurableObject(objectOf(ring), (_, { storage }) => {
      const events = new Skipping(new HeldSql(durableObjectSql(storage)));
      appendEvent(events, { type: "key.updated", actor: "root" }, Date.now(), secureRandom);
    });
    const count = newest?.seq ?? 0;
    expect(await verify(ring)).toEqual({ ok: false, count, brokenAt: count + 1 });
  });
});

describe("an event's time and id", () => {
  it("are in the order of the history", async () => {
    const ring: Furnished = await furnish();
    const events = (await list(ring, "?limit=100")).reverse();
    const times = events.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  });
});
