/** What people decide about rotations and old versions: cancel, retry, give up, go back, lengthen or end a grace. */
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { TestKeyring } from "../support/api.ts";
import {
  changeStore,
  expectInvalid,
  expectProblem,
  type Furnished,
  furnish,
  makeAccessKey,
  makeKey,
  makeStuckRevocation,
  makeStuckRotation,
  readTables,
  settle,
  snapshot,
} from "./fixtures.ts";

const HOUR = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
});

interface VersionBody {
  number: number;
  stage: string;
  graceEndsAt: string | null;
  confirmed: boolean;
}

interface KeyBody {
  currentVersion: number | null;
  versions: VersionBody[];
}

const versionsOf = async (ring: TestKeyring, key = "billing") =>
  (await ring.call<KeyBody>("GET", `/v1/keys/${key}`)).body.versions;

const graceEndOf = async (ring: TestKeyring, number = 1, key = "billing") =>
  Date.parse((await versionsOf(ring, key))[number - 1]?.graceEndsAt ?? "");

const eventsOf = async (ring: TestKeyring, type: string) => {
  const { body } = await ring.call<{ items: { actor: string; data: object }[] }>(
    "GET",
    `/v1/events?type=${type}`,
  );
  return body.items;
};

const heldIn = (ring: TestKeyring, name = "billing") => env.KEYS.get(`${ring.name}/${name}`);

const verdictOf = async (ring: TestKeyring, key: string) =>
  (await ring.call<{ code: string }>("POST", "/v1/verify", { body: { key } })).body;

const post = (ring: TestKeyring, path: string, body?: object, key?: string) =>
  ring.call<KeyBody & { rotation: Record<string, unknown> }>("POST", path, {
    ...(body && { body }),
    ...(key !== undefined && { headers: { "idempotency-key": key } }),
  });

/** A furnished keyring with the value that `billing` had before it was rotated. */
async function furnishWithOld(policy: object = {}): Promise<Furnished & { old: string; fresh: string }> {
  const ring = await furnish();
  const old = await makeKey(ring, "other", { destinations: [{ id: "store" }], policy });
  await settle(ring);
  await ring.call("POST", "/v1/keys/other/rotate?wait=10s", { body: {} });
  await settle(ring);
  return { ...ring, old: old.secret, fresh: (await heldIn(ring, "other")) ?? "" };
}

describe("lengthening a grace", () => {
  const extend = (ring: TestKeyring, grace: string, key?: string) =>
    post(ring, "/v1/keys/other/versions/1/extend", { grace }, key);

  it("moves its end to that long from now, and verification goes by it", async () => {
    const ring = await furnishWithOld({ grace: "1h" });
    const before = await graceEndOf(ring, 1, "other");
    const start = Date.now();
    const answer = await extend(ring, "3h");
    expect(answer.status).toBe(200);
    const end = await graceEndOf(ring, 1, "other");
    expect(end).toBeGreaterThanOrEqual(start + 3 * HOUR);
    expect(end).toBeLessThan(start + 3 * HOUR + 60_000);
    vi.useFakeTimers({ toFake: ["Date"], now: before });
    expect(await verdictOf(ring, ring.old)).toMatchObject({ code: "valid" });
    vi.setSystemTime(end - 1);
    expect(await verdictOf(ring, ring.old)).toMatchObject({ code: "valid" });
    vi.setSystemTime(end);
    expect(await verdictOf(ring, ring.old)).toMatchObject({ code: "grace-ended" });
  });

  it("is an event that says who moved it from when to when", async () => {
    const ring = await furnishWithOld({ grace: "1h" });
    const { id, call } = await makeAccessKey(ring, ["keys:rotate"]);
    const from = (await versionsOf(ring, "other"))[0]?.graceEndsAt;
    await call("POST", "/v1/keys/other/versions/1/extend", { body: { grace: "2h" } });
    const to = (await versionsOf(ring, "other"))[0]?.graceEndsAt;
    expect(await eventsOf(ring, "key.grace.extended")).toMatchObject([
      { actor: id, data: { version: 1, from, to } },
    ]);
  });

  it("is done once for one Idempotency-Key", async () => {
    const ring = await furnishWithOld({ grace: "1h" });
    await extend(ring, "3h", "once");
    const end = await graceEndOf(ring, 1, "other");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 60_000 });
    expect((await extend(ring, "3h", "once")).status).toBe(200);
    expect(await graceEndOf(ring, 1, "other")).toBe(end);
    expect(await eventsOf(ring, "key.grace.extended")).toHaveLength(1);
    expectProblem(await extend(ring, "4h", "once"), 422, "idempotency-mismatch");
  });

  it("is refused once the grace is over: a dead value never comes back", async () => {
    const ring = await furnishWithOld({ grace: "1h" });
    vi.useFakeTimers({ toFake: ["Date"], now: await graceEndOf(ring, 1, "other") });
    const before = await snapshot(ring);
    expectProblem(await extend(ring, "3h"), 409, "not-in-grace");
    expect(await snapshot(ring)).toEqual(before);
    expect(await verdictOf(ring, ring.old)).toMatchObject({ code: "grace-ended" });
  });

  it("never shortens it", async () => {
    const ring = await furnishWithOld({ grace: "2h" });
    expect(expectProblem(await extend(ring, "1h"), 409, "grace-not-longer").detail).toContain(
      new Date(await graceEndOf(ring, 1, "other")).toISOString(),
    );
  });

  it("stops at the policy's maxGrace, counted from when the grace began", async () => {
    const ring = await furnishWithOld({ grace: "1h", maxGrace: "3h" });
    const begun = (await graceEndOf(ring, 1, "other")) - HOUR;
    vi.useFakeTimers({ toFake: ["Date"], now: begun + HOUR / 2 });
    const { detail } = expectProblem(await extend(ring, "3h"), 409, "grace-limit");
    expect(detail).toContain(new Date(begun + 3 * HOUR).toISOString());
    expect((await extend(ring, "2h")).status).toBe(200);
  });

  it("stops at the key's own end", async () => {
    const ring = await furnish();
    const expiresAt = new Date(Date.now() + 36 * HOUR).toISOString();
    await makeKey(ring, "other", { destinations: [{ id: "store" }], expiresAt });
    await settle(ring);
    await ring.call("POST", "/v1/keys/other/rotate?wait=10s", { body: {} });
    const { detail } = expectProblem(await extend(ring, "48h"), 409, "grace-limit");
    expect(detail).toContain(expiresAt);
    expect((await extend(ring, "30h")).status).toBe(200);
  });

  it("names what is wrong with the body", async () => {
    const ring = await furnish();
    const path = "/v1/keys/billing/versions/1/extend";
    expectInvalid(await post(ring, path, { grace: "soon" }), "grace");
    expectInvalid(await post(ring, path, { grace: "0" }), "grace");
    expectInvalid(await post(ring, path, { grace: "48h", more: 1 }), "more");
    expectInvalid(await post(ring, "/v1/keys/billing/versions/one/extend", { grace: "48h" }), "n");
    expectProblem(await post(ring, "/v1/keys/billing/versions/9/extend", { grace: "48h" }), 404, "not-found");
  });

  it("is for a version in its grace, not for the current one", async () => {
    const ring = await furnish();
    const path = "/v1/keys/billing/versions/2/extend";
    expectProblem(await post(ring, path, { grace: "48h" }), 409, "not-in-grace");
  });
});

describe("ending a grace", () => {
  it("refuses the old value at once and sees it dead, and the current one lives", async () => {
    const ring = await furnishWithOld();
    const { status } = await post(ring, "/v1/keys/other/versions/1/finish");
    expect(status).toBe(200);
    expect(await verdictOf(ring, ring.old)).toMatchObject({ code: "grace-ended" });
    expect(await verdictOf(ring, ring.fresh)).toMatchObject({ code: "valid" });
    await settle(ring);
    expect(await versionsOf(ring, "other")).toMatchObject([
      { stage: "revoked", confirmed: true },
      { stage: "current" },
    ]);
    expect(await eventsOf(ring, "key.grace.finished")).toMatchObject([
      { actor: "root", data: { version: 1 } },
    ]);
  });

  it("twice is refused, and with one Idempotency-Key the same answer", async () => {
    const ring = await furnishWithOld();
    const path = "/v1/keys/other/versions/1/finish";
    expect((await post(ring, path, undefined, "once")).status).toBe(200);
    await settle(ring);
    expect((await post(ring, path, undefined, "once")).status).toBe(200);
    expectProblem(await post(ring, path), 409, "not-in-grace");
    expect(await eventsOf(ring, "key.grace.finished")).toHaveLength(1);
  });

  it("is refused for the current version, which stays", async () => {
    const ring = await furnishWithOld();
    expectProblem(await post(ring, "/v1/keys/other/versions/2/finish"), 409, "not-in-grace");
    expect(await verdictOf(ring, ring.fresh)).toMatchObject({ code: "valid" });
  });
});

describe("giving up a revocation", () => {
  it("ends a version that is being revoked, unconfirmed, and says who decided", async () => {
    const ring = await furnish();
    await makeStuckRevocation(ring);
    expect((await post(ring, "/v1/keys/billing/versions/1/abandon")).status).toBe(200);
    expect((await versionsOf(ring))[0]).toMatchObject({ stage: "revoked", confirmed: false });
    const [event] = await eventsOf(ring, "key.revoked");
    expect(event).toMatchObject({ actor: "root", data: { version: 1, abandoned: true } });
  });

  it("is refused for a version that nobody is revoking", async () => {
    const ring = await furnish();
    for (const n of [1, 2]) {
      expectProblem(await post(ring, `/v1/keys/billing/versions/${n}/abandon`), 409, "not-revoking");
    }
  });
});

describe("a rotation in a person's hands", () => {
  const BLOCKED = { state: "blocked", step: "preflight" } as const;
  const NEEDS_HUMAN = { state: "needs-human", step: "settle" } as const;

  it("is cancelled, and the current value stays", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, BLOCKED);
    const answer = await post(ring, `/v1/rotations/${live}/cancel`, undefined, "once");
    expect(answer.body).toMatchObject({ live: false, state: "cancelled", problem: "cancelled by root" });
    expect(await eventsOf(ring, "key.rotation.cancelled")).toMatchObject([
      { actor: "root", data: { rotationId: live, step: "preflight" } },
    ]);
    expect((await post(ring, `/v1/rotations/${live}/cancel`, undefined, "once")).body).toEqual(answer.body);
    expectProblem(await post(ring, `/v1/rotations/${live}/cancel`), 409, "rotation-ended");
    expect(await eventsOf(ring, "key.rotation.cancelled")).toHaveLength(1);
  });

  it("is retried now, and succeeds when nothing stands in its way any more", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, BLOCKED);
    expect((await post(ring, `/v1/rotations/${live}/retry`)).status).toBe(200);
    await settle(ring);
    expect((await ring.call("GET", `/v1/rotations/${live}`)).body).toMatchObject({
      state: "succeeded",
      toVersion: 2,
    });
    expect(await eventsOf(ring, "key.rotation.retried")).toMatchObject([
      { actor: "root", data: { rotationId: live } },
    ]);
  });

  it("that waits for somebody to say that nothing was made mints again when it is retried", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, { ...NEEDS_HUMAN, mints: 1 });
    await post(ring, `/v1/rotations/${live}/retry`);
    await settle(ring);
    expect((await ring.call("GET", `/v1/rotations/${live}`)).body).toMatchObject({ state: "succeeded" });
  });

  it("is abandoned with a lost version on record, and the current value stays", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, { ...NEEDS_HUMAN, mints: 1, intentAt: Date.now() });
    const answer = await post(ring, `/v1/rotations/${live}/abandon`);
    expect(answer.body).toMatchObject({ live: false, state: "failed", problem: "given up by root" });
    expect((await versionsOf(ring, "stuck")).map(({ stage }) => stage)).toEqual(["current", "lost"]);
    expect(await eventsOf(ring, "key.rotation.abandoned")).toHaveLength(1);
  });

  it("cannot be abandoned while it waits for nobody, and nothing changes", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, BLOCKED);
    const before = await snapshot(ring);
    expectProblem(await post(ring, `/v1/rotations/${live}/abandon`), 409, "not-for-people");
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("going back to an earlier version", () => {
  const PATH = "/v1/keys/other/rollback?wait=10s";
  const body = { reason: "the new one is refused" };

  it("puts its value back and retires the newer one after a short grace of its own", async () => {
    const ring = await furnishWithOld();
    const start = Date.now();
    const answer = await post(ring, PATH, body);
    expect(answer.status).toBe(200);
    expect(answer.body.rotation).toMatchObject({
      rollback: true,
      live: false,
      state: "succeeded",
      trigger: "manual",
      reason: body.reason,
      fromVersion: 2,
      toVersion: 1,
      deliveries: [{ version: 1, state: "delivered" }],
    });
    expect(await heldIn(ring, "other")).toBe(ring.old);
    expect(await verdictOf(ring, ring.old)).toMatchObject({ code: "valid", version: 1, graceEndsAt: null });
    const end = await graceEndOf(ring, 2, "other");
    expect(end - start).toBeGreaterThanOrEqual(15 * 60_000);
    expect(end - start).toBeLessThan(17 * 60_000);
    vi.useFakeTimers({ toFake: ["Date"], now: end - 1 });
    expect(await verdictOf(ring, ring.fresh)).toMatchObject({ code: "valid" });
    vi.setSystemTime(end);
    expect(await verdictOf(ring, ring.fresh)).toMatchObject({ code: "grace-ended" });
  });

  it("takes the grace that is asked for, though never less than the slowest destination needs", async () => {
    const ring = await furnishWithOld();
    const start = Date.now();
    await post(ring, PATH, { ...body, grace: "0" });
    const end = await graceEndOf(ring, 2, "other");
    expect(end - start).toBeGreaterThanOrEqual(60_000);
    expect(end - start).toBeLessThan(2 * 60_000);
  });

  it("keeps the grace within the policy's maxGrace", async () => {
    const ring = await furnishWithOld({ grace: "5m", maxGrace: "10m" });
    expectInvalid(await post(ring, PATH, { ...body, grace: "11m" }), "grace");
    const start = Date.now();
    expect((await post(ring, PATH, body)).status).toBe(200);
    expect((await graceEndOf(ring, 2, "other")) - start).toBeLessThan(12 * 60_000);
  });

  it("raises the revision, so that receivers take the old value for the newest", async () => {
    const ring = await furnishWithOld();
    const before = await ring.call<{ revision: number }>("GET", "/v1/keys/other");
    await post(ring, PATH, body);
    const after = await ring.call<{ revision: number }>("GET", "/v1/keys/other");
    expect(after.body.revision).toBe(before.body.revision + 1);
  });

  it("is possible in the cooldown after the rotation, with the old version itself", async () => {
    const ring = await furnish();
    const { name, call, secret } = await makeAccessKey(ring, ["keys:rotate", "keys:reveal", "keys:read"]);
    const rotated = await call("POST", `/v1/keys/${name}/rotate?wait=10s`, { body: { reveal: "inline" } });
    expect(rotated.status).toBe(200);
    expectProblem(
      await call("POST", `/v1/keys/${name}/rotate`, { body: { reveal: "inline" } }),
      409,
      "cooldown",
    );
    expect((await call("POST", `/v1/keys/${name}/rollback?wait=10s`, { body })).status).toBe(200);
    const { body: key } = await call("GET", `/v1/keys/${name}`);
    expect(key).toMatchObject({ currentVersion: 1 });
    expect((await ring.call("POST", "/v1/verify", { body: { key: secret } })).body).toMatchObject({
      version: 1,
    });
  });

  it("is possible for a key that goes nowhere and of which only a hash is kept", async () => {
    const ring = await furnish();
    const { secret } = await makeKey(ring, "plain");
    await ring.call("POST", "/v1/keys/plain/rotate?wait=10s", { body: { reveal: "inline" } });
    await settle(ring);
    expect((await post(ring, "/v1/keys/plain/rollback?wait=10s", body)).status).toBe(200);
    expect(await verdictOf(ring, secret)).toMatchObject({ code: "valid", version: 1, graceEndsAt: null });
  });

  it("is refused when only a hash of that version is kept and it would have to be delivered", async () => {
    const ring = await furnish();
    await makeKey(ring, "plain");
    await settle(ring);
    await ring.call("PATCH", "/v1/keys/plain?rotate=true", { body: { destinations: [{ id: "store" }] } });
    await settle(ring);
    const before = await snapshot(ring);
    expectProblem(await post(ring, "/v1/keys/plain/rollback", body), 409, "value-not-kept");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("is done once for one Idempotency-Key", async () => {
    const ring = await furnishWithOld();
    const first = await post(ring, PATH, body, "once");
    await settle(ring);
    const before = await snapshot(ring);
    const second = await post(ring, PATH, body, "once");
    expect(second.body.rotation.id).toBe(first.body.rotation.id);
    expect(await snapshot(ring)).toEqual(before);
    expect((await readTables(ring)).rotation).toHaveLength(3);
  });

  it("is refused while a rotation is live", async () => {
    const ring = await furnish();
    const { live } = await makeStuckRotation(ring, { state: "blocked", step: "preflight" });
    const { holder } = expectProblem(await post(ring, "/v1/keys/stuck/rollback", body), 409, "rotation-live");
    expect(holder).toBe(live);
  });

  it("is refused when there is nothing to go back to, and nothing changes", async () => {
    const ring = await furnish();
    await makeKey(ring, "young");
    await settle(ring);
    const before = await snapshot(ring);
    expectProblem(await post(ring, "/v1/keys/young/rollback", body), 409, "not-in-grace");
    expectProblem(await post(ring, "/v1/keys/young/rollback", { ...body, version: 1 }), 409, "not-in-grace");
    expectProblem(await post(ring, "/v1/keys/young/rollback", { ...body, version: 7 }), 404, "not-found");
    expectInvalid(await post(ring, "/v1/keys/young/rollback", {}), "reason");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("is refused for a key that was revoked, is lost or goes", async () => {
    const ring = await furnish();
    const states = { revoked: "key-revoked", lost: "key-lost", deleting: "key-deleting" } as const;
    for (const [state, code] of Object.entries(states)) {
      await changeStore(ring, (store) => {
        const key = store.keys.byName("billing");
        if (key) store.keys.update(key, { state: state as keyof typeof states });
      });
      expectProblem(await post(ring, "/v1/keys/billing/rollback", body), 409, code);
    }
  });
});
