/** What is wrong with the body of a call to /v1/keys is named, field by field, and nothing changes. */
import { beforeAll, describe, expect, it } from "vitest";
import { secureRandom } from "../../src/crypto/random.ts";
import { formatToken, newCode, newPublicId } from "../../src/issuer/token.ts";
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
  ["true", true, ""],
];

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i));
const issued = formatToken("sk_live", newCode(secureRandom), newPublicId(secureRandom), secureRandom);
const damaged = issued.slice(0, -1) + (issued.endsWith("A") ? "B" : "A");
const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
const anHourAgo = new Date(Date.now() - 3_600_000).toISOString();
const link = { id: "spare", as: "elsewhere" };

const POLICY_CASES: Case[] = [
  ["maxAge: soon", { policy: { maxAge: "soon" } }, "policy.maxAge"],
  [
    "every duration as a number",
    { policy: { maxAge: 30, jitter: 1, grace: 1, deliverWithin: 1, cooldown: 1 } },
    "policy.maxAge",
    "policy.jitter",
    "policy.grace",
    "policy.deliverWithin",
    "policy.cooldown",
  ],
  ["months in capitals", { policy: { grace: "30M" } }, "policy.grace"],
  ["a negative duration", { policy: { grace: "-1d" } }, "policy.grace"],
  ["more than ten years", { policy: { grace: "3651d" } }, "policy.grace"],
  ["an unknown part of a policy", { policy: { every: "30d" } }, "policy.every"],
  ["a policy that is a string", { policy: "30d" }, "policy"],
];

const LABEL_CASES: Case[] = [
  ["a label's name with a space", { labels: { "bad name": "x" } }, "labels.bad name"],
  ["a label without a name", { labels: { "": "x" } }, "labels."],
  ["a label that is a number", { labels: { team: 1 } }, "labels.team"],
  ["a label of 256 characters", { labels: { team: "x".repeat(256) } }, "labels.team"],
  ["33 labels", { labels: Object.fromEntries(times(33, (i) => [`l${i}`, "x"])) }, "labels"],
  ["labels as a list", { labels: [] }, "labels"],
];

const LINK_CASES: Case[] = [
  ["destinations as a string", { destinations: "store" }, "destinations"],
  ["a destination without id", { destinations: [{}] }, "destinations.0.id"],
  ["a destination that does not exist", { destinations: [link, { id: "nowhere" }] }, "destinations.1.id"],
  ["a destination named twice", { destinations: [link, { id: "spare", as: "twice" }] }, "destinations.1.id"],
  ["an unknown field of a destination", { destinations: [{ ...link, to: "x" }] }, "destinations.0.to"],
  ["required: yes", { destinations: [{ ...link, required: "yes" }] }, "destinations.0.required"],
  ["as with a slash", { destinations: [{ id: "spare", as: "a/b" }] }, "destinations.0.as"],
  ["51 destinations", { destinations: times(51, () => link) }, "destinations"],
];

describe("POST /v1/keys refuses", () => {
  const withName = (cases: Case[]) =>
    cases.map(
      ([what, body, ...fields]): Case => [
        what,
        { name: "fresh", provider: "issuer", ...(body as object) },
        ...fields,
      ],
    );
  check("POST", "/v1/keys", [
    ...NOT_OBJECTS,
    ["an empty object", {}, "name", "provider"],
    ...withName([
      ["a name that is a number", { name: 5 }, "name"],
      ["an empty name", { name: "" }, "name"],
      ["a name with a space", { name: "a b" }, "name"],
      ["a name with a slash", { name: "a/b" }, "name"],
      ["a name with a line break", { name: "a\n" }, "name"],
      ["a name that begins with a dash", { name: "-a" }, "name"],
      ["a name of 65 characters", { name: "x".repeat(65) }, "name"],
      ["a name that looks like an id", { name: "key_abc" }, "name"],
      ["an unknown provider", { provider: "aws" }, "provider"],
      ["a provider from the prototype", { provider: "constructor" }, "provider"],
      ["a prefix that begins with a digit", { prefix: "1sk" }, "prefix"],
      ["a prefix that ends with an underscore", { prefix: "sk_" }, "prefix"],
      ["a prefix with two underscores together", { prefix: "sk__live" }, "prefix"],
      ["a prefix with a dash", { prefix: "sk-live" }, "prefix"],
      ["a prefix of 41 characters", { prefix: "x".repeat(41) }, "prefix"],
      ["an empty prefix", { prefix: "" }, "prefix"],
      ["scopes as a string", { scopes: "read" }, "scopes"],
      ["wrong ones among the scopes", { scopes: ["", "ok", 1] }, "scopes.0", "scopes.2"],
      ["101 scopes", { scopes: times(101, (i) => `s${i}`) }, "scopes"],
      ["an unknown role", { role: "boss" }, "role"],
      ["a subject of 201 characters", { subject: "x".repeat(201) }, "subject"],
      ["expiresAt: soon", { expiresAt: "soon" }, "expiresAt"],
      ["expiresAt without a time zone", { expiresAt: "2999-01-01T00:00:00" }, "expiresAt"],
      ["expiresAt on a day that never comes", { expiresAt: "2999-02-30T00:00:00Z" }, "expiresAt"],
      ["expiresAt as a number", { expiresAt: 4_102_444_800_000 }, "expiresAt"],
      ["expiresAt in the past", { expiresAt: anHourAgo }, "expiresAt"],
      ["a schedule without a receiver", { policy: { maxAge: "30d" } }, "policy"],
      ...POLICY_CASES,
      ...LABEL_CASES,
      ...LINK_CASES,
      ["fields without a secret", { fields: { other: "x" } }, "fields.secret"],
      ["a secret of 7 characters", { fields: { secret: "1234567" } }, "fields.secret"],
      ["a secret that is a number", { fields: { secret: 12_345_678 } }, "fields.secret"],
      ["a field that is not text", { fields: { secret: "12345678", extra: {} } }, "fields.extra"],
      [
        "17 fields",
        { fields: { secret: "12345678", ...Object.fromEntries(times(16, (i) => [`f${i}`, "x"])) } },
        "fields",
      ],
      ["an issued key as an adopted value", { fields: { secret: issued } }, "fields.secret"],
      ["a damaged issued key as an adopted value", { fields: { secret: damaged } }, "fields.secret"],
      ["issuedAt without fields", { issuedAt: anHourAgo }, "issuedAt"],
      ["issuedAt in the future", { fields: { secret: "12345678" }, issuedAt: inAnHour }, "issuedAt"],
      ["an access key without scopes", { provider: "access" }, "scopes"],
      [
        "scopes that the API does not know",
        { provider: "access", scopes: ["keys:read", "keys:*", "root"] },
        "scopes.1",
        "scopes.2",
      ],
      [
        "an adopted access key",
        { provider: "access", scopes: ["keys:read"], fields: { secret: "12345678" } },
        "fields",
      ],
      ["fields it does not know, each by name", { nme: 1, secret: "x", id: "key_x" }, "nme", "secret", "id"],
      [
        "many wrong fields, naming all of them",
        {
          name: 1,
          provider: 2,
          prefix: 3,
          scopes: 4,
          labels: 5,
          policy: 6,
          destinations: 7,
          fields: 8,
          x: 9,
        },
        ...["name", "provider", "prefix", "scopes", "labels", "policy", "destinations", "fields", "x"],
      ],
    ]),
  ]);
});

describe("PATCH /v1/keys/{key} refuses", () => {
  check("PATCH", "/v1/keys/billing", [
    ...NOT_OBJECTS,
    ["an empty object", {}, ""],
    ["another name", { name: "other", paused: true }, "name"],
    ["other scopes", { scopes: ["keys:write"], paused: true }, "scopes"],
    ["another expiry", { expiresAt: inAnHour, paused: true }, "expiresAt"],
    ["paused: yes", { paused: "yes" }, "paused"],
    ["a schedule when nobody is left to receive", { policy: { maxAge: "1d" }, destinations: [] }, "policy"],
    ...POLICY_CASES,
    ...LABEL_CASES,
    ...LINK_CASES,
    ["a right part beside a wrong one", { labels: { a: "b" }, policy: { grace: "soon" } }, "policy.grace"],
  ]);
});

describe("POST /v1/keys/{key}/rotate refuses", () => {
  check("POST", "/v1/keys/billing/rotate", [
    ...NOT_OBJECTS,
    ["grace: soon", { grace: "soon" }, "grace"],
    ["a reason of 501 characters", { reason: "x".repeat(501) }, "reason"],
    ["an unknown way to reveal", { reveal: "outline" }, "reveal"],
    ["reveal: true", { reveal: true }, "reveal"],
    ["an unknown field", { force: true }, "force"],
  ]);
});

describe("POST /v1/keys/{key}/revoke refuses", () => {
  check("POST", "/v1/keys/billing/revoke", [
    ...NOT_OBJECTS,
    ["no reason", {}, "reason"],
    ["an empty reason", { reason: "" }, "reason"],
    ["a reason of 501 characters", { reason: "x".repeat(501) }, "reason"],
    ["version 0", { reason: "leaked", version: 0 }, "version"],
    ["version 1.5", { reason: "leaked", version: 1.5 }, "version"],
    ["a version in words", { reason: "leaked", version: "1" }, "version"],
    ["a version beyond every integer", { reason: "leaked", version: 1e300 }, "version"],
    ["an unknown field", { reason: "leaked", versions: [1] }, "versions"],
  ]);
});
