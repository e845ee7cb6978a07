/** Verification at the edge: answered from records in KV, and by the keyring wherever they do not say all that is needed. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { parseRecord, recordNameOf } from "../../src/issuer/edge-record.ts";
import { formatToken, newPublicId, parseToken } from "../../src/issuer/token.ts";
import type { Scope } from "../../src/keyring/scopes.ts";
import type { VerifyAnswer } from "../../src/keyring/verdict.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import {
  callAs,
  expectInvalid,
  expectProblem,
  makeAccessKey,
  makeKey,
  objectOf,
  settle,
} from "./fixtures.ts";

afterEach(() => {
  vi.useRealTimers();
});

interface Stand {
  ring: TestKeyring;
  caller: Awaited<ReturnType<typeof makeAccessKey>>;
  /** Asks at the edge. */
  verify(key: string, scopes?: string[]): Promise<VerifyAnswer>;
}

/** A keyring and an access key that may be answered at the edge. */
async function open(
  scopes: readonly Scope[] = ["keys:verify"],
  more: object = { edge: true },
): Promise<Stand> {
  const ring = await makeKeyring();
  const caller = await makeAccessKey(ring, scopes, more);
  await settle(ring);
  return {
    ring,
    caller,
    async verify(key, wanted) {
      const body = { key, mode: "edge", ...(wanted && { scopes: wanted }) };
      const answer = await caller.call<VerifyAnswer>("POST", "/v1/verify", { body });
      expect(answer.status).toBe(200);
      return answer.body;
    },
  };
}

async function makeEdgeKey(ring: TestKeyring, more: object = {}) {
  const made = await makeKey(ring, "billing", { edge: true, ...more });
  await settle(ring);
  return made;
}

function publicIdOf(secret: string): string {
  const parsed = parseToken(secret);
  if (parsed.kind !== "token") throw new Error("not a token");
  return parsed.publicId;
}

function nameOf({ code }: TestKeyring, secret: string): string {
  return recordNameOf(code, publicIdOf(secret));
}

function withOtherSecret(secret: string): string {
  const parsed = parseToken(secret);
  if (parsed.kind !== "token") throw new Error("not a token");
  return formatToken(parsed.prefix, parsed.code, parsed.publicId, secureRandom);
}

/** Makes the keyring say something else than the records, so that it shows who answered. */
async function forgetInKeyring(ring: TestKeyring, secret: string): Promise<void> {
  await runInDurableObject(objectOf(ring), (_, { storage }) => {
    storage.sql.exec("UPDATE version SET digest = zeroblob(32) WHERE id = ?", publicIdOf(secret));
  });
}

async function rotate(ring: TestKeyring, grace: string, key = "billing"): Promise<string> {
  const answer = await ring.call<{ secret: string }>("POST", `/v1/keys/${key}/rotate?wait=10s`, {
    body: { grace, reveal: "inline" },
  });
  expect(answer.status).toBe(200);
  await settle(ring);
  return answer.body.secret;
}

describe("a key with edge: true", () => {
  it("is answered without the keyring, with all that the keyring would say and how far that may lag", async () => {
    const { ring, verify } = await open();
    const { id, secret } = await makeEdgeKey(ring, {
      scopes: ["read"],
      subject: "customer-7",
      role: "operator",
      expiresAt: "2099-01-01T00:00:00Z",
    });
    await forgetInKeyring(ring, secret);
    const asked = await ring.call<VerifyAnswer>("POST", "/v1/verify", { body: { key: secret } });
    expect(asked.body).toMatchObject({ code: "unknown", mode: "immediate", staleness: null });
    expect(await verify(secret, ["read"])).toEqual({
      code: "valid",
      keyId: id,
      version: 1,
      scopes: ["read"],
      missingScopes: null,
      role: "operator",
      subject: "customer-7",
      graceEndsAt: null,
      expiresAt: "2099-01-01T00:00:00.000Z",
      cooldownUntil: null,
      remaining: null,
      retryAfter: null,
      mode: "edge",
      checkedAt: expect.any(String),
      recordedAt: expect.any(String),
      staleness: expect.stringMatching(/no upper bound/),
    });
    expect(await verify(secret, ["read", "admin"])).toMatchObject({
      code: "insufficient-scope",
      missingScopes: ["admin"],
      mode: "edge",
    });
  });

  it("has a record whose name and text hold neither its secret nor its public id", async () => {
    const { ring } = await open();
    const { secret } = await makeEdgeKey(ring);
    const name = nameOf(ring, secret);
    const text = (await env.REKEY_KV.get(name)) ?? "";
    expect(parseRecord(text)).toMatchObject({ stage: "current", version: 1 });
    const publicId = publicIdOf(secret);
    const body = secret.slice(secret.indexOf(publicId) + publicId.length, -6);
    for (const hidden of [publicId, body, secret.slice(-20)]) {
      expect(name).not.toContain(hidden);
      expect(text).not.toContain(hidden);
    }
  });

  it("keeps to the deadline of a planned grace although nobody writes a record then", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring);
    const fresh = await rotate(ring, "1h");
    const put = vi.spyOn(env.REKEY_KV, "put");
    const old = await verify(secret);
    expect(old).toMatchObject({ code: "valid", version: 1, mode: "edge" });
    const endsAt = Date.parse(String(old.graceEndsAt));
    vi.useFakeTimers({ toFake: ["Date"], now: endsAt - 1 });
    expect((await verify(secret)).code).toBe("valid");
    vi.setSystemTime(endsAt);
    expect(await verify(secret)).toMatchObject({ code: "grace-ended", mode: "edge" });
    expect(await verify(fresh)).toMatchObject({ code: "valid", version: 2, mode: "edge" });
    expect(put).not.toHaveBeenCalled();
    put.mockRestore();
  });

  it("expires there at its time, an old version with it", async () => {
    const { ring, verify } = await open();
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    const { secret } = await makeEdgeKey(ring, { expiresAt });
    const fresh = await rotate(ring, "1h");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) });
    for (const value of [secret, fresh]) {
      expect(await verify(value)).toMatchObject({ code: "expired", mode: "edge" });
    }
  });

  it("is revoked there once its record was written, and says so for a week to who has the secret", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring);
    const put = vi.spyOn(env.REKEY_KV, "put");
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
    await settle(ring);
    expect(put.mock.calls.map(([name, , options]) => [name, options])).toEqual([
      [nameOf(ring, secret), { expirationTtl: 7 * 86_400 }],
    ]);
    put.mockRestore();
    await forgetInKeyring(ring, secret);
    expect(await verify(secret)).toMatchObject({ code: "revoked", mode: "edge" });
    expect(await verify(withOtherSecret(secret))).toMatchObject({ code: "unknown", keyId: null });
  });

  it("is revoked there when it is deleted", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring);
    await ring.call("DELETE", "/v1/keys/billing");
    await settle(ring);
    expect(await verify(secret)).toMatchObject({ code: "revoked", mode: "edge" });
  });

  it("loses its records when the option is taken away, and gets them for all its versions when it is given", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring, { edge: false });
    expect((await verify(secret)).mode).toBe("immediate");
    const fresh = await rotate(ring, "1h");
    await ring.call("PATCH", "/v1/keys/billing", { body: { edge: true } });
    await settle(ring);
    expect(await verify(secret)).toMatchObject({ code: "valid", mode: "edge", version: 1 });
    expect(await verify(fresh)).toMatchObject({ code: "valid", mode: "edge", version: 2 });
    await ring.call("PATCH", "/v1/keys/billing", { body: { edge: false } });
    await settle(ring);
    for (const value of [secret, fresh]) {
      expect(await env.REKEY_KV.get(nameOf(ring, value))).toBeNull();
      expect(await verify(value)).toMatchObject({ code: "valid", mode: "immediate" });
    }
  });

  it("shows there, too, that it is in its cooldown", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring, { policy: { cooldown: "10m" } });
    const fresh = await rotate(ring, "1h");
    for (const value of [secret, fresh]) {
      expect(await verify(value)).toMatchObject({ mode: "edge", cooldownUntil: expect.any(String) });
    }
  });
});

describe("the edge leaves to the keyring", () => {
  it("a key that has no record", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring);
    await env.REKEY_KV.delete(nameOf(ring, secret));
    expect(await verify(secret)).toMatchObject({ code: "valid", mode: "immediate", staleness: null });
    const unknown = formatToken("rekey", ring.code, newPublicId(secureRandom), secureRandom);
    expect(await verify(unknown)).toMatchObject({ code: "unknown", mode: "immediate" });
  });

  it("a record that it does not understand, and a KV that does not answer", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring);
    await env.REKEY_KV.put(nameOf(ring, secret), '{"from":"a later version"}');
    expect(await verify(secret)).toMatchObject({ code: "valid", mode: "immediate" });
    await env.REKEY_KV.put(nameOf(ring, secret), "not JSON");
    expect(await verify(secret)).toMatchObject({ code: "valid", mode: "immediate" });
    const get = vi.spyOn(env.REKEY_KV, "get").mockRejectedValue(new Error("KV GET failed: 503"));
    expect(await verify(secret)).toMatchObject({ code: "valid", mode: "immediate" });
    get.mockRestore();
  });

  it("a wrong secret for an id that has a record, so that neither answer nor time tells of the id", async () => {
    const { ring, verify } = await open();
    const { secret } = await makeEdgeKey(ring);
    expect(await verify(withOtherSecret(secret))).toMatchObject({
      code: "unknown",
      keyId: null,
      mode: "immediate",
    });
  });

  it("an adopted value, a key of another keyring, and what is malformed", async () => {
    const { ring, verify } = await open();
    const fields = { secret: "an-old-value-of-ours" };
    await makeKey(ring, "legacy", { fields, edge: true });
    await settle(ring);
    expect(await verify(fields.secret)).toMatchObject({ code: "valid", mode: "immediate" });
    const other = await makeKeyring();
    const { secret } = await makeEdgeKey(other);
    expect(await verify(secret)).toMatchObject({ code: "unknown", keyId: null });
    expect((await verify(`rekey_${"a".repeat(74)}`)).code).toBe("malformed");
  });

  it("a caller without a record, and root", async () => {
    const { ring, verify } = await open(["keys:verify"], {});
    const { secret } = await makeEdgeKey(ring);
    expect(await verify(secret)).toMatchObject({ code: "valid", mode: "immediate" });
    const asked = await ring.call<VerifyAnswer>("POST", "/v1/verify", {
      body: { key: secret, mode: "edge" },
    });
    expect(asked.body).toMatchObject({ code: "valid", mode: "immediate" });
  });

  it("a caller who may not verify, and one who is revoked: they are refused", async () => {
    const { ring, caller } = await open(["keys:read", "keys:write"]);
    const { secret } = await makeEdgeKey(ring);
    const body = { key: secret, mode: "edge" };
    const refused = await caller.call("POST", "/v1/verify", { body });
    expect(expectProblem(refused, 403, "scope-missing").scope).toBe("keys:verify");
    const dead = await open();
    await dead.ring.call("POST", `/v1/keys/${dead.caller.name}/revoke`, { body: { reason: "a test" } });
    await settle(dead.ring);
    expectProblem(await dead.caller.call("POST", "/v1/verify", { body }), 401, "credential-revoked");
  });

  it("a customer's key that claims to be a caller: it opens no API, whatever its scopes say", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeEdgeKey(ring, { scopes: ["keys:verify"] });
    const answer = await callAs(secret)("POST", "/v1/verify", { body: { key: secret, mode: "edge" } });
    expectProblem(answer, 401, "credential-unknown");
  });
});

describe("the option", () => {
  it("does not go with what has to be counted, and says which field is wrong", async () => {
    const { ring } = await open();
    const make = (more: object) =>
      ring.call("POST", "/v1/keys", { body: { name: "k", provider: "issuer", ...more } });
    expectInvalid(await make({ edge: true, usage: { limit: 3 } }), "usage");
    expectInvalid(await make({ edge: true, rateLimit: { limit: 3, per: "1m" } }), "rateLimit");
    await makeEdgeKey(ring);
    const patch = (body: object) => ring.call("PATCH", "/v1/keys/billing", { body });
    expectInvalid(await patch({ usage: { limit: 3 } }), "usage");
    expect((await patch({ usage: { limit: 3 }, edge: false })).status).toBe(200);
    expectInvalid(await patch({ edge: true }), "usage");
  });
});
