/** The history forgets what is older than its retention, a little at a time, and what is left still proves itself. */
import { abortAllDurableObjects } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { appendEvent } from "../../src/events/chain.ts";
import type { ChainView } from "../../src/keyring/operations/events.ts";
import type { SettingsView } from "../../src/keyring/operations/settings.ts";
import type { StatusView } from "../../src/keyring/operations/status.ts";
import { keyringOf } from "../../src/keyring/stub.ts";
import { Registry } from "../../src/registry/registry.ts";
import { registryOf } from "../../src/registry/stub.ts";
import { expectProblem } from "../api/fixtures.ts";
import { pass, setTime } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { inside, quiet, runUntil } from "../support/inside.ts";
import { type Meter, meter } from "../support/meter.ts";
import { inRegistry } from "../support/registry.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";
import { dataOf, readSubscription, subscribe } from "../support/subscriber.ts";
import { exportFile, importFile, PASSPHRASE, wipe } from "../support/transfer.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const verify = (scene: Scene) => scene.must<ChainView>("GET", "/v1/events/verify");

/** The first and the last number that are kept. */
function kept(scene: Scene): Promise<{ oldest: number; newest: number }> {
  return inside(scene, ({ events }) => ({
    oldest: events.oldest()?.seq ?? 0,
    newest: events.head()?.seq ?? 0,
  }));
}

/** Appends events as they would have come by now. */
async function age(scene: Scene, count: number): Promise<void> {
  await inside(scene, (store) =>
    store.transaction(() => {
      for (let n = 0; n < count; n++) {
        appendEvent(store.events, { type: "key.updated", actor: "root" }, Date.now(), secureRandom);
      }
    }),
  );
}

/** Cron comes, and nothing is left to prune. */
async function sweep(scene: Scene): Promise<void> {
  await cron();
  await eventually(async () => expect(await nextPruning(scene)).not.toBe(Date.now() + HOUR));
  await quiet(scene);
}

function nextPruning(scene: Scene): Promise<number | null> {
  return inside(scene, (store) => store.chores.get("prune")?.dueAt ?? null);
}

/** A time without the hourly alarms on the way there. */
async function skipTo(scene: Scene, at: number): Promise<void> {
  setTime(at);
  await runUntil(scene, at);
}

/** A keyring whose first events have been pruned, and an event of its own a day since. */
async function makePruned(): Promise<Scene> {
  const scene = await makeScene();
  await scene.key({});
  await age(scene, 20);
  pass("401d");
  await scene.key({ name: "later" });
  await age(scene, 5);
  await sweep(scene);
  return scene;
}

beforeEach(async () => {
  await cron();
});

describe("the retention of events", () => {
  it("is 400 days, can be set to another one of a month or more, and says so in the history", async () => {
    const scene = await makeScene();
    expect(await scene.must<SettingsView>("GET", "/v1/settings")).toMatchObject({ eventRetention: "400d" });
    for (const eventRetention of ["29d", "0", "1h", "never", "11y", 30]) {
      expectProblem(
        await scene.keyring.call("PATCH", "/v1/settings", { body: { eventRetention } }),
        422,
        "invalid",
      );
    }
    expect(await scene.must("PATCH", "/v1/settings", { eventRetention: "30d" })).toMatchObject({
      eventRetention: "30d",
      heartbeat: "0",
    });
    await scene.must("PATCH", "/v1/settings", { eventRetention: "30d" });
    expect((await scene.events("settings.updated")).map(({ data }) => data)).toEqual([
      { eventRetention: "30d", before: "400d" },
    ]);
  });

  it("keeps an event to its last day, and no longer than to the next visit of cron", async () => {
    const scene = await makeScene();
    await scene.key({});
    const made = await inside(scene, ({ events }) => events.oldest());
    const { newest } = await kept(scene);
    pass("399d");
    await scene.key({ name: "later" });
    await sweep(scene);
    expect(await verify(scene)).toMatchObject({ ok: true, pruned: 0, since: isoOf(made?.at) });
    pass("25h");
    await sweep(scene);
    const report = await verify(scene);
    expect(report).toMatchObject({ ok: true, pruned: newest, since: isoOf(Date.now() - 25 * HOUR) });
    expect(await scene.events("key.created")).toMatchObject([{ data: { name: "later" } }]);
    // What is counted is what is kept; the look itself is an event of root's.
    expect(report.count).toBe((await kept(scene)).newest - newest - 1);
  });

  it("that was made shorter is obeyed at the next visit", async () => {
    const scene = await makeScene();
    await scene.key({});
    pass("40d");
    await sweep(scene);
    expect(await verify(scene)).toMatchObject({ pruned: 0 });
    await scene.must("PATCH", "/v1/settings", { eventRetention: "30d" });
    pass("1d");
    await sweep(scene);
    expect((await verify(scene)).pruned).toBeGreaterThan(2);
    expect(await scene.events("settings.updated")).toHaveLength(1);
  });

  it("leaves the newest event, whatever its age: the next one goes on from it", async () => {
    const scene = await makeScene();
    const { newest } = await kept(scene);
    pass("500d");
    await sweep(scene);
    expect(await kept(scene)).toEqual({ oldest: newest, newest });
    expect(await verify(scene)).toMatchObject({ ok: true, count: 2, pruned: newest - 1 });
  });
});

describe("pruning", () => {
  it("takes a few hundred events a time until all are gone, each for one row", async () => {
    const scene = await makeScene();
    await age(scene, 1_200);
    const { newest } = await kept(scene);
    pass("401d");
    await scene.key({});
    const seen = await inside(scene, (_, state) => meter(state));
    await sweep(scene);
    const { oldest } = await kept(scene);
    expect(oldest).toBeGreaterThan(400);
    expect(oldest).toBeLessThan(600);
    await runUntil(scene, Date.now() + 60_000);
    expect((await kept(scene)).oldest).toBe(newest + 1);
    expect(await nextPruning(scene)).toBeNull();
    const rows = await takeRows(scene, seen);
    expect(rows.event).toBe(newest);
    // Three times: the chore, its place in the queue, where the history begins, an alarm.
    const { event: _, ...around } = rows;
    expect(Object.values(around).reduce((sum, count) => sum + count, 0)).toBeLessThan(40);
    expect(await verify(scene)).toMatchObject({ ok: true, pruned: newest });
  });

  it("costs a visit that finds nothing old no row", async () => {
    const scene = await makeScene();
    await scene.key({});
    pass("200d");
    await sweep(scene);
    pass("25h");
    const seen = await inside(scene, (_, state) => meter(state));
    await cron();
    const queries = await inside(scene, () => {
      const found = seen.statements().map(({ query }) => query);
      seen.remove();
      return found;
    });
    expect(queries.length).toBeGreaterThan(0);
    expect(queries.filter((query) => /\bevent\b|eventRetention|prune/.test(query))).toEqual([]);
  });

  it("counts ages from cron's time, so that a clock which leapt ahead ends no history", async () => {
    const scene = await makeScene();
    await scene.key({});
    await cron();
    pass("700d");
    expect(await keyringOf(env, scene.code).visit()).toMatchObject({ ok: true });
    await eventually(async () => expect(await nextPruning(scene)).toBeNull());
    expect(await verify(scene)).toMatchObject({ ok: true, pruned: 0 });
    await sweep(scene);
    expect((await verify(scene)).pruned).toBeGreaterThan(0);
  });

  it("waits for a registry that does not answer, and has the newest event anchored first", async () => {
    const scene = await makeScene();
    await scene.key({});
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "over" });
    await quiet(scene);
    pass("401d");
    await scene.key({ name: "later" });
    const down = vi.spyOn(Registry.prototype, "anchor").mockImplementation(() => {
      throw new Error("down");
    });
    await cron();
    await eventually(() => expect(down).toHaveBeenCalled());
    expect(await verify(scene)).toMatchObject({ ok: true, pruned: 0 });
    down.mockRestore();
    await runUntil(scene, Date.now() + 2 * HOUR);
    const { pruned } = await verify(scene);
    expect(pruned).toBeGreaterThan(0);
    expect((await registryOf(env).standingOf(scene.code)).anchor?.seq).toBeGreaterThan(pruned);
    // The object that starts anew compares with that anchor.
    await abortAllDurableObjects();
    expect(await scene.must("PATCH", "/v1/keys/later", { paused: true })).toMatchObject({ paused: true });
  });

  it("leaves a keyring open whose registry was set back to before what is gone", async () => {
    const scene = await makePruned();
    await inRegistry((_, { storage }) =>
      storage.sql.exec("UPDATE keyring SET anchorSeq = 3, anchorHash = zeroblob(32)"),
    );
    await abortAllDurableObjects();
    expect(await scene.must("PATCH", "/v1/keys/later", { paused: true })).toMatchObject({ paused: true });
    expect(await verify(scene)).toMatchObject({ ok: true });
  });

  it("leaves a keyring closed that stands at another entry than its anchor", async () => {
    const scene = await makePruned();
    const { pruned } = await verify(scene);
    await inRegistry((_, { storage }) =>
      storage.sql.exec("UPDATE keyring SET anchorSeq = ?, anchorHash = zeroblob(32)", pruned),
    );
    await abortAllDurableObjects();
    const refused = await scene.keyring.call("POST", "/v1/keys/later/rotate", { body: {} });
    expect(refused).toMatchObject({ status: 503, body: { code: "chain-broken" } });
  });
});

describe("a history whose beginning was pruned", () => {
  const START = "(SELECT json_extract(value, '$.seq') FROM setting WHERE name = 'historyStart')";

  it.each([
    ["one more is missing at its beginning", `DELETE FROM event WHERE seq = ${START} + 1`, 0],
    ["one is missing in its middle", `DELETE FROM event WHERE seq = ${START} + 3`, 2],
    ["one was changed", `UPDATE event SET actor = 'nobody' WHERE seq = ${START} + 2`, 1],
    [
      "one stands before its beginning",
      `INSERT INTO event SELECT ${START}, id, type, at, actor, keyId, data, hash, revision FROM event ORDER BY seq DESC LIMIT 1`,
      0,
    ],
    ["it is said to begin later", bySetting("'$.seq', json_extract(value, '$.seq') + 1"), 0],
    ["it is said to go on from another hash", bySetting(`'$.hash', '${"0".repeat(64)}'`), 0],
    ["where it begins is forgotten", "DELETE FROM setting WHERE name = 'historyStart'", 0],
  ])("is broken where %s", async (_, edit, count) => {
    const scene = await makePruned();
    await inside(scene, (__, { storage }) => storage.sql.exec(edit).toArray());
    expect(await verify(scene)).toMatchObject({ ok: false, count });
  });

  it("is listed and streamed from what is kept, and both end there", async () => {
    const scene = await makePruned();
    const { pruned } = await verify(scene);
    const seqs: number[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page: { items: { seq: number }[]; nextCursor: string | null } = await scene.must(
        "GET",
        `/v1/events?limit=5${query}`,
      );
      expect(page.items.length).toBeGreaterThan(0);
      seqs.push(...page.items.map(({ seq }) => seq));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(Math.min(...seqs)).toBe(pruned + 1);
  });

  it("goes into an exported file with where it begins, and comes back from it", async () => {
    const scene = await makePruned();
    const { pruned, since } = await verify(scene);
    const file = await exportFile(scene.name, { passphrase: PASSPHRASE });
    await inRegistry((_, { storage }) => storage.sql.exec("DELETE FROM keyring"));
    await wipe(scene);
    expect(await importFile(scene.name, { passphrase: PASSPHRASE }, file)).toMatchObject({ status: 201 });
    expect(await verify(scene)).toMatchObject({ ok: true, pruned, since });
  });

  it("may be pruned while it is read out into a file", async () => {
    const scene = await makeScene();
    await age(scene, 2_500);
    pass("401d");
    await scene.key({});
    const key = secureRandom(32);
    const keyring = keyringOf(env, scene.code);
    const begun = await keyring.beginExport({ kind: "public-key", jwe: "x" }, new Uint8Array(key), "route");
    if (!begun.ok) throw new Error(begun.error.code);
    const lines: string[] = [];
    for (let turn = 0, isDone = false; !isDone; turn++) {
      const slice = await keyring.readExport(begun.value.id);
      if (!slice.ok) throw new Error(slice.error.code);
      lines.push(...slice.value.lines);
      isDone = slice.value.isDone;
      if (turn === 0) {
        expect(isDone).toBe(false);
        await sweep(scene);
      }
    }
    const { pruned, count } = await verify(scene);
    expect(pruned).toBe(500);
    await inRegistry((_, { storage }) => storage.sql.exec("DELETE FROM keyring"));
    await wipe(scene);
    const fresh = keyringOf(env, scene.code);
    const header = JSON.parse(begun.value.line);
    const into = await fresh.beginImport(scene.name, header, begun.value.line, new Uint8Array(key));
    if (!into.ok) throw new Error(into.error.code);
    expect(await fresh.addImport(into.value.id, lines)).toEqual({ ok: true, value: null });
    expect(await fresh.endImport(into.value.id)).toMatchObject({ ok: true });
    // The file was made before the look at the first history, and the import is an event; so is the second look.
    expect(await verify(scene)).toMatchObject({ ok: true, pruned, count: count + 1 });
  });
});

describe("a subscriber", () => {
  it.each([
    ["does not answer", 500, "failing"],
    ["has told us to stop", 410, "disabled"],
  ])("that %s keeps what it was not told for the retention, and no longer", async (_, status, state) => {
    const scene = await makeScene();
    await scene.must("PATCH", "/v1/settings", { eventRetention: "30d" });
    const ops = await subscribe(scene, "ops", { types: ["key.created"] });
    await scene.key({ name: "told" });
    ops.fail(status);
    pass("3d");
    await scene.key({ name: "missed" });
    const { newest } = await kept(scene);
    await runUntil(scene, Date.now() + 4 * DAY);
    const { unwellSince } = await readSubscription(scene);
    expect(await readSubscription(scene)).toMatchObject({ state, missedSeq: 0 });
    // Past its time, but it was not told for less than that.
    const waitsUntil = Date.parse(unwellSince ?? "") + 30 * DAY;
    await skipTo(scene, waitsUntil - HOUR);
    await sweep(scene);
    expect(await scene.events("subscription.missed")).toEqual([]);
    const early = (await scene.events("key.created")).map(({ data }) => data.name);
    if (state === "failing") expect(early).toEqual(["missed"]);
    else expect(early).toContain("missed");

    await scene.key({ name: "later" });
    await skipTo(scene, waitsUntil + 25 * HOUR);
    await sweep(scene);
    const shown = await readSubscription(scene);
    expect(shown.state).toBe(state);
    expect(shown.missedSeq).toBeGreaterThan(newest - 5);
    expect((await scene.events("subscription.missed")).map(({ data }) => data)).toEqual([
      { subscriptionId: ops.id, fromSeq: expect.any(Number), unwellSince },
    ]);
    const { problems } = await scene.must<StatusView>("GET", "/v1/status");
    expect(problems.find(({ what }) => what === "subscription-failing")?.cause).toContain(
      `What it was not told up to event ${shown.missedSeq} has outlived its retention.`,
    );
    // What is gone later is told no second time.
    await runUntil(scene, Date.now() + 3 * DAY);
    await sweep(scene);
    expect(await scene.events("subscription.missed")).toHaveLength(1);

    ops.up();
    await scene.must("POST", "/v1/subscriptions/ops/test");
    await quiet(scene);
    expect(ops.deliveries.at(-1)).toMatchObject({ type: "key.created", data: { keyName: "later" } });
    expect(ops.deliveries.map((message) => dataOf(message).keyName).slice(0, 1)).toEqual(["told"]);
    expect((await scene.events("subscription.recovered"))[0]?.data).toMatchObject({
      missedSeq: expect.any(Number),
    });
    expect(await readSubscription(scene)).toMatchObject({ state: "ready", unwellSince: null, missedSeq: 0 });
    expect(await verify(scene)).toMatchObject({ ok: true });
  });

  it("that only has not come so far yet is waited for, whatever the age of what it is to be told", async () => {
    const scene = await makeScene();
    await scene.key({ name: "first" });
    const ops = await subscribe(scene, "ops", { types: ["key.created"] });
    pass("401d");
    await scene.key({ name: "second" });
    ops.fail(500);
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since: 1 });
    await sweep(scene);
    expect((await scene.events("key.created")).map(({ data }) => data.name)).toEqual(["first", "second"]);
    ops.up();
    await runUntil(scene, Date.now() + DAY);
    expect(ops.deliveries.map((message) => dataOf(message).keyName)).toContain("first");
    await sweep(scene);
    expect((await scene.events("key.created")).map(({ data }) => data.name)).toEqual(["second"]);
    expect(await scene.events("subscription.missed")).toEqual([]);
  });

  it("is told again only what is kept", async () => {
    const scene = await makePruned();
    const { pruned } = await verify(scene);
    const ops = await subscribe(scene, "ops", { types: ["key.created"] });
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since: 1 });
    expect((await readSubscription(scene)).sentSeq).toBeGreaterThanOrEqual(pruned);
    await quiet(scene);
    expect(ops.deliveries.map((message) => dataOf(message).keyName)).toEqual(["later"]);
  });
});

function bySetting(change: string): string {
  return `UPDATE setting SET value = json_set(value, ${change}) WHERE name = 'historyStart'`;
}

function isoOf(at: number | undefined): string {
  return new Date(at ?? 0).toISOString();
}

function takeRows(scene: Scene, seen: Meter): Promise<Record<string, number>> {
  return inside(scene, () => {
    const rows = seen.writtenByTable();
    seen.remove();
    return rows;
  });
}
