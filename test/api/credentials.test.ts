import { afterEach, describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import type { FailureCode } from "../../src/errors/catalogue.ts";
import { formatToken, newCode, newPublicId, parseToken } from "../../src/issuer/token.ts";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { request } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import {
  expectProblem,
  type Furnished,
  furnish,
  makeAccessKey,
  makeKey,
  settle,
  snapshot,
} from "./fixtures.ts";
import { fill, ROUTES, titleOf } from "./routes.ts";

afterEach(() => {
  vi.useRealTimers();
});

interface BadCredential {
  is: string;
  code: FailureCode;
  /** What the routes of keyrings say, which look no key up. */
  atKeyrings: FailureCode;
  header(ring: Furnished): Promise<string | undefined>;
}

const bearer = (token: string) => `Bearer ${token}`;

/** Another secret under the public id of a real one, with a correct checksum. */
function forge(token: string): string {
  const parsed = parseToken(token);
  if (parsed.kind !== "token") throw new Error("not a token");
  return formatToken(parsed.prefix, parsed.code, parsed.publicId, secureRandom);
}

function flipLast(token: string): string {
  return token.slice(0, -1) + (token.endsWith("A") ? "B" : "A");
}

const BAD: BadCredential[] = [
  {
    is: "no credential at all",
    code: "credential-missing",
    atKeyrings: "credential-missing",
    header: async () => undefined,
  },
  ...["Bearer", "Bearer ", "Basic cm9vdDpyb290", "Token abc", `Bearer ${"x".repeat(513)}`, "Bearer a b"].map(
    (header): BadCredential => ({
      is: `the header "${header.slice(0, 20)}"`,
      code: "credential-malformed",
      atKeyrings: "credential-malformed",
      header: async () => header,
    }),
  ),
  {
    is: "a word that is no access key",
    code: "credential-unknown",
    atKeyrings: "credential-unknown",
    header: async () => bearer("letmein"),
  },
  {
    is: "an access key with a wrong checksum",
    code: "credential-malformed",
    atKeyrings: "credential-malformed",
    header: async (ring) => bearer(flipLast((await makeAccessKey(ring, SCOPES)).secret)),
  },
  {
    is: "a well-formed key of no keyring",
    code: "credential-unknown",
    atKeyrings: "root-required",
    header: async () =>
      bearer(formatToken("rekey", newCode(secureRandom), newPublicId(secureRandom), secureRandom)),
  },
  {
    is: "a well-formed key that this keyring never issued",
    code: "credential-unknown",
    atKeyrings: "root-required",
    header: async ({ code }) => bearer(formatToken("rekey", code, newPublicId(secureRandom), secureRandom)),
  },
  {
    is: "a real key's id with another secret",
    code: "credential-unknown",
    atKeyrings: "root-required",
    header: async (ring) => bearer(forge((await makeAccessKey(ring, SCOPES)).secret)),
  },
  {
    is: "a revoked key's id with another secret",
    code: "credential-unknown",
    atKeyrings: "root-required",
    async header(ring) {
      const { secret, name } = await makeAccessKey(ring, SCOPES);
      await ring.call("POST", `/v1/keys/${name}/revoke`, { body: { reason: "a test" } });
      return bearer(forge(secret));
    },
  },
  {
    is: "an expired access key",
    code: "credential-expired",
    atKeyrings: "root-required",
    async header(ring) {
      const expiresAt = new Date(Date.now() + 60_000).toISOString();
      const { secret } = await makeAccessKey(ring, SCOPES, { expiresAt });
      vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) });
      return bearer(secret);
    },
  },
  {
    is: "a revoked access key",
    code: "credential-revoked",
    atKeyrings: "root-required",
    async header(ring) {
      const { secret, name } = await makeAccessKey(ring, SCOPES);
      await ring.call("POST", `/v1/keys/${name}/revoke`, { body: { reason: "a test" } });
      return bearer(secret);
    },
  },
  {
    is: "a deleted access key",
    code: "credential-revoked",
    atKeyrings: "root-required",
    async header(ring) {
      const { secret, name } = await makeAccessKey(ring, SCOPES);
      await ring.call("DELETE", `/v1/keys/${name}`);
      return bearer(secret);
    },
  },
  {
    is: "an access key whose grace is over",
    code: "credential-grace-ended",
    atKeyrings: "root-required",
    async header(ring) {
      const { secret, name } = await makeAccessKey(ring, SCOPES);
      const body = { grace: "0", reveal: "inline" };
      const rotated = await ring.call("POST", `/v1/keys/${name}/rotate?wait=10s`, { body });
      expect(rotated.status).toBe(200);
      await eventually(async () => {
        const { body: key } = await ring.call<{ versions: { stage: string }[] }>("GET", `/v1/keys/${name}`);
        expect(key.versions[0]?.stage).toBe("revoked");
      });
      return bearer(secret);
    },
  },
  {
    is: "a customer's key, whatever its scopes",
    code: "credential-unknown",
    atKeyrings: "root-required",
    header: async (ring) => bearer((await makeKey(ring, "customer", { scopes: SCOPES })).secret),
  },
];

describe.each(BAD)("$is", ({ code, atKeyrings, header }) => {
  it(`opens no route: ${code}, and nothing changes`, async () => {
    const ring = await furnish();
    const authorization = await header(ring);
    await settle(ring);
    const before = await snapshot(ring);
    for (const route of ROUTES) {
      const { method, path, body, scopes } = route;
      const answer = await request(null, method, fill(path, ring), {
        body,
        ...(authorization !== undefined && { headers: { authorization } }),
      });
      const expected = scopes === "root" ? atKeyrings : code;
      expectProblem(answer, expected === "root-required" ? 403 : 401, expected, titleOf(route));
    }
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("an access key", () => {
  it("opens the API until the moment it expires", async () => {
    const ring = await furnish();
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const { call } = await makeAccessKey(ring, ["keys:read"], { expiresAt });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) - 1 });
    expect((await call("GET", "/v1/keys")).status).toBe(200);
    vi.setSystemTime(Date.parse(expiresAt));
    expectProblem(await call("GET", "/v1/keys"), 401, "credential-expired");
  });

  it("opens the API with its old and its new value during the grace, then with the new one only", async () => {
    const ring = await furnish();
    const { call, name } = await makeAccessKey(ring, ["keys:read"]);
    const rotated = await ring.call<{ secret: string }>("POST", `/v1/keys/${name}/rotate?wait=10s`, {
      body: { grace: "10m", reveal: "inline" },
    });
    const start = Date.now();
    expect((await call("GET", "/v1/keys")).status).toBe(200);
    expect((await request(rotated.body.secret, "GET", "/v1/keys")).status).toBe(200);
    vi.useFakeTimers({ toFake: ["Date"], now: start + 10 * 60_000 + 1_000 });
    expectProblem(await call("GET", "/v1/keys"), 401, "credential-grace-ended");
    expect((await request(rotated.body.secret, "GET", "/v1/keys")).status).toBe(200);
  });

  it("is not tied to the case of the word Bearer", async () => {
    const ring = await furnish();
    const { secret } = await makeAccessKey(ring, ["keys:read"]);
    const headers = { authorization: `bearer ${secret}` };
    expect((await request(null, "GET", "/v1/keys", { headers })).status).toBe(200);
  });

  it("names its keyring itself, whatever the header Rekey-Keyring says", async () => {
    const [ring, other] = [await furnish(), await furnish()];
    const { call } = await makeAccessKey(ring, ["keys:read"]);
    const read = await call("GET", "/v1/keys/billing", { headers: { "rekey-keyring": other.name } });
    expect(read.body).toMatchObject({ id: ring.key });
  });

  it("acts under its own id", async () => {
    const ring = await furnish();
    const { id, call } = await makeAccessKey(ring, ["keys:write", "events:read"]);
    await call("PATCH", "/v1/keys/billing", { body: { paused: true } });
    const { body } = await call<{ items: unknown[] }>("GET", "/v1/events?type=key.updated&limit=1");
    expect(body.items).toMatchObject([{ actor: id, key: ring.key }]);
  });
});
