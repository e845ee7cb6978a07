/** The contract: a whole OpenAPI 3.1 document, and what is answered fits it. */
import { beforeAll, describe, expect, it } from "vitest";
import { OPENMETRICS } from "../../src/api/openmetrics.ts";
import { createApp } from "../../src/app.ts";
import { CATALOGUE } from "../../src/errors/catalogue.ts";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { type Answer, ROOT, request } from "../support/api.ts";
import { findMisfits, type Schema } from "./conform.ts";
import { expectProblem, furnish, makeAccessKey } from "./fixtures.ts";
import { fill, ROUTES } from "./routes.ts";

interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  security?: unknown;
  parameters?: { name: string; in: string; required?: boolean; schema: Schema }[];
  requestBody?: { required: boolean; content: Record<string, { schema: Schema }> };
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>;
}

interface Contract {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    securitySchemes: Record<string, Schema>;
    responses: Record<string, { description: string }>;
    parameters: Record<string, Schema>;
  };
}

let contract: Contract;
beforeAll(async () => {
  const answer = await request<Contract>(null, "GET", "/openapi.json");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toContain("application/json");
  contract = answer.body;
});

function operationOf(method: string, pattern: string): Operation {
  const operation = contract.paths[pattern]?.[method.toLowerCase()];
  if (!operation) throw new Error(`${method} ${pattern} is not documented`);
  return operation;
}

describe("the document", () => {
  it("is OpenAPI 3.1 with a title, a version and one way to authenticate", () => {
    expect(contract.openapi).toMatch(/^3\.1\.\d+$/);
    expect(contract.info).toMatchObject({
      title: "Rekey",
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    });
    expect(contract.components.securitySchemes).toMatchObject({ bearer: { type: "http", scheme: "bearer" } });
  });

  it("has no reference that leads nowhere", () => {
    const references = [...JSON.stringify(contract).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, target]) => target,
    );
    expect(references.length).toBeGreaterThan(20);
    for (const target of new Set(references)) {
      const [, , kind, name] = String(target).split("/");
      const known: Record<string, object> = contract.components;
      expect(Object.keys(known[String(kind)] ?? {})).toContain(name);
    }
  });
});

const LINES = "application/x-ndjson";

describe.each(ROUTES)("$method $path in the document", (route) => {
  const { method, pattern, path, status, body, rawBody, prepare } = route;

  it("has a summary, its credential, its parameters, its answer and the problem it may answer instead", () => {
    const { summary, tags, security, parameters = [], responses } = operationOf(method, pattern);
    expect(summary).toMatch(/^[A-Z].*[^.]$/);
    expect(tags).toHaveLength(1);
    expect(security).toEqual([{ bearer: [] }]);
    const inPath = [...pattern.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const documented = parameters.filter((parameter) => parameter.in === "path");
    expect(documented.map(({ name }) => name)).toEqual(inPath);
    expect(documented.every(({ required }) => required)).toBe(true);
    const inQuery = parameters.filter((parameter) => parameter.in === "query").map(({ name }) => name);
    for (const name of new URLSearchParams(path.split("?")[1]).keys()) expect(inQuery).toContain(name);
    if (status < 400) expect(responses[String(status)]?.description).toMatch(/\S/);
    expect(responses.default?.content).toEqual({
      "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
    });
  });

  it("has its body, to which nothing can be added", () => {
    const { requestBody } = operationOf(method, pattern);
    expect(requestBody !== undefined).toBe(body !== undefined || rawBody !== undefined);
    if (rawBody) expect(Object.keys(requestBody?.content ?? {})).toEqual([LINES]);
    if (!requestBody || rawBody) return;
    const schema = requestBody.content["application/json"]?.schema ?? {};
    expect(findMisfits(contract.components.schemas, schema, body)).toEqual([]);
    expect(findMisfits(contract.components.schemas, schema, { ...body, more: 1 })).not.toEqual([]);
  });

  it("fits what is answered", async () => {
    const ring = await furnish();
    const made = await prepare?.(ring);
    const answer = await ring.call(method, fill(path, ring, made), {
      body,
      ...(rawBody && { rawBody: await rawBody(ring), headers: { "content-type": LINES } }),
    });
    expect(answer.status).toBe(status);
    if (status === 404) return;
    const { content } = operationOf(method, pattern).responses[String(status)] ?? {};
    if (status === 204) {
      expect(content).toBeUndefined();
      expect(answer.body).toBeNull();
      return;
    }
    if (content?.[LINES]) {
      expect(answer.headers.get("content-type")).toBe(LINES);
      expect(answer.body).toBeTypeOf("string");
      return;
    }
    if (content?.[OPENMETRICS]) {
      expect(answer.headers.get("content-type")).toBe(OPENMETRICS);
      expect(answer.body).toBeTypeOf("string");
      return;
    }
    const schema = content?.["application/json"]?.schema ?? {};
    expect(schema).not.toEqual({});
    expect(findMisfits(contract.components.schemas, schema, answer.body)).toEqual([]);
    expect(answer.headers.get("content-type")).toContain("application/json");
  });
});

describe("the header Rekey-Keyring", () => {
  const takes = (method: string, pattern: string) =>
    JSON.stringify(operationOf(method, pattern).parameters ?? []).includes("parameters/RekeyKeyring");

  it.each(ROUTES)("stands where it chooses the keyring, and nowhere else: $method $pattern", (route) => {
    expect(takes(route.method, route.pattern)).toBe(!route.pattern.startsWith("/v1/keyrings"));
  });

  it("chooses the keyring of a root token, `default` when it is not there, and never that of an access key", async () => {
    expect(contract.components.parameters.RekeyKeyring).toMatchObject({
      name: "Rekey-Keyring",
      in: "header",
      required: false,
      schema: { default: "default" },
    });
    const [mine, other] = [await furnish(), await furnish()];
    const { call } = await makeAccessKey(mine, ["keys:read"]);
    const headers = { "rekey-keyring": other.name };
    const idOf = (answer: Answer<Record<string, unknown>>) => answer.body.id;
    expect(idOf(await request(ROOT, "GET", "/v1/keys/billing", { headers }))).toBe(other.key);
    expect(idOf(await call("GET", "/v1/keys/billing", { headers }))).toBe(mine.key);
    expect((await request(ROOT, "GET", "/v1/keys/billing")).status).toBe(404);
    const none = { headers: { "rekey-keyring": "nobody-made-this" } };
    expectProblem(await request(ROOT, "GET", "/v1/keys", none), 404, "keyring-unknown");
  });
});

describe("GET /healthz", () => {
  it("is in the document without a credential, and answers what that says", async () => {
    const { security, responses, parameters } = operationOf("GET", "/healthz");
    expect({ security, parameters }).toEqual({ security: [], parameters: undefined });
    expect(Object.keys(responses)).toEqual(["200", "503"]);
    const answer = await request(null, "GET", "/healthz");
    expect(answer.status).toBe(200);
    const schemaOf = (status: string) => responses[status]?.content?.["application/json"]?.schema ?? {};
    expect(findMisfits(contract.components.schemas, schemaOf("200"), answer.body)).toEqual([]);
    const bare = await createApp().request("/healthz", {}, {});
    expect(bare.status).toBe(503);
    const { missing } = (await bare.clone().json()) as { missing: string[] };
    expect(missing.join(" ")).toContain("ROOT_TOKEN");
    expect(findMisfits(contract.components.schemas, schemaOf("503"), await bare.json())).toEqual([]);
  });
});

describe("the operations", () => {
  it.each([
    ["GET", "/v1/keys", "listKeys"],
    ["POST", "/v1/keys", "createKey"],
    ["GET", "/v1/policies/{id}", "getPolicy"],
    ["PATCH", "/v1/keys/{key}", "updateKey"],
    ["PUT", "/v1/keys/{key}/value", "replaceKeyValue"],
    ["POST", "/v1/keys/{key}/versions/{n}/extend", "extendVersion"],
    ["POST", "/v1/deliveries/{id}/replay", "replayDelivery"],
    ["POST", "/v1/deliveries/replay", "replayDeliveries"],
    ["POST", "/v1/settings/hold", "holdRotations"],
  ])("have ids that code can be named after: %s %s is %s", (method, pattern, id) => {
    expect(operationOf(method, pattern).operationId).toBe(id);
  });

  it.each([
    ["GET", "/v1/settings", "401 403 404 429"],
    ["GET", "/v1/keys", "401 403 404 422 429"],
    ["DELETE", "/v1/keys/{key}", "401 403 404 409 422 429"],
    ["POST", "/v1/keys", "400 401 403 404 409 413 422 429"],
  ])("name the problems that they may answer: %s %s", (method, pattern, statuses) => {
    const { responses } = operationOf(method, pattern);
    const found = Object.keys(responses).filter((status) => status.startsWith("4"));
    expect(found.join(" ")).toBe(statuses);
  });

  it("name every code of the catalogue where its status is", () => {
    const described = Object.values(contract.components.responses).map(({ description }) => description);
    const codes = Object.entries(CATALOGUE).filter(([, { status }]) => status < 500);
    for (const [code] of codes) {
      expect(described.filter((text) => text.includes(`\`${code}\``))).toHaveLength(1);
    }
  });
});

describe("the POST routes that make or change something", () => {
  it.each(["/v1/keyrings", "/v1/keys", "/v1/keys/{key}/rotate", "/v1/keys/{key}/revoke", "/v1/destinations"])(
    "%s takes an Idempotency-Key, which nobody must send",
    (pattern) => {
      const { parameters = [] } = operationOf("POST", pattern);
      const header = parameters.find((parameter) => parameter.in === "header");
      expect(header).toMatchObject({ name: "idempotency-key", required: false });
    },
  );
});

describe("the problem of the document", () => {
  it("fits every kind of problem", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:write"]);
    const problems = [
      await call("GET", "/v1/keys"),
      await call("POST", "/v1/keys", { body: {} }),
      await call("POST", "/v1/keys", { body: { name: "x", provider: "access", scopes: SCOPES } }),
      await ring.call("DELETE", "/v1/destinations/store"),
      await ring.call("POST", "/v1/keys", { body: { name: "billing", provider: "issuer" } }),
      await ring.call("GET", "/v1/keys/nothing"),
    ];
    const schema = contract.components.schemas.Problem ?? {};
    for (const answer of problems) {
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(findMisfits(contract.components.schemas, schema, answer.body)).toEqual([]);
    }
  });
});

describe("comparing with the contract", () => {
  const schemas = { Thing: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } };
  const ref = { $ref: "#/components/schemas/Thing" };

  it.each([
    [{ a: 1 }, 0],
    [{}, 1],
    [{ a: "1" }, 1],
    [{ a: 1.5 }, 1],
    [{ a: 1, b: 2 }, 1],
    [[], 1],
    [null, 1],
  ])("finds what is wrong with %j", (value, misfits) => {
    expect(findMisfits(schemas, ref, value)).toHaveLength(misfits);
  });
});
