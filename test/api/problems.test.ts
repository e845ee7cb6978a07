/** Problem documents: stable codes, the right headers, and the same shape wherever they come from. */
import { describe, expect, it, vi } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { CATALOGUE } from "../../src/errors/catalogue.ts";
import { formatToken, newCode, newPublicId } from "../../src/issuer/token.ts";
import { makeKeyring, ROOT, request } from "../support/api.ts";
import { expectProblem, makeKey } from "./fixtures.ts";

const unknownKey = () => formatToken("rekey", newCode(secureRandom), newPublicId(secureRandom), secureRandom);

/** A contract: programs look at these. A code may be added here, never changed. */
const STABLE = {
  "malformed-json": 400,
  "credential-missing": 401,
  "credential-malformed": 401,
  "credential-unknown": 401,
  "credential-expired": 401,
  "credential-revoked": 401,
  "credential-grace-ended": 401,
  "scope-missing": 403,
  "scope-exceeded": 403,
  "root-required": 403,
  "route-unknown": 404,
  "keyring-unknown": 404,
  "not-found": 404,
  "keyring-exists": 409,
  "name-taken": 409,
  "target-taken": 409,
  "in-use": 409,
  cooldown: 409,
  "key-revoked": 409,
  "key-expired": 409,
  "key-paused": 409,
  "key-deleting": 409,
  "no-receiver": 409,
  "needs-rotation": 409,
  "version-dead": 409,
  "body-too-large": 413,
  invalid: 422,
  "idempotency-mismatch": 422,
  "rate-limited": 429,
  internal: 500,
  "not-configured": 503,
};

describe("the catalogue of problems", () => {
  it("keeps every code with its status", () => {
    const statuses = Object.entries(CATALOGUE).map(([code, { status }]) => [code, status]);
    expect(Object.fromEntries(statuses)).toMatchObject(STABLE);
  });

  it("says for each what happened and what to do next", () => {
    for (const { title, remedy } of Object.values(CATALOGUE)) {
      expect(title).toMatch(/^[A-Z].*[^.]$/);
      expect(remedy).toMatch(/\.$/);
    }
  });
});

describe("an unknown route", () => {
  it.each([
    ["GET", "/"],
    ["GET", "/v2/keys"],
    ["PUT", "/v1/keys"],
    ["DELETE", "/v1/keys"],
    ["POST", "/v1/keys/a/b/c"],
    ["GET", "/v1/keys/"],
    ["POST", "/v1/rotations/rot_x"],
    ["GET", "/v1//keys"],
  ])("%s %s is a problem", async (method, path) => {
    expectProblem(await request(ROOT, method, path), 404, "route-unknown");
  });

  it("under /v1 asks for a credential first", async () => {
    expectProblem(await request(null, "GET", "/v1/nothing"), 401, "credential-missing");
  });
});

describe("what is answered", () => {
  it("is never cached nor sniffed, whether it is a success or a problem", async () => {
    const ring = await makeKeyring();
    const made = await ring.call("POST", "/v1/keys", { body: { name: "a", provider: "issuer" } });
    const missing = await ring.call("GET", "/v1/keys/b");
    for (const { headers } of [made, missing]) {
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
  });

  it("to a request without a credential says so, whatever else is wrong with it", async () => {
    const answer = await request(null, "POST", "/v1/keys?x=1", { rawBody: "{" });
    expectProblem(answer, 401, "credential-missing");
  });

  it("names who holds a name that is taken", async () => {
    const ring = await makeKeyring();
    const { id } = await makeKey(ring, "billing");
    const again = await ring.call("POST", "/v1/keys", { body: { name: "billing", provider: "issuer" } });
    expect(expectProblem(again, 409, "name-taken").holder).toBe(id);
  });

  it("to a flood of unknown keyring codes is to slow down, and known ones are still served", async () => {
    const ring = await makeKeyring();
    const { secret } = (
      await ring.call<{ secret: string }>("POST", "/v1/keys", {
        body: { name: "gate", provider: "access", scopes: ["keys:read"] },
      })
    ).body;
    // The clock stands still, so that what may be asked does not grow meanwhile.
    vi.useFakeTimers({ toFake: ["Date"] });
    const answers = await Promise.all(
      Array.from({ length: 80 }, () => request(unknownKey(), "GET", "/v1/keys")),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.every(({ status }) => status === 401 || status === 429)).toBe(true);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) {
      expectProblem(answer, 429, "rate-limited");
      expect(answer.headers.get("retry-after")).toBe("1");
    }
    expect((await request(secret, "GET", "/v1/keys")).status).toBe(200);
    vi.useRealTimers();
  });
});

describe("GET /healthz", () => {
  it("answers without a credential", async () => {
    const answer = await request(null, "GET", "/healthz");
    expect(answer).toMatchObject({ status: 200, body: { ok: true } });
  });
});
