/** /v1/rotations and /v1/deliveries: what is going on and what was. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { onKeyring } from "./auth.ts";
import {
  answer,
  callSchema,
  idempotencyHeader,
  optionalTimeOutSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  timeOutSchema,
} from "./schemas.ts";

export const deliverySchema = z
  .object({
    id: z.string(),
    key: z.string(),
    version: z.int(),
    revision: z.int().openapi({ description: "Order by this: a higher one wins." }),
    rotation: z.string().nullable(),
    destination: z.string(),
    as: z.string(),
    required: z.boolean(),
    mustAcknowledge: z.boolean(),
    state: z.enum(["pending", "delivered", "acknowledged", "failing", "superseded"]),
    attempts: z.int().openapi({ description: "Failed attempts so far." }),
    lastCall: callSchema.nullable(),
    nextTryAt: optionalTimeOutSchema,
    createdAt: timeOutSchema,
    deliveredAt: optionalTimeOutSchema,
    acknowledgedAt: optionalTimeOutSchema,
  })
  .openapi("Delivery");

export const rotationSchema = z
  .object({
    id: z.string(),
    key: z.string(),
    trigger: z.enum(["schedule", "manual", "agent", "compromise"]),
    reason: z.string().nullable(),
    requestedBy: z.string(),
    live: z.boolean(),
    state: z.enum([
      "running",
      "blocked",
      "needs-slot",
      "needs-attention",
      "needs-human",
      "succeeded",
      "failed",
      "cancelled",
    ]),
    step: z.enum(["preflight", "mint", "settle", "test", "deliver", "put-back", "sweep", "done"]),
    rollback: z.boolean().openapi({ description: "It makes an earlier version current again." }),
    batch: z.string().nullable().openapi({ description: "Id of the batch that started or joined it." }),
    fromVersion: z.int().nullable(),
    toVersion: z.int().nullable(),
    attempts: z.int(),
    problem: z.string().nullable().openapi({ description: "Why it does not go on, or why it ended." }),
    waitsFor: z.string().nullable().openapi({ description: "What it waits for, in words." }),
    remedy: z.string().nullable().openapi({ description: "What would let it go on, in words." }),
    lastCall: callSchema.nullable(),
    nextTryAt: optionalTimeOutSchema,
    startedAt: timeOutSchema,
    deadlineAt: timeOutSchema,
    endedAt: optionalTimeOutSchema,
    deliveries: z.array(deliverySchema),
  })
  .openapi("Rotation");

const ofKeyQuery = pageQuerySchema.extend({
  key: z.string().max(100).optional().openapi({ description: "Only this key's, by id or name." }),
});

const list = createRoute({
  method: "get",
  path: "/v1/rotations",
  summary: "List rotations, newest first",
  tags: ["rotations"],
  security,
  request: {
    query: ofKeyQuery.extend({
      batch: z.string().max(100).optional().openapi({ description: "Only this batch's, by id." }),
    }),
  },
  responses: { 200: answer("A page", pageSchema(rotationSchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/rotations/{id}",
  summary: "Read a rotation with its deliveries",
  tags: ["rotations"],
  security,
  request: { params: z.object({ id: z.string().max(100) }) },
  responses: { 200: answer("The rotation", rotationSchema), ...problems },
});

const idParam = z.object({ id: z.string().max(100) });

const cancel = createRoute({
  method: "post",
  path: "/v1/rotations/{id}/cancel",
  summary: "Stop a rotation and go back to the current value",
  description:
    "Whatever was delivered is put back first, and a mint in doubt is settled; until then it stays live. Where there is no way back, 409 forward-only.",
  tags: ["rotations"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The rotation", rotationSchema), ...problems },
});

const retry = createRoute({
  method: "post",
  path: "/v1/rotations/{id}/retry",
  summary: "Try now what a rotation waits for, deliveries included",
  description:
    "Of one whose state is needs-human it says that nothing was made at the service: another value is minted.",
  tags: ["rotations"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The rotation", rotationSchema), ...problems },
});

const abandon = createRoute({
  method: "post",
  path: "/v1/rotations/{id}/abandon",
  summary: "Give up finding out what a mint in doubt has made",
  description:
    "Only while its state is needs-human. A lost version stays on record; the current value stays, where the service leaves it alive.",
  tags: ["rotations"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The rotation", rotationSchema), ...problems },
});

const listDeliveries = createRoute({
  method: "get",
  path: "/v1/deliveries",
  summary: "List deliveries, newest first",
  tags: ["rotations"],
  security,
  request: { query: ofKeyQuery },
  responses: { 200: answer("A page", pageSchema(deliverySchema)), ...problems },
});

export function addRotations(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(list, async (c) => {
    const { key, batch, ...page } = c.req.valid("query");
    return c.json(
      await onKeyring(c, (keyring, call) => keyring.listRotations(call, { key, batch }, page)),
      200,
    );
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getRotation(call, id)), 200);
  });

  app.openapi(cancel, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.intervene(call, id, "cancel")), 200);
  });

  app.openapi(retry, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.intervene(call, id, "retry")), 200);
  });

  app.openapi(abandon, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.intervene(call, id, "abandon")), 200);
  });

  app.openapi(listDeliveries, async (c) => {
    const { key, ...page } = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listDeliveries(call, key, page)), 200);
  });
}
