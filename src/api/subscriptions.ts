/** /v1/subscriptions: who is told of events. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { isKnownType } from "../events/filter.ts";
import { onKeyring } from "./auth.ts";
import {
  answer,
  callSchema,
  idempotencyHeader,
  jsonBody,
  labelsSchema,
  nameSchema,
  optionalTimeOutSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  timeOutSchema,
  timeSchema,
} from "./schemas.ts";

const urlSchema = z
  .string()
  .max(2_048)
  .openapi({ description: "https, a public name, the default port.", example: "https://ops.acme.dev/rekey" });

const typesSchema = z
  .array(
    z.string().max(64).refine(isKnownType, { message: "no event has this type, nor one that begins so" }),
  )
  .max(64)
  .openapi({
    description: "Exact types, or prefixes such as `key.*`. Empty for every event.",
    example: ["key.*", "health.changed"],
  });

const filterLabels = labelsSchema.openapi({
  description: "Only events of keys that carry all of these labels.",
});

const formatSchema = z.enum(["standard", "slack", "discord"]);

const subscriptionSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    format: formatSchema,
    url: z.string().nullable().openapi({ description: "Null where the address is itself a credential." }),
    host: z.string(),
    hint: z.string().openapi({ description: "The last four characters of the address." }),
    types: z.array(z.string()),
    labels: z.record(z.string(), z.string()),
    state: z.enum(["unproven", "ready", "failing", "disabled"]),
    sentSeq: z.int().openapi({ description: "Events up to this number were sent, or do not match." }),
    behind: z.int().openapi({ description: "Events of the history that it has not come to yet." }),
    skipped: z.array(z.int()).openapi({ description: "The newest events that were given up; replay them." }),
    unwellSince: optionalTimeOutSchema.openapi({ description: "Since when it is failing or disabled." }),
    missedSeq: z.int().openapi({
      description:
        "Events up to this number that it was not told have outlived their retention while it did not answer; else 0.",
    }),
    attempts: z.int(),
    nextTryAt: optionalTimeOutSchema,
    provenAt: optionalTimeOutSchema,
    lastCall: callSchema.nullable(),
    oldSecretUntil: optionalTimeOutSchema.openapi({
      description: "Until then messages carry a signature of the old secret, too.",
    }),
    createdAt: timeOutSchema,
    createdBy: z.string(),
  })
  .openapi("Subscription");

const withSecretSchema = subscriptionSchema
  .extend({
    signingSecret: z
      .string()
      .optional()
      .openapi({ description: "Standard Webhooks secret, shown this once." }),
  })
  .openapi("CreatedSubscription");

const testSchema = z
  .object({
    ok: z.boolean(),
    problem: z.string().nullable(),
    call: callSchema.nullable(),
    subscription: subscriptionSchema,
  })
  .openapi("SubscriptionTest");

const idParam = z.object({ id: z.string().max(100).openapi({ description: "Id or name." }) });

const create = createRoute({
  method: "post",
  path: "/v1/subscriptions",
  summary: "Subscribe to events",
  description: "A ping goes out before the first event, and nothing else until it was answered with 2xx.",
  tags: ["subscriptions"],
  security,
  request: {
    headers: idempotencyHeader,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          url: urlSchema,
          types: typesSchema.default([]),
          labels: filterLabels.default({}),
          format: formatSchema.default("standard"),
        })
        .openapi("CreateSubscription"),
    ),
  },
  responses: { 201: answer("Created", withSecretSchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/subscriptions",
  summary: "List subscriptions",
  tags: ["subscriptions"],
  security,
  request: { query: pageQuerySchema },
  responses: { 200: answer("A page", pageSchema(subscriptionSchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/subscriptions/{id}",
  summary: "Read a subscription",
  tags: ["subscriptions"],
  security,
  request: { params: idParam },
  responses: { 200: answer("The subscription", subscriptionSchema), ...problems },
});

const patch = createRoute({
  method: "patch",
  path: "/v1/subscriptions/{id}",
  summary: "Change a subscription; a new address proves itself again before it is sent anything",
  tags: ["subscriptions"],
  security,
  request: {
    params: idParam,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema.optional(),
          url: urlSchema.optional(),
          types: typesSchema.optional(),
          labels: filterLabels.optional(),
          rotateSecret: z
            .boolean()
            .optional()
            .openapi({ description: "Answers a new signingSecret; the old one signs for 24 h, too." }),
        })
        .refine((change) => Object.keys(change).length > 0, { message: "names nothing to change" })
        .openapi("PatchSubscription"),
    ),
  },
  responses: { 200: answer("The subscription", withSecretSchema), ...problems },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/subscriptions/{id}",
  summary: "Delete a subscription; what it was not sent yet is dropped, which its last event says",
  tags: ["subscriptions"],
  security,
  request: { params: idParam },
  responses: { 204: { description: "Deleted" }, ...problems },
});

const test = createRoute({
  method: "post",
  path: "/v1/subscriptions/{id}/test",
  summary: "Send a ping now",
  tags: ["subscriptions"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("How it ended", testSchema), ...problems },
});

const replay = createRoute({
  method: "post",
  path: "/v1/subscriptions/{id}/replay",
  summary: "Send events again, under the same ids",
  tags: ["subscriptions"],
  security,
  request: {
    params: idParam,
    headers: idempotencyHeader,
    body: jsonBody(
      z
        .strictObject({
          since: z
            .union(
              [
                timeSchema.transform((at) => ({ at })),
                z
                  .int()
                  .min(1)
                  .transform((seq) => ({ seq })),
              ],
              {
                error: "must be a time in ISO 8601, or the number of an event",
              },
            )
            .openapi({
              type: ["string", "integer"],
              description: "A time, or the number (`seq`) of the first event to send again.",
              example: "2026-01-31T12:00:00Z",
            }),
        })
        .openapi("ReplaySubscription"),
    ),
  },
  responses: { 202: answer("The subscription, with its cursor set back", subscriptionSchema), ...problems },
});

export function addSubscriptions(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    const input = c.req.valid("json");
    const { subscription, signingSecret } = await onKeyring(c, (keyring, call) =>
      keyring.createSubscription(call, input),
    );
    return c.json({ ...subscription, ...(signingSecret !== undefined && { signingSecret }) }, 201);
  });

  app.openapi(list, async (c) => {
    const page = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listSubscriptions(call, page)), 200);
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getSubscription(call, id)), 200);
  });

  app.openapi(patch, async (c) => {
    const { id } = c.req.valid("param");
    const input = c.req.valid("json");
    const { subscription, signingSecret } = await onKeyring(c, (keyring, call) =>
      keyring.patchSubscription(call, id, input),
    );
    return c.json({ ...subscription, ...(signingSecret !== undefined && { signingSecret }) }, 200);
  });

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    await onKeyring(c, (keyring, call) => keyring.deleteSubscription(call, id));
    return c.body(null, 204);
  });

  app.openapi(test, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.testSubscription(call, id)), 200);
  });

  app.openapi(replay, async (c) => {
    const { id } = c.req.valid("param");
    const { since } = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.replaySubscription(call, id, since)), 202);
  });
}
