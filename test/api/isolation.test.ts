/** What belongs to one keyring does not exist in another. */
import { beforeAll, describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { QUIET_URL } from "../support/network.ts";
import {
  callAs,
  expectInvalid,
  expectProblem,
  type Furnished,
  furnish,
  type Made,
  makeAccessKey,
  makeKey,
  settle,
  snapshot,
} from "./fixtures.ts";
import { connect, ROUTES } from "./routes.ts";

let theirs: Furnished;
let theirSubscription: string;
let theirPolicy: string;
let theirConnection: string;
let theirCompromise: string;
let mine: TestKeyring;
let call: ReturnType<typeof callAs>;
let myKey: string;
let myDestination: string;
beforeAll(async () => {
  theirs = await furnish();
  const ops = { name: "ops", url: QUIET_URL, types: ["chain.broken"] };
  theirSubscription = (await theirs.call<Made>("POST", "/v1/subscriptions", { body: ops })).body.id;
  const shared = { name: "shared", policy: { maxAge: "30d" } };
  theirPolicy = (await theirs.call<Made>("POST", "/v1/policies", { body: shared })).body.id;
  theirConnection = (await connect(theirs)).id;
  const leak = { secret: "nobody-has-this-value", source: "a test" };
  theirCompromise = (await theirs.call<Made>("POST", "/v1/compromises", { body: leak })).body.id;
  await settle(theirs);
  mine = await makeKeyring();
  call = (await makeAccessKey(mine, SCOPES)).call;
  myKey = (await makeKey(mine, "mine")).id;
  const body = { name: "mine", type: "kv" };
  myDestination = (await mine.call<{ id: string }>("POST", "/v1/destinations", { body })).body.id;
});

function theirId(pattern: string): string {
  if (pattern.includes("/keys/")) return theirs.key;
  if (pattern.includes("/deliveries/")) return theirs.delivery;
  if (pattern.includes("/subscriptions/")) return theirSubscription;
  if (pattern.includes("/policies/")) return theirPolicy;
  if (pattern.includes("/connections/")) return theirConnection;
  if (pattern.includes("/compromises/")) return theirCompromise;
  return pattern.includes("/rotations/") ? theirs.rotation : theirs.destination;
}

const IDS: [whose: string, of: (pattern: string) => string][] = [
  ["of another keyring", theirId],
  ["that never was", (pattern) => `${theirId(pattern).slice(0, -4)}zzzz`],
  ["of another kind", (pattern) => (pattern.includes("/destinations/") ? myKey : myDestination)],
];

// A source of leak reports is a word of the contract's, and each keyring has its own of it.
const withId = ROUTES.filter(
  ({ pattern, scopes }) => pattern.includes("{") && !pattern.includes("{source}") && scopes !== "root",
);

describe.each(withId)("$method $path", ({ method, pattern, path, body }) => {
  const query = path.includes("?") ? path.slice(path.indexOf("?")) : "";

  it.each(IDS)("finds nothing under an id %s, and nothing changes on either side", async (_, of) => {
    const target = pattern.replace("{n}", "1").replace(/\{\w+\}/, of(pattern)) + query;
    const before = [await snapshot(mine), await snapshot(theirs)];
    expectProblem(await call(method, target, { body }), 404, "not-found");
    expectProblem(await mine.call(method, target, { body }), 404, "not-found");
    expect([await snapshot(mine), await snapshot(theirs)]).toEqual(before);
  });
});

describe("another keyring's", () => {
  it("destination cannot be sent to", async () => {
    const before = await snapshot(mine);
    const body = { name: "k", provider: "issuer", destinations: [{ id: theirs.destination }] };
    expectInvalid(await call("POST", "/v1/keys", { body }), "destinations.0.id");
    expect(await snapshot(mine)).toEqual(before);
  });

  it("connection cannot be used", async () => {
    const before = await snapshot(mine);
    const body = {
      name: "k",
      provider: "bitscale",
      connection: theirConnection,
      fields: { secret: "a-value-from-there" },
    };
    expectInvalid(await call("POST", "/v1/keys", { body }), "connection");
    expect(await snapshot(mine)).toEqual(before);
  });

  it("key names no rotations and no deliveries here", async () => {
    for (const list of ["rotations", "deliveries"]) {
      expectProblem(await call("GET", `/v1/${list}?key=${theirs.key}`), 404, "not-found");
    }
  });

  it("key has no events here", async () => {
    const { body } = await call("GET", `/v1/events?key=${theirs.key}`);
    expect(body).toEqual({ items: [], nextCursor: null });
  });

  it("issued key is unknown here, though valid there", async () => {
    const { secret } = await makeKey(theirs, "issued");
    const body = { key: secret };
    expect((await theirs.call("POST", "/v1/verify", { body })).body).toMatchObject({ code: "valid" });
    expect((await call("POST", "/v1/verify", { body })).body).toMatchObject({ code: "unknown", keyId: null });
  });

  it("adopted value is unknown here, though valid there", async () => {
    const secret = "a-value-of-their-own";
    await makeKey(theirs, "adopted", { fields: { secret } });
    const body = { key: secret };
    expect((await theirs.call("POST", "/v1/verify", { body })).body).toMatchObject({ code: "valid" });
    expect((await call("POST", "/v1/verify", { body })).body).toMatchObject({ code: "unknown", keyId: null });
  });

  it("access key opens only its own", async () => {
    const { secret } = await makeAccessKey(theirs, SCOPES);
    const { body } = await callAs(secret)<{ items: { id: string }[] }>("GET", "/v1/keys");
    const ids = body.items.map(({ id }) => id);
    expect(ids).toContain(theirs.key);
    const here = await call<{ items: { id: string }[] }>("GET", "/v1/keys");
    for (const { id } of here.body.items) expect(ids).not.toContain(id);
  });

  it("names are free here", async () => {
    expect((await call("POST", "/v1/keys", { body: { name: "billing", provider: "issuer" } })).status).toBe(
      201,
    );
    expect((await call("POST", "/v1/destinations", { body: { name: "store", type: "kv" } })).status).toBe(
      201,
    );
    expect(await connect({ call })).toMatchObject({ name: "account" });
  });
});
