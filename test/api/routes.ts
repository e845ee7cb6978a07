/** Every route with what it needs: tests loop over this table, and one compares it with the contract. */
import { HttpResponse, http } from "msw";
import type { Scope } from "../../src/keyring/scopes.ts";
import { ROOT, request, type TestKeyring } from "../support/api.ts";
import { network, QUIET_URL } from "../support/network.ts";
import { exportFile, PASSPHRASE, PUBLIC_KEY, wipe } from "../support/transfer.ts";
import { makeLostKey, makeStuckRevocation, makeStuckRotation } from "./fixtures.ts";

export interface Route {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** As the contract has it. */
  pattern: string;
  /** A path that exists in a furnished keyring. */
  path: string;
  /** What an access key needs; `root` when none suffices. */
  scopes: readonly Scope[] | "root";
  /** What a request that works answers. */
  status: number;
  body?: Record<string, unknown>;
  /** Lines of a body that is no JSON text. */
  rawBody?: (ring: TestKeyring) => Promise<string>;
  /** What a furnished keyring has to get first. Answers what it made, for the path: `{name}` there is replaced. */
  prepare?: (ring: TestKeyring) => Promise<unknown>;
}

/** A path with the ids of what is there in place of their names. */
export function fill(path: string, ...values: unknown[]): string {
  const known: Record<string, unknown> = Object.assign({}, ...values);
  return path.replace(/\{(\w+)\}/g, (whole, name: string) => String(known[name] ?? whole));
}

/** One that hears of nothing that happens in these tests. */
const SUBSCRIPTION = { name: "ops", url: QUIET_URL, types: ["chain.broken"] };

function subscribe(ring: TestKeyring): Promise<unknown> {
  return ring.call("POST", "/v1/subscriptions", { body: SUBSCRIPTION });
}

export const ROUTES: readonly Route[] = [
  {
    method: "POST",
    pattern: "/v1/keyrings",
    path: "/v1/keyrings",
    scopes: "root",
    status: 201,
    body: { name: `made-${crypto.randomUUID().slice(0, 8)}` },
  },
  { method: "GET", pattern: "/v1/keyrings", path: "/v1/keyrings", scopes: "root", status: 200 },
  {
    method: "POST",
    pattern: "/v1/keyrings/{name}/reconcile",
    path: "/v1/keyrings/default/reconcile",
    scopes: "root",
    status: 200,
    // The first authenticated call makes it.
    prepare: () => request(ROOT, "GET", "/v1/keys"),
  },
  {
    method: "POST",
    pattern: "/v1/keyrings/{name}/export",
    path: "/v1/keyrings/default/export",
    scopes: "root",
    status: 200,
    body: { publicKey: PUBLIC_KEY },
    prepare: () => request(ROOT, "GET", "/v1/keys"),
  },
  {
    method: "POST",
    pattern: "/v1/keyrings/{name}/import",
    path: "/v1/keyrings/default/import",
    scopes: "root",
    status: 201,
    rawBody: async () => {
      await request(ROOT, "GET", "/v1/keys");
      const file = await exportFile("default", { passphrase: PASSPHRASE });
      const [header = "{}"] = file.split("\n");
      await wipe(JSON.parse(header).keyring);
      return `${JSON.stringify({ passphrase: PASSPHRASE })}\n${file}`;
    },
  },
  {
    method: "POST",
    pattern: "/v1/keyrings/{name}/release",
    path: "/v1/keyrings/default/release",
    scopes: "root",
    status: 200,
    prepare: () => request(ROOT, "GET", "/v1/keys"),
  },
  {
    method: "POST",
    pattern: "/v1/keyrings/rewrap",
    path: "/v1/keyrings/rewrap",
    scopes: "root",
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/keys",
    path: "/v1/keys",
    scopes: ["keys:write"],
    status: 201,
    body: { name: "another", provider: "issuer" },
  },
  { method: "GET", pattern: "/v1/keys", path: "/v1/keys", scopes: ["keys:read"], status: 200 },
  { method: "GET", pattern: "/v1/keys/{key}", path: "/v1/keys/billing", scopes: ["keys:read"], status: 200 },
  {
    method: "PATCH",
    pattern: "/v1/keys/{key}",
    path: "/v1/keys/billing",
    scopes: ["keys:write"],
    status: 200,
    body: { labels: { team: "payments" } },
  },
  {
    method: "PATCH",
    pattern: "/v1/keys/{key}",
    path: "/v1/keys/billing?rotate=true",
    scopes: ["keys:write", "keys:rotate"],
    status: 200,
    body: { destinations: [{ id: "spare", as: "elsewhere" }] },
  },
  {
    method: "DELETE",
    pattern: "/v1/keys/{key}",
    path: "/v1/keys/billing",
    scopes: ["keys:write", "keys:revoke"],
    status: 202,
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/rotate",
    path: "/v1/keys/billing/rotate",
    scopes: ["keys:rotate"],
    status: 202,
    body: { reason: "a test" },
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/rotate",
    path: "/v1/keys/billing/rotate",
    scopes: ["keys:rotate"],
    status: 200,
    body: { dryRun: true },
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/rotate",
    path: "/v1/keys/billing/rotate?wait=10s",
    scopes: ["keys:rotate", "keys:reveal"],
    status: 200,
    body: { reveal: "inline" },
  },
  {
    method: "PUT",
    pattern: "/v1/keys/{key}/value",
    path: "/v1/keys/lost/value?wait=10s",
    scopes: ["keys:write"],
    status: 200,
    body: { fields: { secret: "made-elsewhere-by-hand" } },
    prepare: (ring) => makeLostKey(ring, "lost"),
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/revoke",
    path: "/v1/keys/billing/revoke",
    scopes: ["keys:revoke"],
    status: 200,
    body: { reason: "a test" },
  },
  { method: "GET", pattern: "/v1/rotations", path: "/v1/rotations", scopes: ["keys:read"], status: 200 },
  {
    method: "GET",
    pattern: "/v1/rotations/{id}",
    path: "/v1/rotations/{rotation}",
    scopes: ["keys:read"],
    status: 200,
  },
  ...(["cancel", "retry"] as const).map(
    (what): Route => ({
      method: "POST",
      pattern: `/v1/rotations/{id}/${what}`,
      path: `/v1/rotations/{live}/${what}`,
      scopes: ["keys:rotate"],
      status: 200,
      prepare: (ring) => makeStuckRotation(ring, { state: "blocked", step: "preflight" }),
    }),
  ),
  {
    method: "POST",
    pattern: "/v1/rotations/{id}/abandon",
    path: "/v1/rotations/{live}/abandon",
    scopes: ["keys:rotate"],
    status: 200,
    prepare: (ring) => makeStuckRotation(ring, { state: "needs-human", step: "settle" }),
  },
  {
    method: "POST",
    pattern: "/v1/rotations",
    path: "/v1/rotations",
    scopes: ["keys:rotate"],
    status: 202,
    body: { reason: "a test", select: { provider: "issuer" } },
  },
  {
    method: "POST",
    pattern: "/v1/rotations",
    path: "/v1/rotations",
    scopes: ["keys:rotate"],
    status: 200,
    body: { reason: "a test", select: { all: true }, dryRun: true },
  },
  { method: "GET", pattern: "/v1/batches", path: "/v1/batches", scopes: ["keys:read"], status: 200 },
  {
    method: "GET",
    pattern: "/v1/batches/{id}",
    path: "/v1/batches/{id}",
    scopes: ["keys:read"],
    status: 200,
    prepare: makeBatch,
  },
  ...(["pause", "resume", "cancel"] as const).map(
    (what): Route => ({
      method: "POST",
      pattern: `/v1/batches/{id}/${what}`,
      path: `/v1/batches/{id}/${what}`,
      scopes: ["keys:rotate"],
      status: 200,
      prepare: makeBatch,
    }),
  ),
  {
    method: "POST",
    pattern: "/v1/keys/{key}/versions/{n}/extend",
    path: "/v1/keys/billing/versions/1/extend",
    scopes: ["keys:rotate"],
    status: 200,
    body: { grace: "48h" },
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/versions/{n}/finish",
    path: "/v1/keys/billing/versions/1/finish",
    scopes: ["keys:rotate"],
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/versions/{n}/abandon",
    path: "/v1/keys/billing/versions/1/abandon",
    scopes: ["keys:rotate"],
    status: 200,
    prepare: (ring) => makeStuckRevocation(ring),
  },
  {
    method: "POST",
    pattern: "/v1/keys/{key}/rollback",
    path: "/v1/keys/billing/rollback?wait=10s",
    scopes: ["keys:rotate"],
    status: 200,
    body: { reason: "a test" },
  },
  { method: "GET", pattern: "/v1/deliveries", path: "/v1/deliveries", scopes: ["keys:read"], status: 200 },
  {
    method: "POST",
    pattern: "/v1/deliveries/{id}/acknowledge",
    path: "/v1/deliveries/{delivery}/acknowledge",
    scopes: ["keys:rotate"],
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/deliveries/{id}/replay",
    path: "/v1/deliveries/{delivery}/replay",
    scopes: ["keys:rotate"],
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/deliveries/replay",
    path: "/v1/deliveries/replay",
    scopes: ["keys:rotate"],
    status: 200,
    body: { since: "2026-01-01T00:00:00Z" },
  },
  {
    method: "POST",
    pattern: "/v1/claims",
    path: "/v1/claims",
    scopes: ["keys:reveal"],
    // Nobody was promised this one; test/api/claims.test.ts has those that open.
    status: 404,
    body: { claim: "nobody-was-promised-this" },
  },
  {
    method: "POST",
    pattern: "/v1/destinations",
    path: "/v1/destinations",
    scopes: ["settings:write"],
    status: 201,
    body: { name: "third", type: "kv" },
  },
  {
    method: "GET",
    pattern: "/v1/destinations",
    path: "/v1/destinations",
    scopes: ["settings:read"],
    status: 200,
  },
  {
    method: "GET",
    pattern: "/v1/destinations/{id}",
    path: "/v1/destinations/store",
    scopes: ["settings:read"],
    status: 200,
  },
  {
    method: "PATCH",
    pattern: "/v1/destinations/{id}",
    path: "/v1/destinations/store",
    scopes: ["settings:write"],
    status: 200,
    body: { config: { propagation: "10s" } },
  },
  {
    method: "DELETE",
    pattern: "/v1/destinations/{id}",
    path: "/v1/destinations/spare",
    scopes: ["settings:write"],
    status: 204,
  },
  {
    method: "POST",
    pattern: "/v1/destinations/{id}/test",
    path: "/v1/destinations/spare/test",
    scopes: ["settings:write"],
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/connections",
    path: "/v1/connections",
    scopes: ["settings:write"],
    status: 201,
    body: { name: "second", provider: "bitscale" },
    prepare: answerForService,
  },
  {
    method: "GET",
    pattern: "/v1/connections",
    path: "/v1/connections",
    scopes: ["settings:read"],
    status: 200,
  },
  {
    method: "GET",
    pattern: "/v1/connections/{id}",
    path: "/v1/connections/account",
    scopes: ["settings:read"],
    status: 200,
    prepare: connect,
  },
  {
    method: "PATCH",
    pattern: "/v1/connections/{id}",
    path: "/v1/connections/account",
    scopes: ["settings:write"],
    status: 200,
    body: { config: { rotatePath: "/rotate-api-key" } },
    prepare: connect,
  },
  {
    method: "DELETE",
    pattern: "/v1/connections/{id}",
    path: "/v1/connections/account",
    scopes: ["settings:write"],
    status: 204,
    prepare: connect,
  },
  {
    method: "POST",
    pattern: "/v1/connections/{id}/test",
    path: "/v1/connections/account/test",
    scopes: ["settings:write"],
    status: 200,
    prepare: connect,
  },
  {
    method: "POST",
    pattern: "/v1/policies",
    path: "/v1/policies",
    scopes: ["settings:write"],
    status: 201,
    body: { name: "monthly", policy: { maxAge: "30d" } },
  },
  { method: "GET", pattern: "/v1/policies", path: "/v1/policies", scopes: ["settings:read"], status: 200 },
  {
    method: "GET",
    pattern: "/v1/policies/{id}",
    path: "/v1/policies/shared",
    scopes: ["settings:read"],
    status: 200,
    prepare: makeSharedPolicy,
  },
  {
    method: "PATCH",
    pattern: "/v1/policies/{id}",
    path: "/v1/policies/shared",
    scopes: ["settings:write"],
    status: 200,
    body: { policy: { maxAge: "60d" } },
    prepare: makeSharedPolicy,
  },
  {
    method: "DELETE",
    pattern: "/v1/policies/{id}",
    path: "/v1/policies/shared",
    scopes: ["settings:write"],
    status: 204,
    prepare: makeSharedPolicy,
  },
  { method: "GET", pattern: "/v1/settings", path: "/v1/settings", scopes: ["settings:read"], status: 200 },
  {
    method: "PATCH",
    pattern: "/v1/settings",
    path: "/v1/settings",
    scopes: ["settings:write"],
    status: 200,
    body: { limits: { rotations: 10 } },
  },
  {
    method: "POST",
    pattern: "/v1/settings/hold",
    path: "/v1/settings/hold",
    scopes: ["settings:write"],
    status: 200,
    body: { reason: "a test" },
  },
  {
    method: "POST",
    pattern: "/v1/settings/release",
    path: "/v1/settings/release",
    scopes: ["settings:write"],
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/verify",
    path: "/v1/verify",
    scopes: ["keys:verify"],
    status: 200,
    body: { key: "whatever" },
  },
  { method: "GET", pattern: "/v1/events", path: "/v1/events", scopes: ["events:read"], status: 200 },
  {
    method: "GET",
    pattern: "/v1/events/verify",
    path: "/v1/events/verify",
    scopes: ["events:read"],
    status: 200,
  },
  {
    method: "POST",
    pattern: "/v1/subscriptions",
    path: "/v1/subscriptions",
    scopes: ["settings:write"],
    status: 201,
    body: SUBSCRIPTION,
  },
  {
    method: "GET",
    pattern: "/v1/subscriptions",
    path: "/v1/subscriptions",
    scopes: ["settings:read"],
    status: 200,
  },
  {
    method: "GET",
    pattern: "/v1/subscriptions/{id}",
    path: "/v1/subscriptions/ops",
    scopes: ["settings:read"],
    status: 200,
    prepare: subscribe,
  },
  {
    method: "PATCH",
    pattern: "/v1/subscriptions/{id}",
    path: "/v1/subscriptions/ops",
    scopes: ["settings:write"],
    status: 200,
    body: { types: ["chain.broken"], rotateSecret: true },
    prepare: subscribe,
  },
  {
    method: "DELETE",
    pattern: "/v1/subscriptions/{id}",
    path: "/v1/subscriptions/ops",
    scopes: ["settings:write"],
    status: 204,
    prepare: subscribe,
  },
  {
    method: "POST",
    pattern: "/v1/subscriptions/{id}/test",
    path: "/v1/subscriptions/ops/test",
    scopes: ["settings:write"],
    status: 200,
    prepare: subscribe,
  },
  {
    method: "POST",
    pattern: "/v1/subscriptions/{id}/replay",
    path: "/v1/subscriptions/ops/replay",
    scopes: ["settings:write"],
    status: 202,
    body: { since: 1 },
    prepare: subscribe,
  },
  {
    method: "POST",
    pattern: "/v1/compromises",
    path: "/v1/compromises",
    scopes: ["keys:revoke"],
    status: 201,
    body: { key: "billing", source: "a test" },
  },
  { method: "GET", pattern: "/v1/compromises", path: "/v1/compromises", scopes: ["keys:read"], status: 200 },
  {
    method: "GET",
    pattern: "/v1/compromises/{id}",
    path: "/v1/compromises/{compromise}",
    scopes: ["keys:read"],
    status: 200,
    prepare: async (ring) => {
      const body = { secret: "nobody-has-this-value", source: "a test" };
      return { compromise: (await ring.call("POST", "/v1/compromises", { body })).body.id };
    },
  },
  {
    method: "PUT",
    pattern: "/v1/signals/{source}",
    path: "/v1/signals/standard",
    scopes: ["settings:write"],
    status: 200,
    body: {},
  },
  { method: "GET", pattern: "/v1/signals", path: "/v1/signals", scopes: ["settings:read"], status: 200 },
  {
    method: "GET",
    pattern: "/v1/signals/{source}",
    path: "/v1/signals/standard",
    scopes: ["settings:read"],
    status: 200,
    prepare: hear,
  },
  {
    method: "DELETE",
    pattern: "/v1/signals/{source}",
    path: "/v1/signals/standard",
    scopes: ["settings:write"],
    status: 204,
    prepare: hear,
  },
  { method: "GET", pattern: "/v1/status", path: "/v1/status", scopes: ["keys:read"], status: 200 },
  { method: "GET", pattern: "/metrics", path: "/metrics", scopes: ["keys:read"], status: 200 },
];

/** Sets a source of leak reports up. */
function hear(ring: TestKeyring): Promise<unknown> {
  return ring.call("PUT", "/v1/signals/standard", { body: {} });
}

/** A service that answers whoever shows no key. */
async function answerForService(): Promise<void> {
  const url = "https://api.bitscale.ai/api/v1/workspace";
  network.use(http.get(url, () => new HttpResponse(null, { status: 401 })));
}

/** Makes the connection `account`. */
export async function connect(ring: Pick<TestKeyring, "call">): Promise<{ id: string }> {
  await answerForService();
  const body = { name: "account", provider: "bitscale" };
  return (await ring.call<{ id: string }>("POST", "/v1/connections", { body })).body;
}

/** A batch that waits for the end of a hold. */
async function makeBatch(ring: TestKeyring): Promise<{ id: string }> {
  await ring.call("POST", "/v1/settings/hold", { body: { reason: "a test" } });
  const body = { select: { all: true }, reason: "a test" };
  return (await ring.call<{ id: string }>("POST", "/v1/rotations", { body })).body;
}

/** A batch that is paused before anything of it has started. */
export async function makePausedBatch(ring: TestKeyring): Promise<void> {
  const { id } = await makeBatch(ring);
  await ring.call("POST", `/v1/batches/${id}/pause`);
  await ring.call("POST", "/v1/settings/release");
}

function makeSharedPolicy(ring: TestKeyring): Promise<unknown> {
  return ring.call("POST", "/v1/policies", { body: { name: "shared", policy: { maxAge: "30d" } } });
}

/** How a route is called in the title of a test. */
export function titleOf({ method, path }: Pick<Route, "method" | "path">): string {
  return `${method} ${path}`;
}
