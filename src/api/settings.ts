/** /v1/settings: what holds for the keyring as a whole, the kill switch included. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { durationSchema, parseDuration } from "../duration.ts";
import { onKeyring } from "./auth.ts";
import {
  answer,
  idempotencyHeader,
  jsonBody,
  optionalTimeOutSchema,
  problems,
  security,
  timeOutSchema,
  timeSchema,
} from "./schemas.ts";

const limitSchema = z.int().min(1).max(100_000).nullable();

/** Each heartbeat is an alarm, an event and a message to everybody who asked for it. */
const SHORTEST_HEARTBEAT_MS = 5 * 60_000;

const heartbeatSchema = durationSchema
  .refine((text) => text === "0" || parseDuration(text) >= SHORTEST_HEARTBEAT_MS, {
    message: "must be 0 or at least 5m",
  })
  .openapi({
    description:
      "How often an event `keyring.heartbeat` says that the keyring is alive; `0`, the default, for never.",
    example: "24h",
  });

/** Time for somebody to notice: what is shortened here is gone, and a thief might be who shortens it. */
const SHORTEST_RETENTION_MS = 30 * 24 * 3_600_000;

const retentionSchema = durationSchema
  .refine((text) => parseDuration(text) >= SHORTEST_RETENTION_MS, { message: "must be at least 30d" })
  .openapi({
    description:
      "How long an event stays in the history, default `400d`. Older ones are pruned once a day; one that a subscription was not told yet waits for it.",
    example: "400d",
  });

const settingsSchema = z
  .object({
    hold: z
      .object({ since: timeOutSchema, until: optionalTimeOutSchema, reason: z.string(), by: z.string() })
      .nullable()
      .openapi({ description: "While this is set no scheduled rotation begins." }),
    limits: z
      .object({ rotations: limitSchema, rotationsPerConnection: limitSchema })
      .openapi({ description: "Scheduled rotations wait while as many are live. Null is no limit." }),
    heartbeat: z.string(),
    eventRetention: z.string(),
  })
  .openapi("Settings");

const read = createRoute({
  method: "get",
  path: "/v1/settings",
  operationId: "getSettings",
  summary: "Read what holds for the keyring as a whole",
  tags: ["settings"],
  security,
  responses: { 200: answer("The settings", settingsSchema), ...problems },
});

const patch = createRoute({
  method: "patch",
  path: "/v1/settings",
  summary: "Change the keyring's settings",
  tags: ["settings"],
  security,
  request: {
    body: jsonBody(
      z
        .strictObject({
          limits: z
            .strictObject({
              rotations: limitSchema.optional(),
              rotationsPerConnection: limitSchema.optional(),
            })
            .optional()
            .openapi({ description: "Those that are given change; null takes one away." }),
          heartbeat: heartbeatSchema.optional(),
          eventRetention: retentionSchema.optional(),
        })
        .refine((change) => Object.keys(change).length > 0, { message: "names nothing to change" })
        .openapi("PatchSettings"),
    ),
  },
  responses: { 200: answer("The settings", settingsSchema), ...problems },
});

const hold = createRoute({
  method: "post",
  path: "/v1/settings/hold",
  operationId: "holdRotations",
  summary: "Stop every new scheduled rotation",
  description: "Rotations that are live go on, so do rotations by hand and emergencies.",
  tags: ["settings"],
  security,
  request: {
    headers: idempotencyHeader,
    body: jsonBody(
      z
        .strictObject({
          reason: z.string().min(1).max(500),
          until: timeSchema.optional().openapi({ description: "Default: until it is released." }),
        })
        .openapi("Hold"),
    ),
  },
  responses: { 200: answer("The settings", settingsSchema), ...problems },
});

const release = createRoute({
  method: "post",
  path: "/v1/settings/release",
  operationId: "releaseRotations",
  summary: "Let scheduled rotations begin again",
  description: "What fell due meanwhile is spread over the hour that follows.",
  tags: ["settings"],
  security,
  request: { headers: idempotencyHeader },
  responses: { 200: answer("The settings", settingsSchema), ...problems },
});

export function addSettings(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(read, async (c) =>
    c.json(await onKeyring(c, (keyring, call) => keyring.getSettings(call)), 200),
  );

  app.openapi(patch, async (c) => {
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.patchSettings(call, input)), 200);
  });

  app.openapi(hold, async (c) => {
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.holdRotations(call, input)), 200);
  });

  app.openapi(release, async (c) =>
    c.json(await onKeyring(c, (keyring, call) => keyring.releaseRotations(call)), 200),
  );
}
