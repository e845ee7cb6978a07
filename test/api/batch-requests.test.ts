/** Batches over HTTP: what is asked for, what is refused, how they are found again. */
import { describe, expect, it } from "vitest";
import type { BatchView } from "../../src/keyring/operations/batches.ts";
import { expectInvalid, expectProblem, furnish, snapshot } from "./fixtures.ts";
import { begin, ended, PAYMENTS, team, versionsOf } from "./team.ts";

describe("what is asked for", () => {
  it.each<[what: string, body: object, field: string]>([
    ["selects nothing", { select: {}, reason: "x" }, "select"],
    ["does not select", { reason: "x" }, "select"],
    ["says all: false", { select: { all: false }, reason: "x" }, "select.all"],
    ["says all beside a provider", { select: { all: true, provider: "issuer" }, reason: "x" }, "select.all"],
    ["says all beside a label", { select: { all: true, label: "a=b" }, reason: "x" }, "select.all"],
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
