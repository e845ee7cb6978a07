/**
 * Every route of the document, driven from its own schemas: nothing answers 500, what does not fit its schema is refused, what is
 * refused changes nothing and is a problem of the catalogue, what is answered fits the document, and each route is seen to do what it is
 * there for. A new route needs no line here.
 */
import * as fc from "fast-check";
import { HttpResponse, http } from "msw";
import { describe, expect, it, vi } from "vitest";
import { describeApp } from "../../src/api/document.ts";
import { createApp } from "../../src/app.ts";
import { CATALOGUE, type FailureCode } from "../../src/errors/catalogue.ts";
import { type Answer, makeKeyring } from "../support/api.ts";
import { network, QUIET_URL } from "../support/network.ts";
import { inRegistry } from "../support/registry.ts";
import { exportFile, PASSPHRASE, wipe } from "../support/transfer.ts";
import { type Lore, makeBroken, makeFitting } from "./arbitrary.ts";
import { findMisfits, type Schema } from "./conform.ts";
import {
  expectProblem,
  type Furnished,
  furnish,
  makeKey,
  makeLostKey,
  makeStuckRevocation,
  makeStuckRotation,
  readTables,
  settle,
  snapshot,
} from "./fixtures.ts";
import { connect, makePausedBatch } from "./routes.ts";

const RUNS = 30;
/** They are quick, as nothing has to come to rest after them. */
const READING_RUNS = 100;
/** A keyring that is no longer as it was after so many changes is replaced by a fresh one. */
const CHANGES_EACH = 3;
/** Until a route has done once what it is there for, it gets this many more requests that fit. */
const TRIES = 1_500;
/** What is not at rest by then waits for somebody outside. */
const REST_MS = 200;
vi.setConfig({ testTimeout: 120_000 });

interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
}

/** To the one parameter that several operations share: `Rekey-Keyring`. */
interface Reference {
  $ref: string;
}

interface Operation {
  operationId: string;
  parameters?: (Parameter | Reference)[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}

interface Contract {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const contract: Contract = JSON.parse(JSON.stringify(describeApp(createApp())));
const { schemas } = contract.components;
const operations = Object.entries(contract.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);

/** A request, and whether the document says that it is wrong. */
interface Sent {
  parameters: (readonly [Parameter, unknown])[];
  extra?: string;
  headers: Record<string, string>;
  rawBody?: string | undefined;
  isBroken: boolean;
}

/** Ids and names in the keyring that a test has just then. */
let names: string[] = [];
/** What opens something: it is known to nobody but who was given it. */
let tokens: Record<string, string[]> = {};
const lore: Lore = { schemas, names: () => names, valuesOf: (field) => tokens[field] ?? [] };

/** The same by the name of the collection that they are in. */
let members: Record<string, string[]> = {};

/** What is written down of everything else is not named in a request. */
const UNNAMED = ["event", "due", "idempotency"];

/** A keyring with one of everything that a request can name, in each state in which it can be asked for something. */
async function stock(): Promise<Furnished> {
  const ring = await furnish();
  const subscription = { name: "ops", url: QUIET_URL, types: ["chain.broken"] };
  await ring.call("POST", "/v1/subscriptions", { body: subscription });
  await ring.call("POST", "/v1/policies", { body: { name: "shared", policy: { maxAge: "30d" } } });
  await ring.call("POST", "/v1/policies", { body: { name: "unused", policy: { maxAge: "30d" } } });
  await ring.call("POST", "/v1/destinations", { body: { name: "unused-too", type: "kv" } });
  await makeKey(ring, "claimed", { destinations: [{ id: "store", as: "claimed" }] });
  await settle(ring);
  const rotated = await ring.call<{ claim: { token: string } }>("POST", "/v1/keys/claimed/rotate?wait=10s", {
    body: { reveal: "claim" },
  });
  tokens = { claim: [rotated.body.claim.token], secret: ["a-value-made-by-hand"] };
  await settle(ring);
  await makeStuckRevocation(ring, "claimed");
  await makeLostKey(ring, "lost");
  await makeStuckRotation(ring, { state: "needs-human", step: "settle" });
  await connect(ring);
  await ring.call("POST", "/v1/compromises", { body: { secret: "nobody-has-this", source: "a test" } });
  await ring.call("PUT", "/v1/signals/standard", { body: {} });
  await makePausedBatch(ring);
  await settle(ring);
  const tables = Object.entries(await readTables(ring)).filter(([table]) => !UNNAMED.includes(table));
  const lists = tables.map(([table, rows]) => [
    table
      .replace(/y$/, "ie")
      .concat("s")
      .replace(/^keies$/, "keys")
      .replace(/^batchs$/, "batches")
      .toLowerCase(),
    rows.flatMap(({ id, name }) => [id, name]).filter((text) => typeof text === "string"),
  ]);
  members = { ...Object.fromEntries(lists), keyrings: [ring.name] };
  names = Object.values(members).flat();
  return ring;
}

/** What only some routes ask for, and what costs too much to have it for all of them. */
const ALSO: Record<string, () => Promise<unknown>> = {
  "POST /v1/keyrings/{name}/import": addLostKeyring,
};

/** One whose database is gone, and the file that brings it back. */
async function addLostKeyring(): Promise<void> {
  const moved = await makeKeyring();
  const file = await exportFile(moved.name, { passphrase: PASSPHRASE });
  await wipe(moved);
  members.keyrings = [...(members.keyrings ?? []), moved.name];
  files = [`${JSON.stringify({ passphrase: PASSPHRASE })}\n${file}`];
}

/** Bodies of lines that mean something. */
let files: string[] = [];

/** A value of a parameter, as it can stand in an address. */
const asText = (value: unknown) => (typeof value === "string" ? value.toWellFormed() : JSON.stringify(value));

/** Dots are a way through the path, no name in it. */
const isInPath = (value: unknown) => !["", ".", ".."].includes(asText(value));

/** What no header can hold is no value of a header. */
const isInHeader = (value: unknown) => /^(?! )[ -~]*(?<! )$/.test(asText(value));

const isSendable = ({ in: where }: Parameter, value: unknown) =>
  where === "query" || (where === "path" ? isInPath(value) : isInHeader(value));

/** Where everything is text, a schema is broken by the text of what breaks it. */
function isBrokenText({ schema }: Parameter, value: unknown): boolean {
  const text = asText(value);
  const isNumber = [schema.type].flat().includes("integer");
  return findMisfits(schemas, schema, isNumber && text.trim() !== "" ? Number(text) : text).length > 0;
}

function fittingParameter(path: string, parameter: Parameter): fc.Arbitrary<Sent["parameters"]> {
  // A rotation that waits for somebody is not over sooner for being waited for.
  const fitting =
    parameter.name === "wait" ? fc.constantFrom("0", "1s") : makeFitting(lore, parameter.schema);
  const value = fitting.filter((made) => isSendable(parameter, made));
  // Repeated now and then, as a client does that heard no answer.
  const again = fc.constantFrom("again", "once-more");
  const [, collection = ""] = path.match(`/([a-z-]+)/{${parameter.name}}`) ?? [];
  const isId = parameter.in === "path" && parameter.schema.type === "string";
  // Mostly something that is there: what comes after the look-up is worth more than the look-up.
  const there = fc.nat().map((n) => pick(members[collection] ?? names, n));
  const sent = parameter.in === "header" ? fc.oneof(again, value) : value;
  const chosen = isId ? fc.oneof({ weight: 5, arbitrary: there }, sent) : sent;
  const pair = chosen.map((made): Sent["parameters"] => [[parameter, made]]);
  const none = fc.constant<Sent["parameters"]>([]);
  return parameter.required ? pair : fc.oneof({ weight: 3, arbitrary: none }, pair);
}

const pick = (list: readonly string[], n: number) => list[n % list.length] ?? "nobody";

const nested = fc
  .tuple(
    fc.constantFrom(["[", "]"], ['{"config":', "}"], ['{"name":', "}"]),
    fc.integer({ min: 50, max: 6_000 }),
  )
  .map(([[open = "", close = ""], depth]) => `${open.repeat(depth)}1${close.repeat(depth)}`);

const isJson = (text: string) => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

const noJson = fc.oneof(
  fc.constantFrom("", "{", '{"name":"a",}', "NaN", "\u0000", "\ufeff{", '{"a":1}{"b":2}'),
  fc.string({ unit: "binary", maxLength: 200 }).filter((text) => !isJson(text)),
);

function bodyOf({ requestBody }: Operation) {
  const [type = "", media] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const schema = type === "application/json" ? media?.schema : undefined;
  const headers: Record<string, string> = type === "" ? {} : { "content-type": type };
  return { schema, headers, hasLines: media !== undefined && !schema };
}

/** Requests of one operation that fit the document. */
function makeFittingRequests(path: string, operation: Operation): fc.Arbitrary<Sent> {
  const { parameters = [] } = operation;
  const { schema, headers, hasLines } = bodyOf(operation);
  const fittingBody = schema
    ? makeFitting(lore, schema).map((body) => JSON.stringify(body))
    : hasLines
      ? fc.oneof(
          fc.array(fc.jsonValue().map((line) => JSON.stringify(line))).map((lines) => lines.join("\n")),
          fc.nat().map((n) => pick(files, n)),
        )
      : fc.constant(undefined);
  return fc
    .tuple(fittingBody, ...ownParameters(parameters).map((parameter) => fittingParameter(path, parameter)))
    .map(([rawBody, ...pairs]) => ({ parameters: pairs.flat(), headers, rawBody, isBroken: false }));
}

/** All but the header that chooses the keyring, which each request has. */
function ownParameters(parameters: readonly (Parameter | Reference)[]): Parameter[] {
  return parameters.filter((parameter) => "name" in parameter);
}

/** Whole requests of one operation, such as fit and such as have one thing wrong with them. */
function makeRequests(path: string, operation: Operation): fc.Arbitrary<Sent> {
  const parameters = ownParameters(operation.parameters ?? []);
  const { schema, headers } = bodyOf(operation);
  const fitting = makeFittingRequests(path, operation);
  const spoil = (values: fc.Arbitrary<Partial<Sent>>) =>
    fc.tuple(fitting, values).map(([sent, change]): Sent => ({ ...sent, ...change, isBroken: true }));
  const spoilt = parameters.flatMap((parameter) => {
    const broken = makeBroken(lore, parameter.schema);
    if (!broken) return [];
    const value = broken.filter((made) => isSendable(parameter, made) && isBrokenText(parameter, made));
    return [
      fc.tuple(fitting, value).map(([sent, made]): Sent => {
        const others = sent.parameters.filter(([{ name }]) => name !== parameter.name);
        return { ...sent, parameters: [...others, [parameter, made]], isBroken: true };
      }),
    ];
  });
  if (parameters.some((parameter) => parameter.in === "query")) {
    spoilt.push(spoil(fc.constantFrom({ extra: "nobodyKnowsThis=1" }, { extra: "limit=1&limit=2" })));
  }
  if (schema) {
    const broken = makeBroken(lore, schema);
    if (broken) {
      const body = spoil(broken.map((value) => ({ rawBody: JSON.stringify(value) })));
      spoilt.push(body, body, body);
    }
    spoilt.push(
      spoil(nested.map((rawBody) => ({ rawBody }))),
      spoil(noJson.map((rawBody) => ({ rawBody }))),
      spoil(
        fc
          .constantFrom("text/plain", "application/xml")
          .map((other) => ({ headers: { "content-type": other } })),
      ),
    );
  }
  if (operation.parameters?.some((parameter) => "$ref" in parameter)) {
    spoilt.push(spoil(fc.constant({ headers: { ...headers, "rekey-keyring": "nobody-made-this" } })));
  }
  if (spoilt.length === 0) return fitting;
  return fc.oneof({ weight: 2, arbitrary: fitting }, { weight: 3, arbitrary: fc.oneof(...spoilt) });
}

function send(ring: Furnished, method: string, pattern: string, sent: Sent): Promise<Answer<unknown>> {
  const query = new URLSearchParams();
  const headers = { ...sent.headers };
  let path = pattern;
  for (const [parameter, value] of sent.parameters) {
    const text = asText(value);
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, () => encodeURIComponent(text));
    else if (parameter.in === "query") query.append(parameter.name, text);
    else headers[parameter.name] = text;
  }
  const search = [query.toString(), sent.extra ?? ""].filter((part) => part !== "").join("&");
  return ring.call(method, search === "" ? path : `${path}?${search}`, {
    headers,
    ...(sent.rawBody !== undefined && { rawBody: sent.rawBody }),
  });
}

/** All that a refusal must leave as it was: the keyring, and which keyrings there are. */
async function lookAtAll(ring: Furnished): Promise<unknown> {
  const listed = await inRegistry((_, { storage }) =>
    storage.sql.exec("SELECT code, name FROM keyring ORDER BY code").toArray(),
  );
  return { listed, ring: await snapshot(ring) };
}

function expectFit({ responses }: Operation, answer: Answer<unknown>): void {
  const documented = responses[String(answer.status)];
  expect(documented, `the document says nothing of ${answer.status}`).toBeDefined();
  const schema = documented?.content?.["application/json"]?.schema;
  if (schema) expect(findMisfits(schemas, schema, answer.body)).toEqual([]);
}

describe.each(operations)("$method $path", ({ method, path, operation }) => {
  it("answers what the document says, and changes nothing when it refuses", async () => {
    // Whatever address a request brings along, somebody answers there.
    network.use(http.all("*", () => new HttpResponse(null, { status: 204 })));
    const title = `${method} ${path}`;
    const restock = async () => {
      const made = await stock();
      await ALSO[title]?.();
      return made;
    };
    let ring = await restock();
    let before = await lookAtAll(ring);
    let changes = 0;
    let isTaken = false;
    await fc.assert(
      fc.asyncProperty(makeRequests(path, operation), async (sent) => {
        const answer = await send(ring, method, path, sent);
        // Whatever is found wrong below, the next request, which makes it smaller, begins from what is there then.
        const was = before;
        if (answer.status >= 400 || sent.isBroken) before = await lookAtAll(ring);
        expect(answer.status).toBeLessThan(500);
        if (answer.status >= 400) {
          const { code, status } = answer.body as { code: FailureCode; status: number };
          expect(CATALOGUE[code]?.status).toBe(status);
          expectProblem(answer, status, code);
          expect(findMisfits(schemas, schemas.Problem ?? {}, answer.body)).toEqual([]);
          expect(operation.responses).toHaveProperty(String(status));
          expect(before).toEqual(was);
          return;
        }
        expect(sent.isBroken, "was taken, though the document rules it out").toBe(false);
        expectFit(operation, answer);
        isTaken = true;
        if (method === "GET") return;
        changes += 1;
        const isAtRest = await settle(ring, REST_MS).then(
          () => true,
          () => false,
        );
        if (!isAtRest || changes % CHANGES_EACH === 0) {
          ring = await restock();
        }
        before = await lookAtAll(ring);
      }),
      { numRuns: method === "GET" ? READING_RUNS : RUNS },
    );
    // Nobody but who has its secret gets beyond a signature: test/signals/strangers.test.ts does.
    if (path.startsWith("/hooks/")) return;
    for (const sent of isTaken ? [] : fc.sample(makeFittingRequests(path, operation), TRIES)) {
      const answer = await send(ring, method, path, sent);
      expect(answer.status).toBeLessThan(500);
      if (answer.status < 300) return expectFit(operation, answer);
    }
    expect(isTaken, "was never seen to succeed").toBe(true);
  });
});
