/** Batches over HTTP: what is asked for, by whom, what is answered, and how one is stopped. */
import { describe, expect, it } from "vitest";
import type { BatchPlanView, BatchView } from "../../src/keyring/operations/batches.ts";
import type { RotationView } from "../../src/keyring/views.ts";
import type { TestKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import {
  expectInvalid,
  expectProblem,
  furnish,
  makeAccessKey,
  makeKey,
  makeStuckRotation,
  settle,
  snapshot,
} from "./fixtures.ts";

type Caller = Pick<TestKeyring, "call">;

/** A furnished keyring with keys of a team, each at a destination. */
async function team(count: number, more: object = {}): Promise<TestKeyring> {
  const ring = await furnish();
  for (let n = 0; n < count; n++) {
    await makeKey(ring, `key-${n}`, {
      labels: { team: "payments" },
      destinations: [{ id: "spare", as: `key-${n}` }],
      ...more,
    });
  }
  await settle(ring);
  return ring;
}

const PAYMENTS = { select: { label: "team=payments" }, reason: "a leaver" };

async function begin({ call }: Caller, body: object = PAYMENTS): Promise<BatchView> {
  const made = await call<BatchView>("POST", "/v1/rotations", { body });
  expect(made).toMatchObject({ status: 202 });
  return made.body;
}

async function read({ call }: Caller, id: string): Promise<BatchView> {
  const found = await call<BatchView>("GET", `/v1/batches/${id}`);
  expect(found.status).toBe(200);
  return found.body;
}

/** Waits until a batch is over. */
function ended(ring: Caller, id: string): Promise<BatchView> {
  return eventually(async () => {
    const batch = await read(ring, id);
    if (batch.state !== "done") throw new Error(JSON.stringify(batch));
    return batch;
  }, 20_000);
}

async function versionsOf(ring: Caller, name: string): Promise<number> {
  return (await ring.call<{ versions: unknown[] }>("GET", `/v1/keys/${name}`)).body.versions.length;
}

async function eventsOf(ring: Caller): Promise<string[]> {
  const { body } = await ring.call<{ items: { type: string }[] }>("GET", "/v1/events?limit=100");
  const types = body.items.map(({ type }) => type).filter((type) => type.startsWith("batch."));
  return types.reverse();
}

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

describe("what is asked for", () => {
  it.each<[what: string, body: object, field: string]>([
    ["selects nothing", { select: {}, reason: "x" }, "select"],
    ["does not select", { reason: "x" }, "select"],
    ["says all: false", { select: { all: false }, reason: "x" }, "select.all"],
    ["has no reason", { select: { all: true } }, "reason"],
    ["has an empty reason", { select: { all: true }, reason: "" }, "reason"],
    ["names a label without its value", { select: { label: "team" }, reason: "x" }, "select.label"],
    ["names no provider that there is", { select: { provider: "acme" }, reason: "x" }, "select.provider"],
    [
      "names no connection that there is",
      { select: { connection: "acme" }, reason: "x" },
      "select.connection",
    ],
    ["has a grace that is none", { select: { all: true }, reason: "x", grace: "1M" }, "grace"],
  ])("is refused by the name of the field when it %s", async (_, body, field) => {
    const ring = await furnish();
    const before = await snapshot(ring);
    expectInvalid(await ring.call("POST", "/v1/rotations", { body }), field);
    expectInvalid(await ring.call("POST", "/v1/rotations", { body: { ...body, dryRun: true } }), field);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("is found by nobody under an id that no batch has", async () => {
    const ring = await furnish();
    expectProblem(await ring.call("GET", "/v1/batches/bat_nobody"), 404, "not-found");
    expectProblem(await ring.call("POST", "/v1/batches/bat_nobody/pause"), 404, "not-found");
    expectProblem(await ring.call("GET", "/v1/rotations?batch=bat_nobody"), 404, "not-found");
  });

  it("is listed newest first", async () => {
    const ring = await furnish();
    const first = await begin(ring, { select: { label: "a=1" }, reason: "first" });
    await scheduler.wait(2);
    const second = await begin(ring, { select: { label: "a=2" }, reason: "second" });
    const page = await ring.call<{ items: BatchView[]; nextCursor: string }>("GET", "/v1/batches?limit=1");
    expect(page.body.items.map(({ id }) => id)).toEqual([second.id]);
    const rest = await ring.call<{ items: BatchView[] }>("GET", `/v1/batches?cursor=${page.body.nextCursor}`);
    expect(rest.body.items.map(({ id }) => id)).toEqual([first.id]);
  });

  it("is done once under one Idempotency-Key", async () => {
    const ring = await team(1);
    const headers = { "idempotency-key": "once" };
    const first = await ring.call<BatchView>("POST", "/v1/rotations", { body: PAYMENTS, headers });
    const again = await ring.call<BatchView>("POST", "/v1/rotations", { body: PAYMENTS, headers });
    expect(again.body.id).toBe(first.body.id);
    await ended(ring, first.body.id);
    expect(await versionsOf(ring, "key-0")).toBe(2);
  });
});

describe("a hold", () => {
  it("keeps a batch waiting, which says so, and goes on when it is released", async () => {
    const ring = await team(2);
    await ring.call("POST", "/v1/settings/hold", { body: { reason: "a bad deploy" } });
    const made = await begin(ring);
    expect(made).toMatchObject({
      state: "running",
      started: 0,
      left: 2,
      waitsFor: "the end of the hold on rotations (a bad deploy)",
    });
    await ring.call("POST", "/v1/settings/release");
    expect(await ended(ring, made.id)).toMatchObject({ succeeded: 2, waitsFor: null });
  });
});

describe("a batch that is stopped", () => {
  /** One that waits behind a hold: nothing of it has started. */
  async function waiting(ring: TestKeyring, caller: Caller = ring): Promise<BatchView> {
    await ring.call("POST", "/v1/settings/hold", { body: { reason: "a test" } });
    return begin(caller);
  }

  it("for a while starts nothing until it is resumed", async () => {
    const ring = await team(2);
    const { id } = await waiting(ring);
    const paused = await ring.call("POST", `/v1/batches/${id}/pause`);
    expect(paused).toMatchObject({
      status: 200,
      body: { state: "paused", estimate: { seconds: null, words: "nothing starts while it is paused" } },
    });
    await ring.call("POST", "/v1/settings/release");
    await settle(ring);
    expect(await read(ring, id)).toMatchObject({ state: "paused", started: 0 });
    expect((await ring.call("POST", `/v1/batches/${id}/pause`)).body).toMatchObject({ state: "paused" });
    const resumed = await ring.call("POST", `/v1/batches/${id}/resume`);
    expect(resumed).toMatchObject({ status: 200, body: { state: "running", started: 2 } });
    expect(await ended(ring, id)).toMatchObject({ succeeded: 2 });
    expect(await eventsOf(ring)).toEqual(["batch.started", "batch.paused", "batch.resumed", "batch.done"]);
    for (const change of ["pause", "resume", "cancel"]) {
      expectProblem(await ring.call("POST", `/v1/batches/${id}/${change}`), 409, "batch-over");
    }
  });

  it("for good starts nothing more, and cannot be resumed", async () => {
    const ring = await team(2);
    const { id } = await waiting(ring);
    const cancelled = await ring.call("POST", `/v1/batches/${id}/cancel`);
    expect(cancelled).toMatchObject({ status: 200, body: { state: "cancelled", left: 2 } });
    expect((await ring.call("POST", `/v1/batches/${id}/cancel`)).status).toBe(200);
    expectProblem(await ring.call("POST", `/v1/batches/${id}/resume`), 409, "batch-over");
    await ring.call("POST", "/v1/settings/release");
    await settle(ring);
    expect(await read(ring, id)).toMatchObject({ state: "cancelled", started: 0 });
    expect(await versionsOf(ring, "key-0")).toBe(1);
  });

  it("is stopped by the end of the access key that asked for it", async () => {
    const ring = await team(2);
    const asker = await makeAccessKey(ring, ["keys:rotate", "keys:read"]);
    const { id } = await waiting(ring, asker);
    await ring.call("POST", `/v1/keys/${asker.name}/revoke`, { body: { reason: "a leaver" } });
    await ring.call("POST", "/v1/settings/release");
    await settle(ring);
    expect(await read(ring, id)).toMatchObject({
      state: "cancelled",
      started: 0,
      problem: "the access key that asked for it is over",
    });
  });

  it("is stopped by nobody who was rotated a moment ago", async () => {
    const ring = await team(1);
    const { id } = await waiting(ring);
    const owner = await makeAccessKey(ring, ["keys:rotate", "keys:reveal"]);
    await owner.call("POST", `/v1/keys/${owner.name}/rotate?wait=10s`, { body: { reveal: "inline" } });
    expectProblem(await owner.call("POST", `/v1/batches/${id}/cancel`), 409, "caller-cooldown");
  });
});

describe("who has a role", () => {
  it("rotates what is its own, and nobody else's", async () => {
    const ring = await team(2);
    const operator = await makeAccessKey(ring, ["keys:rotate", "keys:write", "keys:read"], {
      role: "operator",
    });
    await scheduler.wait(2);
    const mine = await operator.call<{ id: string }>("POST", "/v1/keys", {
      body: {
        name: "mine",
        provider: "issuer",
        labels: { team: "payments" },
        destinations: [{ id: "store", as: "mine" }],
      },
    });
    expect(mine.status).toBe(201);
    const { id } = await begin(operator);
    expect(await ended(ring, id)).toMatchObject({
      total: 3,
      started: 1,
      requestedBy: operator.id,
      skipped: [{ reason: "not-yours", count: 2 }],
    });
    expect([await versionsOf(ring, "mine"), await versionsOf(ring, "key-0")]).toEqual([2, 1]);
  });

  it("stops its own batches only", async () => {
    const ring = await team(1);
    const operator = await makeAccessKey(ring, ["keys:rotate"], { role: "operator" });
    await ring.call("POST", "/v1/settings/hold", { body: { reason: "a test" } });
    const { id } = await begin(ring);
    expectProblem(await operator.call("POST", `/v1/batches/${id}/cancel`), 403, "not-yours");
    const own = await begin(operator);
    expect((await operator.call("POST", `/v1/batches/${own.id}/cancel`)).status).toBe(200);
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
