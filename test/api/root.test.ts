import { beforeAll, describe, expect, it } from "vitest";
import { makeKeyring, ROOT, request } from "../support/api.ts";
import { expectProblem, furnish, readTables } from "./fixtures.ts";
import { fill, ROUTES } from "./routes.ts";

const SECOND_ROOT = "second-root-token-for-tests";

const countUses = async (ring: { code: string }, route: string) => {
  const { event = [] } = await readTables(ring);
  const uses = event.filter(({ type, actor }) => type === "root.used" && actor === "root");
  return uses.filter(({ data }) => JSON.parse(String(data)).route === route).length;
};

describe("the keyring `default`", () => {
  let unauthenticated: unknown;
  beforeAll(async () => {
    await request(null, "GET", "/v1/keys");
    await request("letmein", "GET", "/v1/keys");
    unauthenticated = (await request(ROOT, "GET", "/v1/keyrings")).body;
  });

  it("is not made by a call without a credential, and made by the first one of root", async () => {
    expect(unauthenticated).toEqual({ items: [], nextCursor: null });
    const calls = await Promise.all([1, 2, 3].map(() => request(ROOT, "GET", "/v1/keys")));
    expect(calls.map(({ status }) => status)).toEqual([200, 200, 200]);
    const { body } = await request<{ items: { name: string }[] }>(ROOT, "GET", "/v1/keyrings");
    expect(body.items).toMatchObject([{ name: "default" }]);
  });

  it("is what root opens without the header Rekey-Keyring", async () => {
    await request(ROOT, "POST", "/v1/keys", { body: { name: "mine", provider: "issuer" } });
    const headers = { "rekey-keyring": "default" };
    expect((await request(ROOT, "GET", "/v1/keys/mine", { headers })).body).toMatchObject({ name: "mine" });
  });
});

describe("a root token", () => {
  const ofKeyring = ROUTES.filter(({ scopes }) => scopes !== "root");

  it.each(["nobody", "", " ", "%00", "'; DROP TABLE keyring; --", "x".repeat(5_000)])(
    "opens no keyring named %j",
    async (name) => {
      for (const { method, path, body } of ofKeyring) {
        const answer = await request(ROOT, method, path, { body, headers: { "rekey-keyring": name } });
        expectProblem(answer, 404, "keyring-unknown");
      }
    },
  );

  it("works when it is any one of the list", async () => {
    const ring = await makeKeyring();
    const headers = { "rekey-keyring": ring.name };
    for (const token of [ROOT, SECOND_ROOT]) {
      expect((await request(token, "GET", "/v1/keys", { headers })).status).toBe(200);
      expect((await request(token, "GET", "/v1/keyrings")).status).toBe(200);
    }
  });

  it.each([`${ROOT},${SECOND_ROOT}`, ROOT.slice(0, -1), `${ROOT}x`, ROOT.toUpperCase(), `${ROOT},`, ","])(
    "is not %s",
    async (token) => {
      const ring = await makeKeyring();
      const headers = { "rekey-keyring": ring.name };
      expectProblem(await request(token, "GET", "/v1/keys", { headers }), 401, "credential-unknown");
      expectProblem(await request(token, "GET", "/v1/keyrings"), 401, "credential-unknown");
    },
  );

  it.each(ofKeyring)(
    "leaves an event for $method $path",
    async ({ method, pattern, path, body, status, prepare }) => {
      const ring = await furnish();
      const made = await prepare?.(ring);
      const target = fill(path, ring, made);
      const route = `${method} ${pattern}`;
      const before = await countUses(ring, route);
      expect((await ring.call(method, target, { body })).status).toBe(status);
      expect(await countUses(ring, route)).toBe(before + 1);
    },
  );

  it("leaves an event for what is refused, too", async () => {
    const ring = await furnish();
    expectProblem(await ring.call("GET", "/v1/keys/nothing"), 404, "not-found");
    expectProblem(await ring.call("DELETE", "/v1/destinations/store"), 409, "in-use");
    expect(await countUses(ring, "GET /v1/keys/{key}")).toBe(1);
    expect(await countUses(ring, "DELETE /v1/destinations/{id}")).toBe(1);
  });

  it("leaves an event in the keyring it makes", async () => {
    const ring = await makeKeyring();
    const { event } = await readTables(ring);
    expect(event).toMatchObject([{ seq: 1, type: "keyring.created", actor: "root" }]);
  });
});
