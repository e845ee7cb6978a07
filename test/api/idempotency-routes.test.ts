/** Every POST that documents an Idempotency-Key keeps what that promises. The routes come from the document. */
import { describe, expect, it } from "vitest";
import { describeApp } from "../../src/api/document.ts";
import { createApp } from "../../src/app.ts";
import type { TestKeyring } from "../support/api.ts";
import { expectProblem, furnish, settle, snapshot } from "./fixtures.ts";
import { fill, ROUTES } from "./routes.ts";

const { paths = {} } = describeApp(createApp());
const documented = Object.entries(paths)
  .filter(([, { post }]) => JSON.stringify(post?.parameters ?? []).includes('"idempotency-key"'))
  .map(([pattern]) => pattern);
// A dry run changes nothing, and so nothing of it is kept.
const routes = ROUTES.filter(
  ({ method, pattern, body }) => method === "POST" && documented.includes(pattern) && body?.dryRun !== true,
);

describe("the routes that document an Idempotency-Key", () => {
  it("are all tried", () => {
    expect(documented.length).toBeGreaterThan(15);
    expect([...new Set(routes.map(({ pattern }) => pattern))].sort()).toEqual(documented.sort());
  });
});

describe.each(routes)("$method $path $body", ({ path, status, body, prepare }) => {
  it("is done once, answers the same again, and refuses another body under the same key", async () => {
    const ring = await furnish();
    const made = await prepare?.(ring);
    const target = fill(path, ring, made);
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await ring.call("POST", target, { body, headers });
    expect(first.status).toBe(status);
    await rest(ring);
    const before = await snapshot(ring);
    const again = await ring.call("POST", target, { body, headers });
    expect(again.status).toBe(first.status);
    expect(idOf(again.body)).toEqual(idOf(first.body));
    await rest(ring);
    expect(await snapshot(ring)).toEqual(before);
    const other = { ...body, ...OTHER[Object.keys(body ?? {})[0] ?? ""] };
    const refused = await ring.call("POST", target, { headers, ...(body ? { body: other } : { body: {} }) });
    expectProblem(refused, 422, "idempotency-mismatch");
    expect(await snapshot(ring)).toEqual(before);
  });
});

/** Another value, as valid as the one that the table of routes has, by the name of a body's first field. */
const OTHER: Record<string, object> = {
  name: { name: `other-${crypto.randomUUID().slice(0, 8)}` },
  reason: { reason: "another" },
  reveal: { reveal: "none" },
  grace: { grace: "49h" },
  key: { source: "another" },
  since: { since: "2026-01-02T00:00:00Z" },
};

/** A rotation that has ended leaves a look at the keyring's health for later: that is no reason to wait. */
const rest = (ring: TestKeyring) => settle(ring, 300).catch(() => undefined);

/** What an answer is about; where it stands may have changed meanwhile. */
function idOf(body: Record<string, unknown>): unknown {
  const { id, code, rotation, secret, signingSecret } = body;
  const ids = rotation !== null && typeof rotation === "object" && "id" in rotation ? rotation.id : rotation;
  return { id, code, ids, secret, signingSecret };
}
