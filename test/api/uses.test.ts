/** When a version was last seen, rate limits and numbers of uses: counted in memory, written at most once a minute. */
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { VerifyAnswer } from "../../src/keyring/verdict.ts";
import type { KeyView } from "../../src/keyring/views.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { type Meter, meter } from "../support/meter.ts";
import { expectInvalid, makeAccessKey, makeKey, objectOf, settle } from "./fixtures.ts";

const MINUTE = 60_000;

afterEach(() => {
  vi.useRealTimers();
});

async function verify(ring: TestKeyring, key: string, scopes?: string[]): Promise<VerifyAnswer> {
  const answer = await ring.call<VerifyAnswer>("POST", "/v1/verify", {
    body: { key, ...(scopes && { scopes }) },
  });
  expect(answer.status).toBe(200);
  return answer.body;
}

async function read(ring: TestKeyring, name = "billing"): Promise<KeyView> {
  return (await ring.call<KeyView>("GET", `/v1/keys/${name}`)).body;
}

async function rotate(ring: TestKeyring): Promise<string> {
  const body = { grace: "1h", reveal: "inline" };
  const answer = await ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", { body });
  expect(answer.status).toBe(200);
  return answer.body.secret;
}

/** Stops the clock at the beginning of a minute that is far ahead, and the timers with it. */
function stopTime(): number {
  const now = Math.ceil(Date.now() / MINUTE) * MINUTE + MINUTE;
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"], now });
  return now;
}

/** Lets a minute go by in the object. */
async function passMinute(ring: TestKeyring): Promise<void> {
  await runInDurableObject(objectOf(ring), () => vi.advanceTimersByTime(MINUTE));
}

async function startMeter(ring: TestKeyring): Promise<() => Record<string, number>> {
  let found: Meter | undefined;
  await runInDurableObject(objectOf(ring), (_, state) => {
    found = meter(state);
  });
  return () => {
    // The use of root is an event, whatever it was used for.
    const { event: _, ...rows } = found?.writtenByTable() ?? {};
    return rows;
  };
}

/** The object dies with all that it had not written. */
async function crash(ring: TestKeyring): Promise<void> {
  await settle(ring);
  await abortAllDurableObjects();
}

describe("when a version was last seen", () => {
  it("is written once a minute, whatever comes, and no verification writes anything itself", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { scopes: ["read"] });
    expect((await read(ring)).versions[0]?.lastSeenAt).toBeNull();
    const now = stopTime();
    const written = await startMeter(ring);
    for (let n = 0; n < 20; n++) await verify(ring, secret);
    vi.setSystemTime(now + 7);
    await verify(ring, secret, ["admin"]);
    expect(written()).toEqual({});
    await passMinute(ring);
    expect(written()).toEqual({ version: 1 });
    expect((await read(ring)).versions[0]?.lastSeenAt).toBe(new Date(now + 7).toISOString());
    await passMinute(ring);
    expect(written()).toEqual({ version: 1 });
    await verify(ring, secret);
    await passMinute(ring);
    expect(written()).toEqual({ version: 2 });
  });

  it("tells which version is still in use after a rotation", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    const fresh = await rotate(ring);
    const now = stopTime();
    await verify(ring, secret);
    await passMinute(ring);
    const seen = async () => (await read(ring)).versions.map(({ lastSeenAt }) => lastSeenAt);
    expect(await seen()).toEqual([new Date(now).toISOString(), null]);
    vi.setSystemTime(now + 2 * MINUTE);
    await verify(ring, fresh);
    await passMinute(ring);
    expect(await seen()).toEqual([new Date(now).toISOString(), new Date(now + 2 * MINUTE).toISOString()]);
  });

  it("does not move for what is not valid, nor for who does not have the secret", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing");
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
    await settle(ring);
    stopTime();
    expect((await verify(ring, secret)).code).toBe("revoked");
    await verify(ring, `${secret.slice(0, -1)}x`);
    await passMinute(ring);
    expect((await read(ring)).versions[0]?.lastSeenAt).toBeNull();
  });

  it("moves for an access key that calls the API", async () => {
    const ring = await makeKeyring();
    const { name, call } = await makeAccessKey(ring, ["keys:read"]);
    const now = stopTime();
    expect((await call("GET", "/v1/keys")).status).toBe(200);
    await passMinute(ring);
    expect((await read(ring, name)).versions[0]?.lastSeenAt).toBe(new Date(now).toISOString());
  });
});

describe("a rate limit", () => {
  const rateLimit = { limit: 3, per: "1m" };

  it("lets so many through in each window, says what is left, and when to come again", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { rateLimit, scopes: ["read"] });
    const now = Math.ceil(Date.now() / MINUTE) * MINUTE + MINUTE;
    vi.useFakeTimers({ toFake: ["Date"], now: now + 20_000 });
    for (const remaining of [2, 1, 0]) {
      expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining, retryAfter: null });
    }
    for (let n = 0; n < 2; n++) {
      expect(await verify(ring, secret)).toMatchObject({
        code: "rate-limited",
        version: 1,
        remaining: 0,
        retryAfter: "40s",
      });
    }
    vi.setSystemTime(now + MINUTE - 1);
    expect(await verify(ring, secret)).toMatchObject({ code: "rate-limited", retryAfter: "1s" });
    vi.setSystemTime(now + MINUTE);
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: 2 });
  });

  it("counts nothing but valid answers", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { rateLimit: { limit: 1, per: "1d" } });
    for (let n = 0; n < 3; n++) {
      expect(await verify(ring, secret, ["admin"])).toMatchObject({
        code: "insufficient-scope",
        remaining: null,
      });
    }
    expect((await verify(ring, secret)).code).toBe("valid");
    expect((await verify(ring, secret)).code).toBe("rate-limited");
  });

  it("is neither doubled nor reset by a rotation", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { rateLimit: { limit: 4, per: "1d" } });
    const code = async (value: string) => (await verify(ring, value)).code;
    expect(await code(secret)).toBe("valid");
    expect(await code(secret)).toBe("valid");
    const fresh = await rotate(ring);
    expect([await code(fresh), await code(secret)]).toEqual(["valid", "valid"]);
    expect([await code(fresh), await code(secret)]).toEqual(["rate-limited", "rate-limited"]);
  });

  it("of a long window outlives the object, but for the last minute", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { rateLimit: { limit: 3, per: "1d" } });
    stopTime();
    await verify(ring, secret);
    await passMinute(ring);
    await verify(ring, secret);
    vi.useRealTimers();
    await crash(ring);
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: 1 });
  });
});

describe("a number of uses", () => {
  it("ends the key's use when it is reached, over all its versions, also after a crash", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { usage: { limit: 3 } });
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: 2 });
    const fresh = await rotate(ring);
    expect(await verify(ring, fresh)).toMatchObject({ code: "valid", remaining: 1 });
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: 0 });
    await crash(ring);
    for (const value of [secret, fresh]) {
      expect(await verify(ring, value)).toMatchObject({
        code: "rate-limited",
        remaining: 0,
        retryAfter: null,
      });
    }
    expect((await read(ring)).usage).toEqual({ limit: 3, used: 3 });
  });

  it("forgets at most a minute in a crash", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { usage: { limit: 10 } });
    stopTime();
    await verify(ring, secret);
    await verify(ring, secret);
    await passMinute(ring);
    await verify(ring, secret);
    vi.useRealTimers();
    await crash(ring);
    expect(await verify(ring, secret)).toMatchObject({ remaining: 7 });
  });

  it("counts from 0 when it is set anew, goes when it is null, and stays when something else changes", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { usage: { limit: 2 } });
    const patch = async (body: object) => {
      expect((await ring.call("PATCH", "/v1/keys/billing", { body })).status).toBe(200);
    };
    await verify(ring, secret);
    await patch({ rateLimit: { limit: 100, per: "1m" }, labels: { a: "b" } });
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: 0 });
    expect((await verify(ring, secret)).code).toBe("rate-limited");
    await patch({ usage: { limit: 2 } });
    expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: 1 });
    await patch({ usage: null, rateLimit: null });
    for (let n = 0; n < 3; n++) {
      expect(await verify(ring, secret)).toMatchObject({ code: "valid", remaining: null });
    }
    expect(await read(ring)).toMatchObject({ usage: null, rateLimit: null });
  });

  it("is not given back by a change that is refused", async () => {
    const ring = await makeKeyring();
    const { secret } = await makeKey(ring, "billing", { usage: { limit: 2 } });
    await verify(ring, secret);
    const refused = await ring.call("PATCH", "/v1/keys/billing", {
      body: { usage: { limit: 9 }, policy: { maxAge: "30d" } },
    });
    expectInvalid(refused, "policy");
    expect(await verify(ring, secret)).toMatchObject({ remaining: 0 });
  });
});

describe("limits", () => {
  it.each([
    [{ usage: { limit: 0 } }, "usage.limit"],
    [{ usage: { limit: 1.5 } }, "usage.limit"],
    [{ rateLimit: { limit: 0, per: "1m" } }, "rateLimit.limit"],
    [{ rateLimit: { limit: 1, per: "0" } }, "rateLimit.per"],
    [{ rateLimit: { limit: 1, per: "soon" } }, "rateLimit.per"],
    [{ rateLimit: { limit: 1, per: "32d" } }, "rateLimit.per"],
    [{ rateLimit: { limit: 1 } }, "rateLimit.per"],
  ])("%j are refused, naming %s", async (more, path) => {
    const ring = await makeKeyring();
    expectInvalid(
      await ring.call("POST", "/v1/keys", { body: { name: "k", provider: "issuer", ...more } }),
      path,
    );
  });

  it("are not for access keys, whose calls of the API nobody counts", async () => {
    const ring = await makeKeyring();
    const body = { name: "k", provider: "access", scopes: ["keys:read"], usage: { limit: 3 } };
    expectInvalid(await ring.call("POST", "/v1/keys", { body }), "usage");
  });

  it("are shown at the key", async () => {
    const ring = await makeKeyring();
    const rateLimit = { limit: 100, per: "1m" };
    await makeKey(ring, "billing", { rateLimit, usage: { limit: 3 } });
    expect(await read(ring)).toMatchObject({ edge: false, rateLimit, usage: { limit: 3, used: 0 } });
  });
});
