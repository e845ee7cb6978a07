/** Mistakes that systems like this one have made, each as a test. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { parseToken } from "../../src/issuer/token.ts";
import type { VerifyAnswer } from "../../src/keyring/verdict.ts";
import type { KeyView } from "../../src/keyring/views.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { expectProblem, makeKey, settle } from "./fixtures.ts";

afterEach(() => {
  vi.useRealTimers();
});

async function verify(ring: TestKeyring, key: string): Promise<VerifyAnswer> {
  return (await ring.call<VerifyAnswer>("POST", "/v1/verify", { body: { key } })).body;
}

const isoIn = (ms: number) => new Date(Date.now() + ms).toISOString();

function rotate(ring: TestKeyring, grace = "1h") {
  const body = { grace, reveal: "inline" };
  return ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", { body });
}

describe("an old version in a grace that is longer than its key may live", () => {
  it("dies with the key, as every later version does", async () => {
    const ring = await makeKeyring();
    const expiresAt = isoIn(600_000);
    const { secret: first } = await makeKey(ring, "billing", { expiresAt });
    const { secret: second } = (await rotate(ring, "30d")).body;
    const { secret: third } = (await rotate(ring, "30d")).body;
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) - 1 });
    for (const value of [first, second, third]) expect((await verify(ring, value)).code).toBe("valid");
    vi.setSystemTime(Date.parse(expiresAt));
    for (const value of [first, second, third]) expect((await verify(ring, value)).code).toBe("expired");
  });
});

describe("a dead key is not brought back", () => {
  it("by rotating it after it was revoked", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
    await settle(ring);
    expectProblem(await rotate(ring), 409, "key-revoked");
    await settle(ring);
    expect((await verify(ring, secret)).code).toBe("revoked");
    const key = (await ring.call<KeyView>("GET", "/v1/keys/billing")).body;
    expect(key).toMatchObject({ state: "revoked", currentVersion: null, versions: [{ stage: "revoked" }] });
  });

  it("by rotating it after it expired", async () => {
    const ring = await makeKeyring();
    const expiresAt = isoIn(60_000);
    const { secret } = await makeKey(ring, "billing", { expiresAt });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) });
    expectProblem(await rotate(ring), 409, "key-expired");
    expect((await verify(ring, secret)).code).toBe("expired");
  });

  it("by rotating it while it is being deleted", async () => {
    const ring = await makeKeyring();
    const { id, secret } = await makeKey(ring, "billing");
    await ring.call("DELETE", "/v1/keys/billing");
    const answer = await ring.call("POST", `/v1/keys/${id}/rotate`, { body: { reveal: "inline" } });
    expectProblem(answer, 409, "key-deleting");
    expect((await verify(ring, secret)).code).toBe("revoked");
  });

  it("by handing in a value, nor by changing its options", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
    await settle(ring);
    const body = { fields: { secret: "made-elsewhere-by-hand" } };
    expectProblem(await ring.call("PUT", "/v1/keys/billing/value", { body }), 409, "not-awaited");
    const options = { edge: false, usage: { limit: 5 }, paused: false };
    await ring.call("PATCH", "/v1/keys/billing", { body: options });
    expect((await verify(ring, secret)).code).toBe("revoked");
    expect((await verify(ring, body.fields.secret)).code).toBe("unknown");
  });
});

describe("a prefix with underscores", () => {
  it.each(["sk_live_x", "a_b_c_d", "sk_live_0", "A1_2_3"])(
    "%s is whole in every version, which verifies",
    async (prefix) => {
      const ring = await makeKeyring();
      const { secret } = await makeKey(ring, "billing", { prefix });
      const { secret: fresh } = (await rotate(ring)).body;
      for (const value of [secret, fresh]) {
        expect(parseToken(value)).toMatchObject({ kind: "token", prefix });
        expect(value.slice(0, prefix.length + 1)).toBe(`${prefix}_`);
        expect((await verify(ring, value)).code).toBe("valid");
      }
    },
  );
});

describe("a rotation", () => {
  it("keeps all that the key is: scopes, role, subject, labels, expiry, limits, prefix", async () => {
    const ring = await makeKeyring();
    const given = {
      scopes: ["read", "write"],
      role: "agent",
      subject: "agent-7",
      labels: { team: "payments" },
      expiresAt: "2099-01-01T00:00:00.000Z",
      rateLimit: { limit: 1_000, per: "1m" },
      prefix: "sk_live",
      policy: { grace: "2h" },
    };
    await makeKey(ring, "billing", { ...given, usage: { limit: 1_000 } });
    const { secret } = (await rotate(ring)).body;
    const key = (await ring.call<KeyView>("GET", "/v1/keys/billing")).body;
    expect(key).toMatchObject({ ...given, usage: { limit: 1_000 }, currentVersion: 2 });
    const { scopes, role, subject, expiresAt } = given;
    expect(await verify(ring, secret)).toMatchObject({
      code: "valid",
      version: 2,
      scopes,
      role,
      subject,
      expiresAt,
    });
  });
});
