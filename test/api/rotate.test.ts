import { env } from "cloudflare:workers";
import { HttpResponse, http } from "msw";
import { afterEach, describe, expect, it, vi } from "vitest";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { network } from "../support/network.ts";
import { expectProblem, furnish, makeAccessKey, makeKey, settle, snapshot } from "./fixtures.ts";

/** Keyrings whose key `hooked` waits for a receiver, and would go on asking it after the test. */
const waiting: TestKeyring[] = [];

afterEach(async () => {
  vi.useRealTimers();
  for (const ring of waiting.splice(0)) await ring.call("DELETE", "/v1/keys/hooked");
});

interface Rotated {
  rotation: { id: string; live: boolean; state: string; toVersion: number | null };
  secret?: string;
}

const rotate = (ring: TestKeyring, key: string, body: object, query = "") =>
  ring.call<Rotated>("POST", `/v1/keys/${key}/rotate${query}`, { body });

const verdictOf = async (ring: TestKeyring, key: string) =>
  (await ring.call("POST", "/v1/verify", { body: { key } })).body;

const HOOK = "https://hooks.acme.dev/rekey";

/** A key that goes to a webhook, whose receiver answers `status`. */
async function makeHooked(ring: TestKeyring, status: number) {
  waiting.push(ring);
  network.use(http.post(HOOK, () => new HttpResponse(null, { status })));
  const body = { name: "hook", type: "webhook", config: { url: HOOK, secretMode: "none" } };
  await ring.call("POST", "/v1/destinations", { body });
  return makeKey(ring, "hooked", { destinations: [{ id: "hook" }] });
}

describe("rotating a key by hand", () => {
  it("answers 202 at once, and the rotation goes on by itself", async () => {
    const ring = await furnish();
    const { status, body } = await rotate(ring, "billing", { reason: "a test" });
    expect(status).toBe(202);
    expect(body).not.toHaveProperty("secret");
    expect(body.rotation).toMatchObject({
      id: expect.stringMatching(/^rot_/),
      key: ring.key,
      trigger: "manual",
      reason: "a test",
      requestedBy: "root",
      fromVersion: 2,
    });
    await settle(ring);
    const read = await ring.call("GET", `/v1/rotations/${body.rotation.id}`);
    expect(read.body).toMatchObject({
      live: false,
      state: "succeeded",
      step: "done",
      toVersion: 3,
      problem: null,
    });
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({
      currentVersion: 3,
      rotation: null,
    });
  });

  it("with ?wait answers 200 once it is over: the new value is held, the old one in grace", async () => {
    const ring = await furnish();
    const old = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    const { status, body } = await rotate(ring, "billing", { grace: "10m" }, "?wait=10s");
    expect(status).toBe(200);
    expect(body.rotation).toMatchObject({
      live: false,
      state: "succeeded",
      deliveries: [{ state: "delivered" }],
    });
    const held = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    expect(await verdictOf(ring, held)).toMatchObject({ code: "valid", version: 3, graceEndsAt: null });
    expect(await verdictOf(ring, old)).toMatchObject({
      code: "valid",
      version: 2,
      graceEndsAt: expect.any(String),
    });
  });

  it("with ?wait answers 202 when it is still going on after that", async () => {
    const ring = await makeKeyring();
    await makeHooked(ring, 503);
    const { status, body } = await rotate(ring, "hooked", {}, "?wait=1s");
    expect(status).toBe(202);
    expect(body.rotation).toMatchObject({ live: true, step: "preflight", toVersion: null, endedAt: null });
  });

  it("joins the rotation that is live", async () => {
    const ring = await makeKeyring();
    await makeHooked(ring, 503);
    const answers = await Promise.all([1, 2, 3].map(() => rotate(ring, "hooked", {})));
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    expect(new Set(answers.map(({ body }) => body.rotation.id)).size).toBe(1);
    const { body } = await ring.call<{ items: unknown[] }>("GET", "/v1/rotations");
    expect(body.items).toHaveLength(1);
  });

  it("never ends a grace before the slowest destination shows the new value", async () => {
    const ring = await furnish();
    const old = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    await rotate(ring, "billing", { grace: "0" }, "?wait=10s");
    const { promotedAt, graceEndsAt } = await times(ring, "billing", 2);
    expect(graceEndsAt - promotedAt).toBe(60_000);
    vi.useFakeTimers({ toFake: ["Date"], now: graceEndsAt - 1 });
    expect((await verdictOf(ring, old)).code).toBe("valid");
    vi.setSystemTime(graceEndsAt);
    expect((await verdictOf(ring, old)).code).toBe("grace-ended");
  });

  /** When the next version was promoted and when this one's grace ends. */
  async function times(ring: TestKeyring, key: string, number: number) {
    const { body } = await ring.call<{ versions: Record<string, string>[] }>("GET", `/v1/keys/${key}`);
    const [version, next] = body.versions.slice(number - 1);
    return {
      promotedAt: Date.parse(next?.promotedAt ?? ""),
      graceEndsAt: Date.parse(version?.graceEndsAt ?? ""),
    };
  }
});

describe("the new value", () => {
  it("is shown to who asks for it, this once", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { prefix: "acme" });
    const { status, body } = await rotate(ring, "billing", { reveal: "inline" }, "?wait=10s");
    expect(status).toBe(200);
    expect(body.secret).toMatch(/^acme_[0-9A-Za-z]{74}$/);
    expect(body.secret).not.toBe(secret);
    expect(await verdictOf(ring, String(body.secret))).toMatchObject({ code: "valid", version: 2 });
    const read = await ring.call("GET", `/v1/rotations/${body.rotation.id}`);
    expect(JSON.stringify(read.body)).not.toContain(body.secret);
  });

  it("is shown without ?wait, too: the answer waits until it is made", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const { status, body } = await rotate(ring, "billing", { reveal: "inline" });
    expect(status).toBe(202);
    expect(await verdictOf(ring, String(body.secret))).toMatchObject({ code: "valid" });
  });

  it("is shown to everyone who joined and asked", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const answers = await Promise.all(
      [1, 2, 3].map(() => rotate(ring, "billing", { reveal: "inline" }, "?wait=10s")),
    );
    const byRotation = new Map(answers.map(({ body }) => [body.rotation.id, body.secret]));
    for (const { body } of answers) {
      expect(body.secret).toMatch(/./);
      expect(body.secret).toBe(byRotation.get(body.rotation.id));
    }
  });

  it("is not shown to who does not ask", async () => {
    const ring = await furnish();
    for (const body of [{}, { reveal: "none" }]) {
      expect((await rotate(ring, "billing", body, "?wait=10s")).body).not.toHaveProperty("secret");
    }
  });
});

describe("a rotation by hand is refused", () => {
  it("when nobody would receive the value, and nothing changes", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const before = await snapshot(ring);
    expectProblem(await rotate(ring, "billing", {}), 409, "no-receiver");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("during a cooldown, until the moment that the answer names", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing", { policy: { cooldown: "10m" } });
    const start = Date.now();
    await rotate(ring, "billing", { reveal: "inline" }, "?wait=10s");
    const before = await snapshot(ring);
    const { retryAt } = expectProblem(await rotate(ring, "billing", { reveal: "inline" }), 409, "cooldown");
    expect(await snapshot(ring)).toEqual(before);
    const until = Date.parse(String(retryAt));
    expect(until - start).toBeGreaterThanOrEqual(600_000);
    expect(until - start).toBeLessThan(660_000);
    vi.useFakeTimers({ toFake: ["Date"], now: until - 1 });
    expectProblem(await rotate(ring, "billing", { reveal: "inline" }), 409, "cooldown");
    vi.setSystemTime(until);
    expect((await rotate(ring, "billing", { reveal: "inline" }, "?wait=10s")).status).toBe(200);
  });

  it("for an access key within an hour of the last one, unless its policy says otherwise", async () => {
    const ring = await makeKeyring();
    const standard = await makeAccessKey(ring, ["keys:read"]);
    const eager = await makeAccessKey(ring, ["keys:read"], { policy: { cooldown: "0" } });
    for (const { name } of [standard, eager]) await rotate(ring, name, { reveal: "inline" }, "?wait=10s");
    const { retryAt } = expectProblem(
      await rotate(ring, standard.name, { reveal: "inline" }),
      409,
      "cooldown",
    );
    expect(Math.abs(Date.parse(String(retryAt)) - Date.now() - 3_600_000)).toBeLessThan(10_000);
    expect((await rotate(ring, eager.name, { reveal: "inline" })).status).toBe(202);
  });

  it("when the key is paused, revoked, expired or deleted, and nothing changes", async () => {
    const ring = await furnish();
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    await makeKey(ring, "paused");
    await ring.call("PATCH", "/v1/keys/paused", { body: { paused: true } });
    await makeKey(ring, "revoked");
    await ring.call("POST", "/v1/keys/revoked/revoke", { body: { reason: "a test" } });
    const { id: deleted } = await makeKey(ring, "deleted");
    await ring.call("DELETE", "/v1/keys/deleted");
    await makeKey(ring, "expired", { expiresAt });
    await settle(ring);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) });
    const before = await snapshot(ring);
    const refused = [
      ["paused", "key-paused"],
      ["revoked", "key-revoked"],
      [deleted, "key-deleting"],
      ["expired", "key-expired"],
    ] as const;
    for (const [key, code] of refused) {
      expectProblem(await rotate(ring, key, { reveal: "inline" }), 409, code, key);
    }
    expect(await snapshot(ring)).toEqual(before);
  });
});
