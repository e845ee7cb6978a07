/** /v1/compromises: report a leak, and read what came of it. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { onKeyring } from "./auth.ts";
import { toMarkdown } from "./incident.ts";
import { deliverySchema } from "./rotations.ts";
import {
  answer,
  callSchema,
  idempotencyHeader,
  jsonBody,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  timeOutSchema,
} from "./schemas.ts";

const stageSchema = z.enum(["pending", "current", "previous", "revoking", "revoked", "discarded", "lost"]);

const summarySchema = z
  .object({
    id: z.string(),
    source: z.enum(["github", "github-alert", "gitguardian", "standard", "api"]),
    reporter: z.string().openapi({ description: "Id of the access key, `root`, or `signal`." }),
    receivedAt: timeOutSchema,
    reports: z.int().openapi({ description: "How many things it named." }),
    leaks: z.int().openapi({ description: "How many of those are, or were, ours." }),
    open: z.int().openapi({
      description: "Leaked versions that were not seen dead yet, and other leaked secrets that count still.",
    }),
    state: z.enum(["asking", "unreadable", "acting", "open", "closed"]),
    problem: z.string().nullable(),
    lastCall: callSchema.nullable(),
  })
  .openapi("CompromiseSummary");

const leakSchema = z
  .object({
    kind: z.enum(["version", "connection", "destination", "claim-token", "subscription", "signal"]),
    key: z.string().nullable(),
    keyName: z.string().nullable(),
    version: z.int().nullable(),
    subject: z.string().openapi({ description: "Id of what leaked, or whose secret it is." }),
    stageThen: stageSchema.nullable(),
    stage: stageSchema.nullable(),
    source: z.string().nullable(),
    url: z
      .string()
      .nullable()
      .openapi({ description: "Where it was seen; without the value, should it be part of it." }),
    action: z
      .enum([
        "revoked",
        "discarded",
        "escalated",
        "started",
        "retried",
        "notified",
        "asked",
        "held-back",
        "none",
      ])
      .nullable()
      .openapi({ description: "What was done; null until it is." }),
    rotation: z.string().nullable(),
    secondsToDead: z.number().nullable().openapi({ description: "From the report until it was seen dead." }),
    confirmed: z.boolean().nullable(),
    timeline: z.array(z.object({ at: timeOutSchema, seconds: z.number(), what: z.string() })),
    deliveries: z.array(deliverySchema),
    todo: z.array(z.string()).openapi({ description: "What is left, in words." }),
  })
  .openapi("Leak");

const compromiseSchema = summarySchema
  .extend({
    secondsToDead: z.number().nullable(),
    items: z.array(leakSchema),
    nextCursor: z.string().nullable(),
  })
  .openapi("Compromise");

const inputSchema = z
  .strictObject({
    secret: z.string().min(8).max(16_384).optional().openapi({ description: "The value. It is not kept." }),
    fingerprint: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, { message: "must be 64 hex digits" })
      .optional()
      .openapi({ description: "Of a value from outside, as GET /v1/keys/{key} shows it." }),
    key: z.string().min(1).max(100).optional().openapi({ description: "Id or name of a key." }),
    version: z
      .int()
      .min(1)
      .optional()
      .openapi({ description: "With `key`: number of the version. Default: the current one." }),
    source: z
      .string()
      .min(1)
      .max(200)
      .openapi({ description: "Where it was seen.", example: "a public repository" }),
    url: z.string().max(2_048).optional(),
  })
  .superRefine((input, check) => {
    const named = [input.secret, input.fingerprint, input.key].filter((one) => one !== undefined);
    if (named.length !== 1)
      check.addIssue({
        code: "custom",
        path: ["secret"],
        message: "give one of secret, fingerprint and key",
      });
    if (input.version !== undefined && input.key === undefined)
      check.addIssue({ code: "custom", path: ["version"], message: "goes with key" });
  })
  .openapi("ReportCompromise");

const report = createRoute({
  method: "post",
  path: "/v1/compromises",
  operationId: "reportCompromise",
  summary: "Report a leak: the value is replaced and revoked at once",
  description:
    "What is done follows the key's policy (`onCompromise`). The answer says what matched and what was begun; GET goes on telling.",
  tags: ["compromises"],
  security,
  request: { headers: idempotencyHeader, body: jsonBody(inputSchema) },
  responses: { 201: answer("What it matched, and what was begun", compromiseSchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/compromises",
  summary: "List reports of leaks, newest first",
  tags: ["compromises"],
  security,
  request: {
    query: pageQuerySchema.extend({
      matched: z
        .enum(["true", "false"])
        .optional()
        .openapi({ description: "Only those that named something of ours, or only the others." }),
    }),
  },
  responses: { 200: answer("A page", pageSchema(summarySchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/compromises/{id}",
  operationId: "getCompromise",
  summary: "Read a report: its timeline from the signal to seen dead, and what is open",
  description: "As Markdown, for a postmortem, with `Accept: text/markdown`.",
  tags: ["compromises"],
  security,
  request: { params: z.object({ id: z.string().max(100) }), query: pageQuerySchema },
  responses: {
    200: {
      description: "The report",
      content: {
        "application/json": { schema: compromiseSchema },
        "text/markdown": { schema: z.string() },
      },
    },
    ...problems,
  },
});

export function addCompromises(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(report, async (c) => {
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.reportCompromise(call, input)), 201);
  });

  app.openapi(list, async (c) => {
    const { matched, ...page } = c.req.valid("query");
    const isMatched = matched === undefined ? undefined : matched === "true";
    return c.json(await onKeyring(c, (keyring, call) => keyring.listCompromises(call, isMatched, page)), 200);
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    const page = c.req.valid("query");
    const found = await onKeyring(c, (keyring, call) => keyring.getCompromise(call, id, page));
    if (!(c.req.header("accept") ?? "").includes("text/markdown")) return c.json(found, 200);
    return c.body(toMarkdown(found), 200, { "content-type": "text/markdown; charset=utf-8" });
  });
}
