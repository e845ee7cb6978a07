import { crc32 } from "node:zlib";
import { afterEach, describe, expect, it, vi } from "vitest";
import { encodeBase62 } from "../../src/crypto/base62.ts";
import { secureRandom } from "../../src/crypto/random.ts";
import { formatToken, newPublicId, parseToken } from "../../src/issuer/token.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { makeAccessKey, makeKey, settle } from "./fixtures.ts";

afterEach(() => {
  vi.useRealTimers();
});

interface Verdict {
  code: string;
  keyId: string | null;
  version: number | null;
  scopes: string[] | null;
  missingScopes: string[] | null;
  role: string | null;
  subject: string | null;
  graceEndsAt: string | null;
  expiresAt: string | null;
  cooldownUntil: string | null;
  remaining: number | null;
  retryAfter: string | null;
  mode: string;
  checkedAt: string;
  recordedAt: string | null;
  staleness: string | null;
}

async function verify(ring: TestKeyring, key: string, scopes?: string[]): Promise<Verdict> {
  const answer = await ring.call<Verdict>("POST", "/v1/verify", { body: { key, ...(scopes && { scopes }) } });
  expect(answer.status).toBe(200);
  return answer.body;
}

const nobody = (code: string): Verdict => ({
  code,
  keyId: null,
  version: null,
  scopes: null,
  missingScopes: null,
  role: null,
  subject: null,
  graceEndsAt: null,
  expiresAt: null,
  cooldownUntil: null,
  remaining: null,
  retryAfter: null,
  mode: "immediate",
  checkedAt: expect.any(String),
  recordedAt: null,
  staleness: null,
});

function withOtherSecret(token: string): string {
  const parsed = parseToken(token);
  if (parsed.kind !== "token") throw new Error("not a token");
  return formatToken(parsed.prefix, parsed.code, parsed.publicId, secureRandom);
}

const isoIn = (ms: number) => new Date(Date.now() + ms).toISOString();

describe("verifying a key", () => {
  it("says whose it is, which version, and what it may do", async () => {
    const ring = await makeKeyring();
    const { id, secret } = await makeKey(ring, "billing", {
      scopes: ["read", "write"],
      subject: "customer-7",
      role: "agent",
      expiresAt: "2099-01-01T00:00:00Z",
    });
    const before = Date.now();
    const verdict = await verify(ring, secret);
    expect(verdict).toEqual({
      ...nobody("valid"),
      keyId: id,
      version: 1,
      scopes: ["read", "write"],
      subject: "customer-7",
      role: "agent",
      expiresAt: "2099-01-01T00:00:00.000Z",
    });
    expect(Date.parse(verdict.checkedAt)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(verdict.checkedAt)).toBeLessThanOrEqual(Date.now());
  });

  it.each([
    [["read"], "valid", null],
    [["read", "write"], "valid", null],
    [[], "valid", null],
    [["admin"], "insufficient-scope", ["admin"]],
    [["read", "admin"], "insufficient-scope", ["admin"]],
    [["READ"], "insufficient-scope", ["READ"]],
    [["rea", "x"], "insufficient-scope", ["rea", "x"]],
  ])("for the scopes %j says %s and what is missing: %j", async (scopes, code, missingScopes) => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { scopes: ["read", "write"] });
    expect(await verify(ring, secret, scopes)).toMatchObject({ code, missingScopes });
  });

  it("knows nothing of an id it never gave out", async () => {
    const ring = await makeKeyring();
    const made = formatToken("rekey", ring.code, newPublicId(secureRandom), secureRandom);
    expect(await verify(ring, made)).toEqual(nobody("unknown"));
  });

  it("refuses a damaged one, whichever character was changed", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    for (let index = 0; index < secret.length; index++) {
      const other = secret[index] === "x" ? "y" : "x";
      const { code } = await verify(ring, secret.slice(0, index) + other + secret.slice(index + 1));
      expect(["malformed", "unknown"], `character ${index}`).toContain(code);
    }
  });

  it("calls what has our form and a wrong checksum malformed, and anything else unknown", async () => {
    const ring = await makeKeyring();
    expect(await verify(ring, `sk_live_${"a".repeat(74)}`)).toEqual(nobody("malformed"));
    for (const text of [
      "x",
      `sk_live_${"a".repeat(73)}`,
      "a".repeat(74),
      "Bearer x",
      "x".repeat(16_384),
      "\u0000",
    ]) {
      expect(await verify(ring, text)).toEqual(nobody("unknown"));
    }
  });

  it("binds the prefix: the same body under another one is not that key", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { prefix: "sk_live" });
    const parsed = parseToken(secret);
    if (parsed.kind !== "token") throw new Error("not a token");
    // Even whoever computes the checksum anew presents other bytes than were issued.
    const unsigned = `sk_test${secret.slice("sk_live".length, -6)}`;
    const checksum = encodeBase62(Buffer.from(crc32(unsigned).toString(16).padStart(8, "0"), "hex"), 6);
    expect(parseToken(unsigned + checksum)).toMatchObject({ kind: "token", publicId: parsed.publicId });
    expect(await verify(ring, unsigned + checksum)).toEqual(nobody("unknown"));
  });

  it("tells that it was revoked to who has the secret, and nothing to who only has its id", async () => {
    const ring = await makeKeyring();
    const { id, secret } = await makeKey(ring, "billing");
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
    expect(await verify(ring, secret)).toMatchObject({ code: "revoked", keyId: id, version: 1 });
    expect(await verify(ring, withOtherSecret(secret))).toEqual(nobody("unknown"));
    await settle(ring);
    expect(await verify(ring, secret)).toMatchObject({ code: "revoked", keyId: id });
  });

  it("tells that it expired to who has the secret, from that moment on, and nothing to others", async () => {
    const ring = await makeKeyring();
    const expiresAt = isoIn(60_000);
    const { secret } = await makeKey(ring, "billing", { expiresAt });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) - 1 });
    expect((await verify(ring, secret)).code).toBe("valid");
    vi.setSystemTime(Date.parse(expiresAt));
    expect((await verify(ring, secret, ["read"])).code).toBe("expired");
    expect(await verify(ring, withOtherSecret(secret))).toEqual(nobody("unknown"));
  });

  it("takes the old and the new value during the grace, and says until when", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    const body = { grace: "1h", reveal: "inline" };
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", { body });
    const old = await verify(ring, secret);
    expect(old).toMatchObject({ code: "valid", version: 1, graceEndsAt: expect.any(String) });
    expect(await verify(ring, rotated.body.secret)).toMatchObject({
      code: "valid",
      version: 2,
      graceEndsAt: null,
    });
    const endsAt = Date.parse(String(old.graceEndsAt));
    vi.useFakeTimers({ toFake: ["Date"], now: endsAt - 1 });
    expect((await verify(ring, secret)).code).toBe("valid");
    vi.setSystemTime(endsAt);
    expect(await verify(ring, secret)).toMatchObject({ code: "grace-ended", version: 1 });
    expect(await verify(ring, withOtherSecret(secret))).toEqual(nobody("unknown"));
    expect((await verify(ring, rotated.body.secret)).code).toBe("valid");
  });

  it("lets no grace outlast the key's own expiry", async () => {
    const ring = await makeKeyring();
    const expiresAt = isoIn(600_000);
    const { secret } = await makeKey(ring, "billing", { expiresAt });
    const body = { grace: "1h", reveal: "inline" };
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", { body });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) - 1 });
    expect((await verify(ring, secret)).code).toBe("valid");
    vi.setSystemTime(Date.parse(expiresAt));
    expect((await verify(ring, secret)).code).toBe("expired");
    expect((await verify(ring, rotated.body.secret)).code).toBe("expired");
  });

  it("says until when a key that was rotated by hand is in its cooldown", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { policy: { cooldown: "10m" } });
    const before = Date.now();
    await ring.call("POST", "/v1/keys/billing/rotate?wait=10s", { body: { reveal: "inline" } });
    const until = Date.parse(String((await verify(ring, secret)).cooldownUntil));
    expect(until).toBeGreaterThanOrEqual(before + 600_000);
    expect(until).toBeLessThanOrEqual(Date.now() + 600_000);
  });

  it("takes a deleted key for revoked", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    await ring.call("DELETE", "/v1/keys/billing");
    expect((await verify(ring, secret)).code).toBe("revoked");
    await settle(ring);
    expect((await verify(ring, secret)).code).toBe("revoked");
  });

  it("still takes a paused key", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    await ring.call("PATCH", "/v1/keys/billing", { body: { paused: true } });
    expect((await verify(ring, secret)).code).toBe("valid");
  });

  it("takes an access key, too", async () => {
    const ring = await makeKeyring();
    const { id, secret } = await makeAccessKey(ring, ["keys:read"]);
    expect(await verify(ring, secret, ["keys:read"])).toMatchObject({ code: "valid", keyId: id });
  });
});

describe("verifying an adopted value", () => {
  it("finds it by its whole text and by nothing else", async () => {
    const ring = await makeKeyring();
    const secret = "an-old-value-of-ours";
    const { id } = await makeKey(ring, "legacy", { fields: { secret }, scopes: ["read"] });
    expect(await verify(ring, secret)).toMatchObject({
      code: "valid",
      keyId: id,
      version: 1,
      scopes: ["read"],
    });
    for (const near of [secret.slice(1), `${secret} `, secret.toUpperCase(), ""].filter(Boolean)) {
      expect(await verify(ring, near)).toEqual(nobody("unknown"));
    }
  });

  it("follows its rotation into our own format, and its revocation", async () => {
    const ring = await makeKeyring();
    const secret = "an-old-value-of-ours";
    await makeKey(ring, "legacy", { fields: { secret }, prefix: "acme" });
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/legacy/rotate?wait=10s", {
      body: { reveal: "inline" },
    });
    expect(rotated.body.secret).toMatch(/^acme_[0-9A-Za-z]{74}$/);
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", version: 1 });
    await ring.call("POST", "/v1/keys/legacy/revoke", { body: { reason: "leaked", version: 1 } });
    expect((await verify(ring, secret)).code).toBe("revoked");
    expect((await verify(ring, rotated.body.secret)).code).toBe("valid");
  });
});
