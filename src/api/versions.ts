/** /v1/keys/{key}/versions and /rollback: what people decide about old versions. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { durationSchema, parseDuration, periodSchema } from "../duration.ts";
import { onKeyring } from "./auth.ts";
import { keyParam, keySchema, waitQuery } from "./keys.ts";
import { rotationSchema } from "./rotations.ts";
import { answer, idempotencyHeader, jsonBody, problems, security } from "./schemas.ts";

const versionParam = keyParam.extend({
  n: z.coerce.number().int().min(1).openapi({ description: "Number of the version." }),
});

const extend = createRoute({
  method: "post",
  path: "/v1/keys/{key}/versions/{n}/extend",
  summary: "Lengthen a version's grace",
  description:
    "The grace then ends this long from now: later than it would, never past the policy's maxGrace or the key's expiresAt. Only before it has ended, and not where the service ends old values by itself.",
  tags: ["versions"],
  security,
  request: {
    params: versionParam,
    headers: idempotencyHeader,
    body: jsonBody(z.strictObject({ grace: periodSchema }).openapi("Extend")),
  },
  responses: { 200: answer("The key", keySchema), ...problems },
});

const finish = createRoute({
  method: "post",
  path: "/v1/keys/{key}/versions/{n}/finish",
  summary: "End a version's grace now",
  description: "It is refused from now on, revoked at the service and seen dead.",
  tags: ["versions"],
  security,
  request: { params: versionParam, headers: idempotencyHeader },
  responses: { 200: answer("The key", keySchema), ...problems },
});

const abandon = createRoute({
  method: "post",
  path: "/v1/keys/{key}/versions/{n}/abandon",
  summary: "Give up on a revocation that does not succeed",
  description: "The version counts as revoked, unconfirmed; the history says who decided.",
  tags: ["versions"],
  security,
  request: { params: versionParam, headers: idempotencyHeader },
  responses: { 200: answer("The key", keySchema), ...problems },
});

const rollback = createRoute({
  method: "post",
  path: "/v1/keys/{key}/rollback",
  summary: "Make an earlier version current again",
  description:
    "It is tested and put back everywhere, then the newer one retires after a short grace. Only while the earlier one is in its grace, and not where the service ends old values by itself.",
  tags: ["versions"],
  security,
  request: {
    params: keyParam,
    headers: idempotencyHeader,
    query: waitQuery,
    body: jsonBody(
      z
        .strictObject({
          reason: z.string().min(1).max(500),
          version: z
            .int()
            .min(1)
            .optional()
            .openapi({ description: "Default: the newest version in its grace." }),
          grace: durationSchema
            .optional()
            .openapi({ description: "How long the version that is taken back stays valid. Default 15m." }),
        })
        .openapi("Rollback"),
    ),
  },
  responses: {
    200: answer("No longer live", z.object({ rotation: rotationSchema })),
    202: answer("Live", z.object({ rotation: rotationSchema })),
    ...problems,
  },
});

export function addVersions(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(extend, async (c) => {
    const { key, n } = c.req.valid("param");
    const { grace } = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.extendGrace(call, key, n, grace)), 200);
  });

  app.openapi(finish, async (c) => {
    const { key, n } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.finishGrace(call, key, n)), 200);
  });

  app.openapi(abandon, async (c) => {
    const { key, n } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.abandonVersion(call, key, n)), 200);
  });

  app.openapi(rollback, async (c) => {
    const { key } = c.req.valid("param");
    const input = c.req.valid("json");
    const waitMs = parseDuration(c.req.valid("query").wait ?? "0");
    const made = await onKeyring(c, (keyring, call) => keyring.rollBackKey(call, key, input, waitMs));
    return c.json(made, waitMs > 0 && !made.rotation.live ? 200 : 202);
  });
}
