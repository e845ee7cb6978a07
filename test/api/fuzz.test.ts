/** Whatever is sent, no answer is a 500, and whatever is refused changes nothing. */
import * as fc from "fast-check";
import { HttpResponse, http } from "msw";
import { describe, expect, it, vi } from "vitest";
import { network } from "../support/network.ts";
import { furnish, settle, snapshot } from "./fixtures.ts";
import { ROUTES, titleOf } from "./routes.ts";

const RUNS = { numRuns: 60 };
vi.setConfig({ testTimeout: 120_000 });

const odd = fc.constantFrom<unknown>(
  null,
  "",
  " ",
  "\u0000",
  "\ud800",
  "𝕏".repeat(40),
  "__proto__",
  "soon",
  "0",
  "30M",
  0,
  -1,
  1.5,
  1e300,
  Number.MAX_SAFE_INTEGER,
  [],
  {},
  [[]],
  JSON.parse('{"__proto__":{"a":1}}'),
  { toString: 1, constructor: 1, hasOwnProperty: 1 },
  "store",
  "billing",
);

const anything = fc.oneof(odd, fc.jsonValue({ maxDepth: 4, stringUnit: "binary" }));

/** Fields that some route knows, so that junk gets past the first check. */
const NAMES = [
  ...[
    "name",
    "provider",
    "prefix",
    "scopes",
    "role",
    "subject",
    "expiresAt",
    "labels",
    "policy",
    "destinations",
  ],
  ...[
    "fields",
    "issuedAt",
    "paused",
    "grace",
    "reason",
    "reveal",
    "version",
    "type",
    "config",
    "key",
    "mode",
  ],
];

/** A body that works, with some of its fields replaced, removed or joined by others. */
function mutate(body: Record<string, unknown>) {
  const keys = [...new Set([...Object.keys(body), ...NAMES])];
  const changes = fc.uniqueArray(fc.tuple(fc.constantFrom(...keys), anything), {
    selector: ([key]) => key,
    maxLength: 4,
  });
  return fc.tuple(changes, fc.subarray(Object.keys(body))).map(([changed, kept]) => ({
    ...Object.fromEntries(kept.map((key) => [key, body[key]])),
    ...Object.fromEntries(changed),
  }));
}

const nested = fc
  .tuple(
    fc.constantFrom(["[", "]"], ['{"config":', "}"], ['{"name":', "}"]),
    fc.integer({ min: 1, max: 6_000 }),
  )
  .map(([[open = "", close = ""], depth]) => `${open.repeat(depth)}1${close.repeat(depth)}`);

const rawBodyFor = (body: Record<string, unknown>) =>
  fc.oneof(
    { weight: 5, arbitrary: mutate(body).map((value) => JSON.stringify(value)) },
    { weight: 2, arbitrary: anything.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: nested },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
  );

const changing = ROUTES.filter(({ method }) => method === "POST" || method === "PATCH");

describe.each(changing)("$method $path", ({ method, path, body }) => {
  it("never answers 500 to a body, and changes nothing when it refuses one", async () => {
    // Whatever address a request brings along, somebody answers there.
    network.use(http.all("*", () => new HttpResponse(null, { status: 204 })));
    const ring = await furnish();
    let before = await snapshot(ring);
    const seen = new Set<number>();
    // A wait would only slow this down.
    const target = path.replace("wait=10s", "wait=0");
    await fc.assert(
      fc.asyncProperty(rawBodyFor(body ?? {}), async (rawBody) => {
        const answer = await ring.call(method, target, { rawBody });
        seen.add(answer.status);
        expect(answer.status).toBeLessThan(500);
        if (answer.status < 400) await settle(ring);
        const after = await snapshot(ring);
        if (answer.status >= 400) expect(after).toEqual(before);
        before = after;
      }),
      RUNS,
    );
    if (body) expect([...seen].some((status) => status >= 400)).toBe(true);
  });
});

describe("every path and query", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 120 }),
    fc.constantFrom("%ff", "%00", "..", "../../x", "key_", "'", '"', "__proto__", "constructor", "billing"),
  );
  const withParameter = ROUTES.filter(({ pattern }) => pattern.includes("{"));

  it.each(withParameter.map(titleOf))("%s never answers 500 to an odd id", async (title) => {
    const route = withParameter.find((candidate) => titleOf(candidate) === title);
    const ring = await furnish();
    const { method = "GET", pattern = "", body } = route ?? {};
    await fc.assert(
      fc.asyncProperty(text, fc.boolean(), async (id, encoded) => {
        const path = pattern.replace(/\{\w+\}/, () => (encoded ? encodeURIComponent(toWellFormed(id)) : id));
        const answer = await ring.call(method, path, { body });
        expect(answer.status).toBeLessThan(500);
      }),
      RUNS,
    );
  });

  it("never answers 500 to an odd query", async () => {
    const ring = await furnish();
    const lists = ROUTES.filter(({ method, pattern }) => method === "GET" && !pattern.includes("{"));
    const parameter = fc.constantFrom(
      ...["limit", "cursor", "key", "type", "status", "provider", "label", "dueBefore", "x", "__proto__"],
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...lists),
        fc.array(fc.tuple(parameter, text), { maxLength: 3 }),
        async ({ path }, pairs) => {
          const query = new URLSearchParams(pairs.map(([name, value]) => [name, value]));
          const answer = await ring.call("GET", `${path}?${query}`);
          expect(answer.status).toBeLessThan(500);
        },
      ),
      { ...RUNS, numRuns: 400 },
    );
  });
});

function toWellFormed(value: string): string {
  return new TextDecoder().decode(new TextEncoder().encode(value));
}
