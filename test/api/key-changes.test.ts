/** PATCH, DELETE and revoke. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { expectProblem, furnish, makeKey, readTables, settle, snapshot } from "./fixtures.ts";

const verdictOf = async (ring: TestKeyring, key: string) =>
  (await ring.call("POST", "/v1/verify", { body: { key } })).body.code;

const typesOf = async (ring: TestKeyring, key: string) => {
  const { body } = await ring.call<{ items: { type: string }[] }>("GET", `/v1/events?key=${key}`);
  return body.items.map(({ type }) => type).reverse();
};

describe("changing a key", () => {
  it("replaces each part that is given whole and leaves the others", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing", { labels: { a: "1", b: "2" }, policy: { grace: "1h", cooldown: "5m" } });
    const patched = await ring.call("PATCH", "/v1/keys/billing", { body: { labels: { c: "3" } } });
    expect(patched.body).toMatchObject({ policy: { grace: "1h", cooldown: "5m" }, paused: false });
    expect(patched.body.labels).toEqual({ c: "3" });
    const again = await ring.call("PATCH", "/v1/keys/billing", {
      body: { policy: { grace: "2h" }, paused: true },
    });
    expect(again.body).toMatchObject({ labels: { c: "3" }, paused: true });
    expect(again.body.policy).toEqual({ grace: "2h" });
    expect((await ring.call("GET", "/v1/keys/billing")).body).toEqual(again.body);
  });

  it("moves the next rotation with the policy, and takes it away while paused", async () => {
    const ring = await furnish();
    const next = async (body: object) =>
      (await ring.call<{ nextRotationAt: string | null }>("PATCH", "/v1/keys/billing", { body })).body
        .nextRotationAt;
    const month = Date.parse(String(await next({ policy: { maxAge: "30d" } })));
    const day = Date.parse(String(await next({ policy: { maxAge: "1d" } })));
    expect(month - day).toBe(29 * 86_400_000);
    expect(await next({ paused: true })).toBeNull();
    expect(Date.parse(String(await next({ paused: false })))).toBe(day);
    expect(await next({ policy: {} })).toBeNull();
  });

  it("sends the present value to a new destination, and to no other again", async () => {
    const ring = await furnish();
    const body = { destinations: [{ id: "store" }, { id: "spare", as: "billing-copy" }] };
    expect((await ring.call("PATCH", "/v1/keys/billing", { body })).status).toBe(200);
    await settle(ring);
    expect(await env.KEYS.get(`${ring.name}/billing-copy`)).toBe(await env.KEYS.get(`${ring.name}/billing`));
    const { items } = (await ring.call<{ items: { as: string; version: number }[] }>("GET", "/v1/deliveries"))
      .body;
    expect(items.map(({ as, version }) => `${as} v${version}`)).toEqual([
      "billing-copy v2",
      "billing v2",
      "billing v1",
    ]);
  });

  it("cannot send a value of which only a hash is kept, says how to, and changes nothing", async () => {
    const ring = await furnish();
    await makeKey(ring, "hashed");
    const body = { destinations: [{ id: "spare" }] };
    const before = await snapshot(ring);
    const refused = expectProblem(
      await ring.call("PATCH", "/v1/keys/hashed", { body }),
      409,
      "needs-rotation",
    );
    expect(refused.remedy).toContain("?rotate=true");
    expect(await snapshot(ring)).toEqual(before);
    expect((await ring.call("PATCH", "/v1/keys/hashed?rotate=true", { body })).status).toBe(200);
    await settle(ring);
    const { body: key } = await ring.call("GET", "/v1/keys/hashed");
    expect(key).toMatchObject({ currentVersion: 2, destinations: [{ as: "hashed" }] });
    expect(await verdictOf(ring, (await env.KEYS.get(`${ring.name}/hashed`)) ?? "")).toBe("valid");
  });

  it("and rotating it at once goes by the pause as it is changed", async () => {
    const ring = await furnish();
    const patch = (paused: boolean) =>
      ring.call("PATCH", "/v1/keys/billing?rotate=true", { body: { paused } });
    const before = await snapshot(ring);
    expectProblem(await patch(true), 409, "key-paused");
    expect(await snapshot(ring)).toEqual(before);
    await ring.call("PATCH", "/v1/keys/billing", { body: { paused: true } });
    expect((await patch(false)).status).toBe(200);
    await settle(ring);
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({
      currentVersion: 3,
      paused: false,
    });
  });

  it("is refused once the key is deleted", async () => {
    const ring = await furnish();
    await ring.call("DELETE", "/v1/keys/billing");
    await settle(ring);
    const patched = await ring.call("PATCH", `/v1/keys/${ring.key}`, { body: { paused: true } });
    expectProblem(patched, 409, "key-deleting");
    expectProblem(await ring.call("PATCH", "/v1/keys/billing", { body: { paused: true } }), 404, "not-found");
  });

  it("is an event that says which parts", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    await ring.call("PATCH", "/v1/keys/billing", { body: { paused: true, labels: {} } });
    const { body } = await ring.call("GET", "/v1/events?type=key.updated");
    expect(body.items).toMatchObject([{ data: { changed: "labels paused" } }]);
  });
});

describe("deleting a key", () => {
  it("kills every version at once, in grace or not, and then the key is gone", async () => {
    const ring = await makeKeyring();
    const { id, secret } = await makeKey(ring, "billing");
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", {
      body: { reveal: "inline" },
    });
    expect(await verdictOf(ring, secret)).toBe("valid");
    const deleted = await ring.call("DELETE", "/v1/keys/billing");
    expect(deleted.status).toBe(202);
    expect(["deleting", "deleted"]).toContain(deleted.body.state);
    for (const value of [secret, rotated.body.secret]) expect(await verdictOf(ring, value)).toBe("revoked");
    await settle(ring);
    expectProblem(await ring.call("GET", "/v1/keys/billing"), 404, "not-found");
    const { body } = await ring.call("GET", `/v1/keys/${id}`);
    expect(body).toMatchObject({
      state: "deleted",
      currentVersion: null,
      versions: [
        { number: 1, stage: "revoked", endReason: "deleted", confirmed: true },
        { number: 2, stage: "revoked", endReason: "deleted", confirmed: true },
      ],
    });
    expect((await typesOf(ring, id)).slice(-4)).toEqual([
      "key.updated",
      "key.revoked",
      "key.revoked",
      "key.deleted",
    ]);
  });

  it("twice is one deletion", async () => {
    const ring = await furnish();
    const first = await ring.call("DELETE", `/v1/keys/${ring.key}`);
    await settle(ring);
    const events = await typesOf(ring, ring.key);
    const second = await ring.call("DELETE", `/v1/keys/${ring.key}`);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(await typesOf(ring, ring.key)).toEqual(events);
  });

  it("frees its destinations and its names there", async () => {
    const ring = await furnish();
    expect(expectProblem(await ring.call("DELETE", "/v1/destinations/store"), 409, "in-use").usedBy).toEqual([
      ring.key,
    ]);
    await ring.call("DELETE", "/v1/keys/billing");
    await settle(ring);
    await makeKey(ring, "billing", { destinations: [{ id: "spare" }] });
    expect((await ring.call("DELETE", "/v1/destinations/store")).status).toBe(204);
  });
});

describe("revoking a key", () => {
  it("kills every version now, makes no new one, and the key stays dead", async () => {
    const ring = await furnish();
    const secret = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    const revoked = await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "leaked" } });
    expect(revoked).toMatchObject({ status: 200, body: { state: "revoked", currentVersion: null } });
    expect(await verdictOf(ring, secret)).toBe("revoked");
    await settle(ring);
    const { body } = await ring.call("GET", "/v1/keys/billing");
    expect(body.versions).toMatchObject([
      { number: 1, stage: "revoked", confirmed: true },
      { number: 2, stage: "revoked", endReason: "revoked", confirmed: true },
    ]);
    const rotate = await ring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    expectProblem(rotate, 409, "key-revoked");
  });

  it("wipes the values and keeps the hashes", async () => {
    const ring = await furnish();
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "leaked" } });
    await settle(ring);
    const { version = [] } = await readTables(ring);
    expect(version.map(({ sealed }) => sealed)).toEqual([null, null]);
    for (const { digest } of version) expect(digest).toBeInstanceOf(ArrayBuffer);
  });

  it("or one version of it leaves the other as it was", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", {
      body: { reveal: "inline" },
    });
    const revoked = await ring.call("POST", "/v1/keys/billing/revoke", {
      body: { reason: "leaked", version: 1 },
    });
    expect(revoked.body).toMatchObject({ state: "active", currentVersion: 2 });
    expect(await verdictOf(ring, secret)).toBe("revoked");
    expect(await verdictOf(ring, rotated.body.secret)).toBe("valid");
  });

  it("refuses a version that never was or is dead already, and changes nothing", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    await ring.call("POST", "/v1/keys/billing/rotate?wait=10s", { body: { reveal: "inline" } });
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "leaked", version: 1 } });
    await settle(ring);
    const before = await snapshot(ring);
    const again = (version: number) =>
      ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "leaked", version } });
    expectProblem(await again(1), 409, "version-dead");
    expectProblem(await again(3), 404, "not-found");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("keeps the reason in the history", async () => {
    const ring = await furnish();
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "seen in a gist" } });
    const { body } = await ring.call("GET", "/v1/events?type=key.updated&limit=1");
    expect(body.items).toMatchObject([
      { key: ring.key, data: { changed: "revoked", reason: "seen in a gist" } },
    ]);
  });
});
