/** Batches over HTTP: which keys they rotate, which they leave out, and what is said of it before and after. */
import { describe, expect, it } from "vitest";
import type { BatchPlanView } from "../../src/keyring/operations/batches.ts";
import type { RotationView } from "../../src/keyring/views.ts";
import { furnish, makeAccessKey, makeKey, makeStuckRotation, settle, snapshot } from "./fixtures.ts";
import { begin, ended, eventsOf, PAYMENTS, team, versionsOf } from "./team.ts";

describe("a batch", () => {
  it("rotates every key that it names, counts them, and says so in the history", async () => {
    const ring = await team(3);
    const made = await begin(ring, { ...PAYMENTS, grace: "2h" });
    expect(made).toMatchObject({
      id: expect.stringMatching(/^bat_[0-9a-z]{26}$/),
      state: "running",
      select: { provider: null, connection: null, label: "team=payments" },
      grace: "2h",
      reason: "a leaver",
      requestedBy: "root",
      total: 3,
      left: 0,
      started: 3,
      live: 3,
    });
    expect(await ended(ring, made.id)).toMatchObject({
      state: "done",
      total: 3,
      left: 0,
      started: 3,
      joined: 0,
      live: 0,
      succeeded: 3,
      failed: 0,
      skipped: [],
      waitsFor: null,
      endedAt: expect.stringMatching(/Z$/),
    });
    expect(await versionsOf(ring, "key-2")).toBe(2);
    // It was rotated once when the keyring was furnished, and is of no team.
    expect(await versionsOf(ring, "billing")).toBe(2);
    expect(await eventsOf(ring)).toEqual(["batch.started", "batch.done"]);
    const { body } = await ring.call<{ items: RotationView[] }>("GET", `/v1/rotations?batch=${made.id}`);
    expect(body.items).toHaveLength(3);
    for (const rotation of body.items) {
      expect(rotation).toMatchObject({
        batch: made.id,
        trigger: "manual",
        reason: "a leaver",
        requestedBy: "root",
        state: "succeeded",
      });
    }
    const key = await ring.call<{ versions: { promotedAt: string; graceEndsAt: string }[] }>(
      "GET",
      "/v1/keys/key-1",
    );
    const [old, current] = key.body.versions;
    const graceMs = Date.parse(old?.graceEndsAt ?? "") - Date.parse(current?.promotedAt ?? "");
    // Both are times of one commit, which may last a moment.
    expect(Math.round(graceMs / 1_000)).toBe(2 * 3_600);
  });

  it("of nothing is done as it is made", async () => {
    const ring = await furnish();
    expect(await begin(ring, { select: { label: "team=nobody" }, reason: "a test" })).toMatchObject({
      state: "done",
      total: 0,
    });
  });

  it("names keys by provider and label together", async () => {
    const ring = await team(2);
    await makeAccessKey(ring, ["keys:read"], { labels: { team: "payments" } });
    const batch = await begin(ring, { ...PAYMENTS, select: { ...PAYMENTS.select, provider: "issuer" } });
    expect(batch.total).toBe(2);
    expect(await ended(ring, batch.id)).toMatchObject({ succeeded: 2 });
  });

  it("leaves out what a rotation by hand would be refused for, and says why and which", async () => {
    const ring = await team(1);
    const labels = { team: "payments" };
    const paused = await makeKey(ring, "paused", { labels, destinations: [{ id: "store", as: "paused" }] });
    await ring.call("PATCH", "/v1/keys/paused", { body: { paused: true } });
    const lonely = await makeKey(ring, "lonely", { labels });
    const freezes = [{ from: "2020-01-01T00:00:00Z", until: "2099-01-01T00:00:00Z" }];
    const frozen = await makeKey(ring, "frozen", {
      labels,
      policy: { freezes },
      destinations: [{ id: "store", as: "frozen" }],
    });
    const gone = await makeKey(ring, "revoked", { labels });
    await ring.call("POST", "/v1/keys/revoked/revoke", { body: { reason: "a test" } });
    const cold = await makeKey(ring, "cold", {
      labels,
      policy: { cooldown: "1h" },
      destinations: [{ id: "store", as: "cold" }],
    });
    await ring.call("POST", "/v1/keys/cold/rotate?wait=10s", { body: {} });
    const strict = await makeKey(ring, "strict", {
      labels,
      policy: { grace: "1h", maxGrace: "2h" },
      destinations: [{ id: "store", as: "strict" }],
    });
    const body = { ...PAYMENTS, grace: "3h" };
    const plan = await ring.call<{ plan: BatchPlanView }>("POST", "/v1/rotations", {
      body: { ...body, dryRun: true },
    });
    const { id } = await begin(ring, body);
    const batch = await ended(ring, id);
    expect(batch).toMatchObject({ total: 7, started: 1, succeeded: 1 });
    const reasons = Object.fromEntries(
      batch.skipped.map(({ reason, count, keys }) => [reason, [count, keys]]),
    );
    expect(reasons).toEqual({
      "key-paused": [1, [paused.id]],
      "no-receiver": [1, [lonely.id]],
      frozen: [1, [frozen.id]],
      "key-revoked": [1, [gone.id]],
      cooldown: [1, [cold.id]],
      "grace-limit": [1, [strict.id]],
    });
    // What was said before is what was done.
    expect(plan.body.plan).toMatchObject({ keys: 7, looked: 7, starts: 1, joins: 0, skipped: batch.skipped });
  });

  it("gives who asks no less grace than its own key's policy has", async () => {
    const ring = await furnish();
    const make = (as: string) =>
      makeAccessKey(ring, ["keys:rotate", "keys:read"], {
        policy: { grace: "2h" },
        destinations: [{ id: "store", as }],
      });
    const [asker, other] = [await make("asker"), await make("other")];
    await settle(ring);
    const { id } = await begin(asker, { select: { provider: "access" }, grace: "30m", reason: "a test" });
    expect(await ended(ring, id)).toMatchObject({ succeeded: 2 });
    const graceOf = async (key: string) => {
      const path = `/v1/keys/${key}`;
      const { body } = await ring.call<{ versions: { promotedAt: string; graceEndsAt: string }[] }>(
        "GET",
        path,
      );
      const [old, current] = body.versions;
      return Date.parse(old?.graceEndsAt ?? "") - Date.parse(current?.promotedAt ?? "");
    };
    // Both times of one are of one commit, which may last a moment.
    const minutes = [await graceOf(asker.id), await graceOf(other.id)].map((ms) => Math.round(ms / 60_000));
    expect(minutes).toEqual([120, 30]);
  });

  it("joins a rotation that is live, whose end then counts", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, { state: "running", step: "preflight" });
    const batch = await begin(ring, { select: { all: true }, reason: "a test" });
    expect(batch).toMatchObject({ total: 2, started: 1, joined: 1, live: 2 });
    expect((await ring.call("GET", `/v1/rotations/${live}`)).body).toMatchObject({ batch: batch.id });
    const other = await begin(ring, { select: { all: true }, reason: "another" });
    expect(other.skipped).toContainEqual(expect.objectContaining({ reason: "rotation-live" }));
    await ring.call("POST", `/v1/rotations/${live}/retry`);
    expect(await ended(ring, batch.id)).toMatchObject({ started: 1, joined: 1, succeeded: 2, live: 0 });
  });
});

describe("a dry run", () => {
  it("says what would be done, how long it takes, and changes nothing", async () => {
    const ring = await team(2);
    const before = await snapshot(ring);
    const answer = await ring.call<{ plan: BatchPlanView }>("POST", "/v1/rotations", {
      body: { ...PAYMENTS, dryRun: true },
    });
    expect(answer.status).toBe(200);
    expect(answer.body.plan).toEqual({
      select: { provider: null, connection: null, label: "team=payments" },
      keys: 2,
      looked: 2,
      accounts: [{ provider: "issuer", connection: null, keys: 2 }],
      starts: 2,
      joins: 0,
      skipped: [],
      first: [],
      waitsFor: null,
      estimate: {
        seconds: null,
        words: "no limit of calls is known here, so there is an estimate only once some have ended",
      },
    });
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("several batches", () => {
  it("run beside each other", async () => {
    const ring = await team(2);
    const [first, second] = [
      await begin(ring),
      await begin(ring, { select: { label: "team=payments" }, reason: "the same again" }),
    ];
    const both = [await ended(ring, first.id), await ended(ring, second.id)];
    // Whatever the first had under way is no part of the second; no key is rotated by both at once.
    for (const { total, started, joined, skipped, succeeded } of both) {
      const left = skipped.reduce((sum, { count }) => sum + count, 0);
      expect({ total, all: started + joined + left, succeeded }).toEqual({
        total: 2,
        all: 2,
        succeeded: started + joined,
      });
    }
  });
});
