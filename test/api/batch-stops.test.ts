/** Batches over HTTP: what holds one up or ends it, and who may. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { BatchView } from "../../src/keyring/operations/batches.ts";
import type { TestKeyring } from "../support/api.ts";
import { callAs, changeStore, expectProblem, makeAccessKey, settle } from "./fixtures.ts";
import { begin, type Caller, ended, eventsOf, read, team, versionsOf } from "./team.ts";

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

  it("is stopped by a leak of the access key that asked for it, which itself lives on with a new value", async () => {
    const ring = await team(2);
    const asker = await makeAccessKey(ring, ["keys:rotate", "keys:read"], {
      destinations: [{ id: "store", as: "asker" }],
    });
    await settle(ring);
    const { id } = await waiting(ring, asker);
    const report = { secret: asker.secret, source: "a public repository" };
    expect((await ring.call("POST", "/v1/compromises", { body: report })).status).toBe(201);
    await settle(ring);
    await ring.call("POST", "/v1/settings/release");
    await settle(ring);
    expect(await read(ring, id)).toMatchObject({
      state: "cancelled",
      started: 0,
      problem: "a value of the access key that asked for it was reported as leaked",
    });
    expect((await ring.call("GET", `/v1/keys/${asker.id}`)).body).toMatchObject({ state: "active" });
    expect([await versionsOf(ring, "key-0"), await versionsOf(ring, "key-1")]).toEqual([1, 1]);
    expectProblem(await ring.call("POST", `/v1/batches/${id}/resume`), 409, "batch-over");
    // Who has its new value may ask again: that leak is older than what is asked for now.
    const renewed = { call: callAs((await env.KEYS.get(`${ring.name}/asker`)) ?? "") };
    expect(await ended(ring, (await begin(renewed)).id)).toMatchObject({ succeeded: 2 });
  });

  it("is over as it is made when the value that asks has leaked and is not dead yet", async () => {
    const ring = await team(2);
    const asker = await makeAccessKey(ring, ["keys:rotate", "keys:read"]);
    await changeStore(ring, ({ versions }) => {
      const current = versions.current(asker.id);
      if (current) versions.update(current, { compromisedAt: current.issuedAt });
    });
    expect(await begin(asker)).toMatchObject({
      state: "cancelled",
      started: 0,
      problem: "a value of the access key that asked for it was reported as leaked",
    });
    expect(await eventsOf(ring)).toEqual(["batch.started", "batch.cancelled"]);
  });

  it("is paused and cancelled by who was rotated a moment ago, but not resumed", async () => {
    const ring = await team(1);
    const { id } = await waiting(ring);
    const owner = await makeAccessKey(ring, ["keys:rotate", "keys:reveal"]);
    await owner.call("POST", `/v1/keys/${owner.name}/rotate?wait=10s`, { body: { reveal: "inline" } });
    const change = (what: string) => owner.call("POST", `/v1/batches/${id}/${what}`);
    expect(await change("pause")).toMatchObject({ status: 200, body: { state: "paused" } });
    expectProblem(await change("resume"), 409, "caller-cooldown");
    expect(await read(ring, id)).toMatchObject({ state: "paused" });
    expect(await change("cancel")).toMatchObject({ status: 200, body: { state: "cancelled" } });
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
