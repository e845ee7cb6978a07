/** POST /v1/rotations and /v1/batches: rotations of many keys at once. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { durationSchema } from "../duration.ts";
import { PROVIDER_NAMES } from "../providers/registry.ts";
import { onKeyring } from "./auth.ts";
import {
  answer,
  idempotencyHeader,
  jsonBody,
  labelPairSchema,
  optionalTimeOutSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  splitLabel,
  timeOutSchema,
} from "./schemas.ts";

const selectSchema = z
  .strictObject({
    provider: z.enum(PROVIDER_NAMES).optional(),
    connection: z.string().min(1).max(100).optional().openapi({ description: "Id or name." }),
    label: labelPairSchema.max(320).optional(),
    all: z.literal(true).optional().openapi({ description: "Every key: goes with nothing else." }),
  })
  .refine((select) => Object.keys(select).length > 0, {
    message: "must name a provider, a connection or a label, or say all: true",
  })
  .refine(({ all, ...named }) => all === undefined || Object.keys(named).length === 0, {
    path: ["all"],
    message: "goes with nothing else: it means every key",
  })
  .openapi("KeySelection", { description: "The keys to which all that is named applies." });

const createBatchSchema = z
  .strictObject({
    select: selectSchema,
    grace: durationSchema
      .optional()
      .openapi({ description: "In place of each key's own; longer than its maxGrace leaves the key out." }),
    reason: z.string().min(1).max(500),
    dryRun: z.boolean().default(false).openapi({
      description: "Only say what it would do: answers 200 with a plan, and nothing is changed.",
    }),
  })
  .openapi("CreateBatch");

const selectOutSchema = z.object({
  provider: z.string().nullable(),
  connection: z.string().nullable(),
  label: z.string().nullable(),
});

const skippedSchema = z
  .array(
    z.object({
      reason: z.string().openapi({
        description: "The code that a rotation by hand would answer; see docs/errors.md.",
      }),
      count: z.int(),
      keys: z.array(z.string()).openapi({ description: "Ids of the first ten." }),
    }),
  )
  .openapi({ description: "Keys that are left out, the most frequent reason first." });

const estimateSchema = z.object({
  seconds: z.int().nullable().openapi({ description: "Null while nothing is known to make it of." }),
  words: z.string(),
});

const waitsForSchema = z
  .string()
  .nullable()
  .openapi({ description: "Why no more are started at this moment, in words." });

export const batchSchema = z
  .object({
    id: z.string(),
    state: z.enum(["running", "paused", "cancelled", "done"]),
    select: selectOutSchema,
    grace: z.string().nullable(),
    reason: z.string(),
    requestedBy: z.string(),
    total: z.int().openapi({ description: "Keys when it was made; later ones are no part of it." }),
    left: z.int().openapi({ description: "Keys that it has not looked at yet." }),
    started: z.int(),
    joined: z.int().openapi({ description: "Keys that were being rotated already." }),
    live: z.int().openapi({ description: "Rotations that it started or joined and that are not over." }),
    succeeded: z.int(),
    failed: z.int().openapi({ description: "Failed or cancelled." }),
    skipped: skippedSchema,
    waitsFor: waitsForSchema,
    problem: z.string().nullable().openapi({ description: "Why Rekey itself paused or cancelled it." }),
    estimate: estimateSchema.openapi({ description: "Until the last of its keys is rotated." }),
    createdAt: timeOutSchema,
    endedAt: optionalTimeOutSchema,
  })
  .openapi("Batch");

const planSchema = z
  .object({
    select: selectOutSchema,
    keys: z.int(),
    looked: z.int().openapi({
      description: "Keys looked at one by one: all, or the first 10,000, of which the rest speaks.",
    }),
    accounts: z
      .array(z.object({ provider: z.string(), connection: z.string().nullable(), keys: z.int() }))
      .openapi({ description: "How many keys there are at each account." }),
    starts: z.int(),
    joins: z.int().openapi({ description: "Keys that are being rotated already." }),
    skipped: skippedSchema,
    first: z.array(z.string()).openapi({ description: "Ids of keys that open a connection: they go first." }),
    waitsFor: waitsForSchema,
    estimate: estimateSchema,
  })
  .openapi("BatchPlan");

const create = createRoute({
  method: "post",
  path: "/v1/rotations",
  operationId: "createBatch",
  summary: "Rotate many keys, or see first what that would do",
  description: "They start a few at a time, within what each service allows. Emergencies go first.",
  tags: ["batches"],
  security,
  request: { headers: idempotencyHeader, body: jsonBody(createBatchSchema) },
  responses: {
    200: answer("The plan", z.object({ plan: planSchema })),
    202: answer("Under way", batchSchema),
    ...problems,
  },
});

const list = createRoute({
  method: "get",
  path: "/v1/batches",
  summary: "List batches, newest first",
  tags: ["batches"],
  security,
  request: { query: pageQuerySchema },
  responses: { 200: answer("A page", pageSchema(batchSchema)), ...problems },
});

const idParam = z.object({ id: z.string().max(100) });

const read = createRoute({
  method: "get",
  path: "/v1/batches/{id}",
  summary: "Read a batch with its progress",
  tags: ["batches"],
  security,
  request: { params: idParam },
  responses: { 200: answer("The batch", batchSchema), ...problems },
});

const pause = createRoute({
  method: "post",
  path: "/v1/batches/{id}/pause",
  summary: "Start no more of a batch until it is resumed",
  description: "What is live goes on.",
  tags: ["batches"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The batch", batchSchema), ...problems },
});

const resume = createRoute({
  method: "post",
  path: "/v1/batches/{id}/resume",
  summary: "Go on with a batch that is paused",
  tags: ["batches"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The batch", batchSchema), ...problems },
});

const cancel = createRoute({
  method: "post",
  path: "/v1/batches/{id}/cancel",
  summary: "Start no more of a batch, for good",
  description: "What is live goes on; POST /v1/rotations/{id}/cancel stops one of these.",
  tags: ["batches"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The batch", batchSchema), ...problems },
});

export function addBatches(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    const { dryRun, select, ...rest } = c.req.valid("json");
    const { provider, connection, label } = select;
    const input = {
      ...rest,
      select: { provider, connection, label: label === undefined ? undefined : splitLabel(label) },
    };
    if (dryRun) {
      return c.json({ plan: await onKeyring(c, (keyring, call) => keyring.planBatch(call, input)) }, 200);
    }
    return c.json(await onKeyring(c, (keyring, call) => keyring.createBatch(call, input)), 202);
  });

  app.openapi(list, async (c) => {
    const page = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listBatches(call, page)), 200);
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getBatch(call, id)), 200);
  });

  app.openapi(pause, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.changeBatch(call, id, "pause")), 200);
  });

  app.openapi(resume, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.changeBatch(call, id, "resume")), 200);
  });

  app.openapi(cancel, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.changeBatch(call, id, "cancel")), 200);
  });
}
