/** What is wrong with destinations, keyrings, verification and queries is named, field by field, and nothing changes. */
import { beforeAll, describe, expect, it } from "vitest";
import { ROOT, request } from "../support/api.ts";
import { expectInvalid, type Furnished, furnish, snapshot } from "./fixtures.ts";

let ring: Furnished;
beforeAll(async () => {
  ring = await furnish();
});

type Case = [what: string, body: unknown, ...fields: string[]];

function check(method: string, path: string, cases: Case[]): void {
  it.each(cases)("%s", async (_, body, ...fields) => {
    const before = await snapshot(ring);
    expectInvalid(await ring.call(method, path, { rawBody: JSON.stringify(body) }), ...fields);
    expect(await snapshot(ring)).toEqual(before);
  });
}

const NOT_OBJECTS: Case[] = [
  ["null", null, ""],
  ["an array", [], ""],
  ["a string", "name", ""],
  ["a number", 5, ""],
];

const webhook = { url: "https://hooks.acme.dev/rekey", secretMode: "plain" };

const nest = (depth: number): unknown => (depth === 0 ? "x" : { a: nest(depth - 1) });

describe("POST /v1/destinations refuses", () => {
  const withName = (cases: Case[]) =>
    cases.map(
      ([what, body, ...fields]): Case => [
        what,
        { name: "fresh", type: "webhook", ...(body as object) },
        ...fields,
      ],
    );
  check("POST", "/v1/destinations", [
    ...NOT_OBJECTS,
    ["an empty object", {}, "name", "type"],
    ["an unknown type", { name: "fresh", type: "ftp" }, "type"],
    ["a type from the prototype", { name: "fresh", type: "toString" }, "type"],
    ["a config that is a string", { name: "fresh", type: "kv", config: "x" }, "config"],
    ["an unknown part of a KV config", { name: "fresh", type: "kv", config: { url: "x" } }, "config.url"],
    [
      "propagation: soon",
      { name: "fresh", type: "kv", config: { propagation: "soon" } },
      "config.propagation",
    ],
    ["a config nested 17 deep", { name: "fresh", type: "kv", config: nest(17) }, "config"],
    ["a config nested 2,000 deep", { name: "fresh", type: "kv", config: nest(2_000) }, "config"],
    ...withName([
      ["a name with a space", { name: "a b", config: webhook }, "name"],
      ["a name that looks like an id", { name: "dst_abc", config: webhook }, "name"],
      ["a webhook without config", {}, "config.url", "config.secretMode"],
      ["a webhook without a mode", { config: { url: webhook.url } }, "config.secretMode"],
      ["an unknown mode", { config: { ...webhook, secretMode: "open" } }, "config.secretMode"],
      ["an unknown part of a webhook's config", { config: { ...webhook, method: "GET" } }, "config.method"],
      ["a URL that is a number", { config: { ...webhook, url: 5 } }, "config.url"],
      ["a signing secret of one's own", { config: webhook, signingSecret: "whsec_x" }, "signingSecret"],
    ]),
  ]);
});

describe("PATCH /v1/destinations/{id} refuses", () => {
  check("PATCH", "/v1/destinations/store", [
    ...NOT_OBJECTS,
    ["an empty object", {}, ""],
    ["another type", { type: "webhook", name: "good" }, "type"],
    ["another state", { state: "ready", name: "good" }, "state"],
    ["a name with a space", { name: "a b" }, "name"],
    ["the config of another type", { config: webhook }, "config.url", "config.secretMode"],
    ["a good name beside a bad config", { name: "good", config: { propagation: 5 } }, "config.propagation"],
  ]);
});

describe("POST /v1/keyrings refuses", () => {
  it.each<Case>([
    ...NOT_OBJECTS,
    ["an empty object", {}, "name"],
    ["a name with a slash", { name: "a/b" }, "name"],
    ["a name of 65 characters", { name: "x".repeat(65) }, "name"],
    ["a code of one's own", { name: "fresh", code: "AAAAAAAA" }, "code"],
  ])("%s", async (_, body, ...fields) => {
    const list = () => request(ROOT, "GET", "/v1/keyrings?limit=100");
    const before = (await list()).body;
    expectInvalid(await request(ROOT, "POST", "/v1/keyrings", { rawBody: JSON.stringify(body) }), ...fields);
    expect((await list()).body).toEqual(before);
  });
});

describe("POST /v1/verify refuses", () => {
  check("POST", "/v1/verify", [
    ...NOT_OBJECTS,
    ["no key", {}, "key"],
    ["an empty key", { key: "" }, "key"],
    ["a key that is a number", { key: 5 }, "key"],
    ["a key of 16,385 characters", { key: "x".repeat(16_385) }, "key"],
    ["scopes as a string", { key: "x", scopes: "read" }, "scopes"],
    ["an unknown mode", { key: "x", mode: "psychic" }, "mode"],
    ["an unknown field", { key: "x", secret: "y" }, "secret"],
  ]);
});

describe("a query is refused for", () => {
  const lists = [
    "/v1/keys",
    "/v1/rotations",
    "/v1/deliveries",
    "/v1/destinations",
    "/v1/events",
    "/v1/keyrings",
  ];
  const ofLists = lists.flatMap((path) => [
    [`${path}?limit=0`, "limit"],
    [`${path}?limit=101`, "limit"],
    [`${path}?limit=-1`, "limit"],
    [`${path}?limit=1.5`, "limit"],
    [`${path}?limit=ten`, "limit"],
    [`${path}?limit=`, "limit"],
    [`${path}?limit=1&limit=2`, "limit"],
    [`${path}?offset=1`, "offset"],
    [`${path}?cursor=${"x".repeat(201)}`, "cursor"],
  ]);
  it.each([
    ...ofLists,
    ["/v1/keys?status=alive", "status"],
    ["/v1/keys?label=team", "label"],
    ["/v1/keys?label==x", "label"],
    ["/v1/keys?dueBefore=soon", "dueBefore"],
    ["/v1/keys?secret=x", "secret"],
    ["/v1/events?type=key.eaten", "type"],
    [`/v1/keys/${"x".repeat(101)}`, "key"],
    [`/v1/rotations/${"x".repeat(101)}`, "id"],
    [`/v1/destinations/${"x".repeat(101)}`, "id"],
  ])("GET %s", async (path, field) => {
    expectInvalid(await ring.call("GET", path), field);
  });

  it.each([
    ["/v1/events?type=key.eaten", "type"],
    ["/v1/events?kye=billing", "kye"],
  ])("GET %s as a stream", async (path, field) => {
    expectInvalid(await ring.call("GET", path, { headers: { accept: "application/x-ndjson" } }), field);
  });

  it.each([
    ["POST", "/v1/keys/billing/rotate?wait=31s", "wait"],
    ["POST", "/v1/keys/billing/rotate?wait=soon", "wait"],
    ["POST", "/v1/keys/billing/rotate?wait=-1s", "wait"],
    ["POST", "/v1/keys/billing/rotate?force=true", "force"],
    ["PATCH", "/v1/keys/billing?rotate=yes", "rotate"],
    ["PATCH", "/v1/keys/billing?rotate=true&force=true", "force"],
  ])("%s %s, and nothing changes", async (method, path, field) => {
    const before = await snapshot(ring);
    const body = method === "PATCH" ? { paused: true } : {};
    expectInvalid(await ring.call(method, path, { body }), field);
    expect(await snapshot(ring)).toEqual(before);
  });
});
