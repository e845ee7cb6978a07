/** Subscribers are told of every event in order, at least once, or are visibly failing and are told when they are back. */
import { HttpResponse } from "msw";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { alarmAt, crash, inside, quiet, ring, runUntil, startAlarm } from "../support/inside.ts";
import { meter } from "../support/meter.ts";
import { Receiver } from "../support/receiver.ts";
import { makeScene, type Scene } from "../support/scene.ts";
import { dataOf, readSubscription, seqsInHistory, seqsOf, subscribe } from "../support/subscriber.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Makes a key, which is an event. */
async function happen(scene: Scene, name: string, more: object = {}): Promise<void> {
  await scene.must("POST", "/v1/keys", { name, provider: "issuer", ...more });
}

/** The keyring looks after nothing but its work, so that days go by in few alarms. */
function forgetChores(scene: Scene): Promise<void> {
  return inside(scene, (store) => {
    for (const { id } of store.chores.select("")) store.chores.set(id, null);
  });
}

describe("a subscriber", () => {
  it("gets a ping, then each event in order: signed, with its key, labels, number and revision", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const ops = await subscribe(scene);
    expect(ops.messages).toEqual([]);
    const labels = { team: "payments" };
    const { id: keyId } = await scene.must<{ id: string }>("POST", "/v1/keys", {
      name: "billing",
      provider: "issuer",
      labels,
      destinations: [{ id: "hook" }],
    });
    await quiet(scene);
    await scene.rotate();
    await quiet(scene);
    expect(hook.versions).toEqual([1, 2]);
    expect(ops.messages.map(({ type }) => type)).toEqual([
      "ping",
      "key.created",
      "key.rotation.started",
      "key.rotated",
    ]);
    const events = await scene.events();
    for (const message of ops.deliveries) {
      const event = events.find(({ id }) => id === message.id);
      const sent = new Webhook(ops.signingSecret).verify(message.raw, message.headers);
      const revision = message.type === "key.rotated" ? 2 : 1;
      expect(sent).toEqual({
        type: event?.type,
        timestamp: event?.at,
        data: { ...event?.data, keyId, keyName: "billing", labels, seq: event?.seq, revision },
      });
    }
    expect(seqsOf(ops)).toEqual(await seqsInHistory(scene));
    expect(await readSubscription(scene)).toMatchObject({ state: "ready", behind: 0, attempts: 0 });
  });

  it("is told the revision at the time of the event, though the key has gone on since", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const ops = await subscribe(scene);
    ops.fail(503);
    await scene.key({ destinations: ["hook"] });
    await scene.rotate();
    await quiet(scene);
    ops.up();
    await scene.must("POST", "/v1/subscriptions/ops/test");
    await quiet(scene);
    expect(ops.deliveries.map(({ type, data }) => [type, data.revision])).toEqual([
      ["key.created", 1],
      ["key.rotation.started", 1],
      ["key.rotated", 2],
    ]);
  });

  it("is sent nothing but pings until it answers one, then all that it missed", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    ops.fail(500);
    await happen(scene, "one");
    await happen(scene, "two");
    await quiet(scene);
    await runUntil(scene, Date.now() + 5 * 60_000);
    expect(ops.deliveries).toEqual([]);
    expect(ops.pings.length).toBeGreaterThan(1);
    expect(await readSubscription(scene)).toMatchObject({ state: "unproven", behind: expect.any(Number) });
    ops.up();
    await runUntil(scene, Date.now() + HOUR);
    expect(seqsOf(ops)).toEqual(await seqsInHistory(scene));
  });

  it("is told of the use of a root token, though nothing else happens", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene, "ops", { types: ["root.used"] });
    const calls: [method: string, path: string][] = [
      ["GET", "/v1/keys"],
      ["GET", "/v1/keys/nothing"],
      ["DELETE", "/v1/keys/nothing"],
    ];
    for (const [method, path] of calls) {
      await scene.keyring.call(method, path);
      expect(await alarmAt(scene)).toBeLessThanOrEqual(Date.now());
      await ring(scene);
    }
    expect(ops.deliveries.map((message) => dataOf(message).route)).toEqual([
      "GET /v1/keys",
      "GET /v1/keys/{key}",
      "DELETE /v1/keys/{key}",
    ]);
  });

  it("is sent only what it asked for, and is not called for anything else", async () => {
    const scene = await makeScene();
    const exact = await subscribe(scene, "exact", { types: ["key.updated"] });
    const prefix = await subscribe(scene, "prefix", { types: ["key.rotation.*"] });
    const labelled = await subscribe(scene, "labelled", {
      types: [],
      labels: { team: "payments", tier: "1" },
    });
    await happen(scene, "none");
    await happen(scene, "half", { labels: { team: "payments" } });
    await happen(scene, "both", { labels: { team: "payments", tier: "1", more: "x" } });
    await quiet(scene);
    expect(exact.messages).toEqual([]);
    expect(prefix.messages).toEqual([]);
    expect(labelled.deliveries.map(({ type, data }) => [type, data.keyName])).toEqual([
      ["key.created", "both"],
    ]);
    await scene.must("PATCH", "/v1/keys/half", { paused: true });
    await quiet(scene);
    expect(exact.deliveries.map(({ type }) => type)).toEqual(["key.updated"]);
    expect(prefix.messages).toEqual([]);
    expect(labelled.deliveries).toHaveLength(1);
  });

  it("that was made or whose filter was changed later hears of nothing that was before", async () => {
    const scene = await makeScene();
    await happen(scene, "before");
    const ops = await subscribe(scene, "ops", { types: ["key.updated"] });
    await happen(scene, "between");
    await scene.must("PATCH", "/v1/subscriptions/ops", { types: ["key.created"] });
    await quiet(scene);
    await scene.must("PATCH", "/v1/subscriptions/ops", { url: ops.url });
    await quiet(scene);
    expect(ops.messages).toEqual([]);
    await happen(scene, "after");
    await quiet(scene);
    expect(ops.deliveries.map(({ data }) => data.keyName)).toEqual(["after"]);
  });

  it("costs no row for each event: its cursor moves once for many", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    ops.fail(500);
    for (let n = 0; n < 20; n++) await happen(scene, `key-${n}`);
    await quiet(scene);
    ops.up();
    const seen = await inside(scene, (_, state) => meter(state));
    await runUntil(scene, Date.now() + HOUR);
    const rows = await inside(scene, () => {
      const written = seen.writtenByTable();
      seen.remove();
      return written;
    });
    expect(seqsOf(ops)).toHaveLength(20);
    // Twenty events are two claims of ten: each is taken up and given back, and the ping is kept.
    expect(rows.subscription).toBeLessThanOrEqual(5);
  });

  it("that hangs delays neither another nor a value on its way", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const slow = await subscribe(scene, "slow");
    const quick = await subscribe(scene, "quick");
    const release = slow.hold();
    await scene.startKey({ destinations: ["hook"] });
    await scene.rotate();
    await eventually(() => expect(quick.deliveries.map(({ type }) => type)).toContain("key.rotated"));
    expect(hook.versions).toEqual([1, 2]);
    expect(slow.messages).toHaveLength(1);
    release();
    await quiet(scene);
    expect(seqsOf(slow)).toEqual(seqsOf(quick));
  });

  it("is told again under the same id when the keyring dies before it kept that", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    const release = ops.hold();
    await happen(scene, "second");
    await eventually(() => expect(ops.deliveries).toHaveLength(2));
    await crash(scene);
    release();
    pass("1m");
    await ring(scene);
    const ids = ops.deliveries.map(({ id }) => id);
    expect(ids).toEqual([ids[0], ids[1], ids[1]]);
    await happen(scene, "third");
    await quiet(scene);
    expect(ops.deliveries.slice(3).map(({ data }) => data.keyName)).toEqual(["third"]);
  });

  it("gets events that came while it was told of others, without waiting for another one", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    const release = ops.hold();
    await happen(scene, "second");
    await eventually(() => expect(ops.deliveries).toHaveLength(2));
    await happen(scene, "third");
    release();
    await quiet(scene);
    expect(seqsOf(ops)).toEqual(await seqsInHistory(scene));
  });
});

describe("a subscriber that does not answer", () => {
  it("is tried on the webhooks' table, then is failing, which others hear of once and it does not", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene, "ops", { types: [] });
    const other = await subscribe(scene, "other", { types: ["subscription.*"] });
    await happen(scene, "first");
    await quiet(scene);
    const before = ops.messages.length;
    ops.fail(503);
    await happen(scene, "second");
    await quiet(scene);
    const start = Date.now();
    await forgetChores(scene);
    await runUntil(scene, start + 75 * HOUR);
    expect(await readSubscription(scene)).toMatchObject({ state: "ready", attempts: 9 });
    expect(other.deliveries).toEqual([]);
    await runUntil(scene, start + 84 * HOUR);
    expect(ops.messages.slice(before)).toHaveLength(10);
    expect(new Set(ops.messages.slice(before).map(({ id }) => id)).size).toBe(1);
    expect(await readSubscription(scene)).toMatchObject({ state: "failing", lastCall: { status: 503 } });
    expect(other.deliveries.map((message) => [message.type, dataOf(message).state])).toEqual([
      ["subscription.failing", "failing"],
    ]);
    const [failing] = await scene.events("subscription.failing");
    expect(failing?.data).toMatchObject({
      subscriptionId: ops.id,
      problem: "hooks.acme.dev answered 503",
      failedEvent: ops.messages.at(-1)?.id,
    });
    ops.up();
    await runUntil(scene, start + 120 * HOUR);
    const own = (await scene.events()).filter(({ data }) => data.subscriptionId === ops.id);
    expect(own.map(({ type }) => type)).toEqual([
      "subscription.created",
      "subscription.failing",
      "subscription.recovered",
    ]);
    const told = new Set(seqsOf(ops));
    expect(own.filter(({ seq }) => told.has(seq))).toEqual([]);
    const [from = 0] = seqsOf(ops);
    const others = (await scene.events()).filter(
      (event) => event.seq > from && event.data.subscriptionId !== ops.id,
    );
    expect(
      others.filter(({ seq, at: time }) => !told.has(seq) && Date.parse(time) < start + 120 * HOUR),
    ).toEqual([]);
  });

  it("is asked once a day by a ping while it is failing, and goes on from where it stood", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    ops.fail(503);
    await happen(scene, "second");
    await quiet(scene);
    await forgetChores(scene);
    await runUntil(scene, Date.now() + 84 * HOUR);
    await forgetChores(scene);
    expect(await readSubscription(scene)).toMatchObject({ state: "failing" });
    await happen(scene, "third");
    await quiet(scene);
    const before = ops.messages.length;
    await runUntil(scene, Date.now() + 5 * DAY);
    const asked = ops.messages.slice(before);
    expect(new Set(asked.map(({ type }) => type))).toEqual(new Set(["ping"]));
    expect(asked.length).toBeGreaterThanOrEqual(4);
    expect(asked.length).toBeLessThanOrEqual(5);
    expect(await scene.events("subscription.failing")).toHaveLength(1);
    ops.up();
    await runUntil(scene, Date.now() + 2 * DAY);
    expect(ops.deliveries.slice(-2).map(({ data }) => data.keyName)).toEqual(["second", "third"]);
    expect(await scene.events("subscription.recovered")).toHaveLength(1);
    expect(await readSubscription(scene)).toMatchObject({ state: "ready", behind: 0, skipped: [] });
  });

  it("with 2xx to one event only does not lose the others: that one is given up, visibly, and can be sent again", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    ops.answer(({ data }) => new HttpResponse(null, { status: data.keyName === "bad" ? 422 : 204 }));
    await happen(scene, "first");
    await happen(scene, "bad");
    await happen(scene, "last");
    await quiet(scene);
    await forgetChores(scene);
    await runUntil(scene, Date.now() + 84 * HOUR);
    await forgetChores(scene);
    expect(await readSubscription(scene)).toMatchObject({ state: "failing" });
    expect(ops.deliveries.at(-1)?.data.keyName).toBe("bad");
    await runUntil(scene, Date.now() + 2 * DAY);
    const [bad] = (await scene.events("key.created")).filter(({ data }) => data.name === "bad");
    expect(ops.deliveries.at(-1)?.data.keyName).toBe("last");
    expect(await readSubscription(scene)).toMatchObject({ state: "ready", behind: 0, skipped: [bad?.seq] });
    const [skipped] = await scene.events("subscription.skipped");
    expect(skipped?.data).toMatchObject({
      subscriptionId: ops.id,
      eventId: bad?.id,
      eventSeq: bad?.seq,
      problem: "hooks.acme.dev answered 422",
    });
    ops.up();
    const before = ops.deliveries.length;
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since: bad?.seq });
    await quiet(scene);
    const again = ops.deliveries.slice(before);
    expect(again.map(({ data }) => data.keyName)).toEqual(["bad", "last"]);
    expect(again[0]?.id).toBe(bad?.id);
    expect(await readSubscription(scene)).toMatchObject({ skipped: [] });
  });

  it("with 410 is called no more until somebody tests it, and then is told what it missed", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    ops.fail(410);
    await happen(scene, "second");
    await quiet(scene);
    ops.up();
    const before = ops.messages.length;
    await happen(scene, "third");
    await quiet(scene);
    await runUntil(scene, Date.now() + 3 * DAY);
    expect(ops.messages).toHaveLength(before);
    expect(await readSubscription(scene)).toMatchObject({ state: "disabled", nextTryAt: null });
    await scene.must("POST", "/v1/subscriptions/ops/test");
    await quiet(scene);
    expect(ops.messages.slice(before).map(({ type }) => type)).toEqual([
      "ping",
      "key.created",
      "key.created",
    ]);
    expect(await scene.events("subscription.recovered")).toHaveLength(1);
  });

  it("keeps to the time that it asked for", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    ops.fail(429, { "retry-after": "7200" });
    await happen(scene, "second");
    await quiet(scene);
    ops.up();
    await runUntil(scene, Date.now() + 2 * HOUR - 60_000);
    expect(ops.deliveries).toHaveLength(2);
    await runUntil(scene, Date.now() + 2 * 60_000);
    expect(ops.deliveries).toHaveLength(3);
  });
});

describe("changing a subscription", () => {
  it("to another address makes that prove itself; what was on its way is sent there", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    const release = ops.hold();
    await happen(scene, "second");
    await eventually(() => expect(ops.deliveries).toHaveLength(2));
    const elsewhere = new Receiver("elsewhere", scene.journal);
    await scene.must("PATCH", "/v1/subscriptions/ops", { url: elsewhere.url });
    release();
    await quiet(scene);
    expect(elsewhere.messages.map(({ type, data }) => [type, data.keyName])).toEqual([
      ["ping", undefined],
      ["key.created", "second"],
    ]);
    for (const { raw, headers } of elsewhere.messages) new Webhook(ops.signingSecret).verify(raw, headers);
    expect(await readSubscription(scene)).toMatchObject({ url: elsewhere.url, state: "ready" });
  });

  it("to another address loses nothing when the old one takes an event too late and the keyring dies then", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    const release = ops.hold();
    await happen(scene, "second");
    await eventually(() => expect(ops.deliveries).toHaveLength(2));
    const elsewhere = new Receiver("elsewhere", scene.journal);
    const letIn = elsewhere.hold();
    await scene.must("PATCH", "/v1/subscriptions/ops", { url: elsewhere.url });
    await eventually(() => expect(elsewhere.messages).toHaveLength(1));
    release();
    await scheduler.wait(50);
    await crash(scene);
    letIn();
    pass("1m");
    await ring(scene);
    expect(elsewhere.deliveries.map(({ data }) => data.keyName)).toEqual(["second"]);
  });

  it("to another secret sends both signatures for a day, then the old one is gone", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    const changed = await scene.must<{ signingSecret: string; oldSecretUntil: string }>(
      "PATCH",
      "/v1/subscriptions/ops",
      { rotateSecret: true },
    );
    expect(changed.signingSecret).toMatch(/^whsec_/);
    expect(changed.signingSecret).not.toBe(ops.signingSecret);
    expect(Date.parse(changed.oldSecretUntil)).toBe(Date.now() + DAY);
    await happen(scene, "first");
    await quiet(scene);
    for (const { raw, headers } of ops.messages) {
      for (const secret of [ops.signingSecret, changed.signingSecret])
        new Webhook(secret).verify(raw, headers);
    }
    const before = ops.messages.length;
    const kept = () => inside(scene, (store) => store.subscriptions.find("ops")?.sealed?.length ?? 0);
    const withBoth = await kept();
    await runUntil(scene, Date.now() + DAY);
    expect(withBoth - (await kept())).toBeGreaterThan(ops.signingSecret.length);
    await happen(scene, "second");
    await quiet(scene);
    for (const { raw, headers } of ops.messages.slice(before)) {
      new Webhook(changed.signingSecret).verify(raw, headers);
      expect(() => new Webhook(ops.signingSecret).verify(raw, headers)).toThrow();
    }
    expect(ops.messages.length).toBeGreaterThan(before);
    expect(await readSubscription(scene)).toMatchObject({ oldSecretUntil: null });
  });

  it("by deleting it drops what it was not told, which its last event says", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    ops.fail(503);
    await happen(scene, "first");
    await quiet(scene);
    const [created] = await scene.events("key.created");
    await scene.must("DELETE", "/v1/subscriptions/ops");
    ops.up();
    const before = ops.messages.length;
    await runUntil(scene, Date.now() + 2 * DAY);
    expect(ops.messages).toHaveLength(before);
    const [deleted] = await scene.events("subscription.deleted");
    expect(deleted?.data).toEqual({ subscriptionId: ops.id, name: "ops", droppedFrom: created?.seq });
    expect(await inside(scene, (store) => store.chores.select(""))).toEqual([]);
  });

  it("during a call drops that call's outcome", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    const release = ops.hold();
    await happen(scene, "first");
    await eventually(() => expect(ops.messages).toHaveLength(1));
    await scene.must("DELETE", "/v1/subscriptions/ops");
    release();
    await startAlarm(scene);
    await quiet(scene);
    expect(ops.deliveries).toEqual([]);
  });
});

describe("sending again", () => {
  it("since a time sends all since then under the same ids, and once", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    pass("1h");
    const since = new Date(Date.now()).toISOString();
    await happen(scene, "second");
    pass("1h");
    await happen(scene, "third");
    await quiet(scene);
    const before = ops.deliveries.map(({ id }) => id);
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since });
    await quiet(scene);
    expect(ops.deliveries.map(({ id }) => id)).toEqual([...before, before[1], before[2]]);
  });

  it("since a time to come, or a number that is not there yet, sends nothing and skips nothing", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    await happen(scene, "first");
    await quiet(scene);
    ops.fail(503);
    await happen(scene, "waits");
    await quiet(scene);
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since: "2099-01-01T00:00:00Z" });
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since: 1_000_000 });
    ops.up();
    const before = ops.deliveries.length;
    await happen(scene, "second");
    await runUntil(scene, Date.now() + 60_000);
    expect(ops.deliveries.slice(before).map(({ data }) => data.keyName)).toEqual(["waits", "second"]);
  });

  it("of all sends events from before it subscribed", async () => {
    const scene = await makeScene();
    await happen(scene, "before");
    const ops = await subscribe(scene);
    await scene.must("POST", "/v1/subscriptions/ops/replay", { since: 1 });
    await quiet(scene);
    expect(seqsOf(ops)).toEqual(await seqsInHistory(scene));
  });
});

describe("at rest", () => {
  it("the address and the secrets are sealed", async () => {
    const scene = await makeScene();
    const ops = await subscribe(scene);
    const row = await inside(scene, (store) => store.subscriptions.find("ops"));
    const text = Buffer.from(row?.sealed ?? []).toString("latin1");
    expect(text.length).toBeGreaterThan(50);
    for (const secret of [ops.url, ops.signingSecret.slice(6)]) expect(text).not.toContain(secret);
  });
});
