import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { ROOT, request } from "../support/api.ts";
import { expectProblem, furnish, makeAccessKey, snapshot } from "./fixtures.ts";
import { fill, ROUTES, titleOf } from "./routes.ts";

const ofKeyring = ROUTES.flatMap((route) =>
  route.scopes === "root" ? [] : [{ ...route, scopes: route.scopes }],
);

describe.each(ofKeyring)("$method $path", (route) => {
  const { method, path, scopes, status, body, prepare } = route;

  it(`works with ${scopes.join(" and ")} and nothing else`, async () => {
    const ring = await furnish();
    const made = await prepare?.(ring);
    const { call } = await makeAccessKey(ring, scopes);
    const answer = await call(method, fill(path, ring, made), { body });
    expect(answer.status).toBe(status);
  });

  it.each(scopes)("is refused without %s, which the answer names, and nothing changes", async (missing) => {
    const ring = await furnish();
    const rest = SCOPES.filter((scope) => scope !== missing);
    const { call } = await makeAccessKey(ring, rest);
    const before = await snapshot(ring);
    const answer = await call(method, fill(path, ring), { body });
    expect(expectProblem(answer, 403, "scope-missing").scope).toBe(missing);
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("the routes of keyrings", () => {
  const ofRoot = ROUTES.filter((route) => route.scopes === "root");

  it.each(ofRoot)(
    "$method $path is refused to an access key with every scope",
    async ({ method, path, body }) => {
      const ring = await furnish();
      const { call } = await makeAccessKey(ring, SCOPES);
      expectProblem(await call(method, path, { body }), 403, "root-required");
      const { body: page } = await request<{ items: { name: string }[] }>(
        ROOT,
        "GET",
        "/v1/keyrings?limit=100",
      );
      expect(page.items.map(({ name }) => name)).not.toContain(body?.name);
    },
  );
});

describe("this table of routes", () => {
  it("is the whole contract, but for what asks for no credential", async () => {
    const { body } = await request<{ paths: Record<string, Record<string, { security: unknown[] }>> }>(
      null,
      "GET",
      "/openapi.json",
    );
    const documented = Object.entries(body.paths).flatMap(([pattern, methods]) =>
      Object.entries(methods)
        .filter(([, { security }]) => security.length > 0)
        .map(([method]) => `${method.toUpperCase()} ${pattern}`),
    );
    const tested = new Set(ROUTES.map(({ method, pattern }) => titleOf({ method, path: pattern })));
    expect([...tested].sort()).toEqual(documented.sort());
  });
});
