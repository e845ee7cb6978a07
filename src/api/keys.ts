/** /v1/keys: create, adopt, list, read, change, delete, rotate, revoke. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { durationSchema, parseDuration } from "../duration.ts";
import { isPrefix } from "../issuer/token.ts";
import { PROVIDER_NAMES } from "../providers/registry.ts";
import { onKeyring } from "./auth.ts";
import { planSchema } from "./plan-schema.ts";
import { policyOutSchema, policySchema } from "./policy-schema.ts";
import { rotationSchema } from "./rotations.ts";
import {
  answer,
  configOutSchema,
  configSchema,
  healthSchema,
  idempotencyHeader,
  jsonBody,
  labelPairSchema,
  labelsSchema,
  nameSchema,
  optionalTimeOutSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  splitLabel,
  timeOutSchema,
  timeSchema,
} from "./schemas.ts";
import {
  newVerificationShape,
  patchVerificationShape,
  splitVerification,
  verificationViewShape,
} from "./verification.ts";

const MAX_WAIT_MS = 30_000;

const destinationLinkSchema = z.strictObject({
  id: z.string().max(64).openapi({ description: "Id or name of a destination." }),
  required: z
    .boolean()
    .default(true)
    .openapi({ description: "A rotation waits until it holds the new value." }),
  mustAcknowledge: z
    .boolean()
    .default(false)
    .openapi({ description: "It holds a value only once its consumer said so; see /acknowledge." }),
  as: nameSchema.optional().openapi({ description: "The key's name there. Default: its name here." }),
});

const fieldsSchema = z
  .object({ secret: z.string().min(8).max(16_384) })
  .catchall(z.string().max(16_384))
  .refine((fields) => Object.keys(fields).length <= 16, { message: "at most 16 fields" });

const referenceSchema = z
  .string()
  .min(1)
  .max(512)
  .openapi({ description: "How the service that made the value names it." });

const nameOrIdSchema = z.string().min(1).max(100);

const scopesSchema = z.array(z.string().min(1).max(100)).max(100);

const policyChoiceSchema = z
  .union([nameOrIdSchema, policySchema])
  .openapi({ description: "A policy of its own, or the id or name of a shared one." });

const createKeySchema = z
  .strictObject({
    name: nameSchema,
    provider: z.enum(PROVIDER_NAMES),
    connection: z.string().min(1).max(100).optional().openapi({
      description: "Id or name of the account at the service, for providers that have one.",
    }),
    config: configSchema.optional().openapi({
      description: "The key's own settings at its service; docs/providers says which there are.",
    }),
    prefix: z
      .string()
      .refine(isPrefix, {
        message: "must be letters and digits in parts joined by _, starting with a letter",
      })
      .optional()
      .openapi({ example: "sk_live" }),
    scopes: scopesSchema.default([]),
    role: z.enum(["operator", "agent"]).optional(),
    subject: z.string().max(200).optional(),
    expiresAt: timeSchema.optional(),
    labels: labelsSchema.default({}),
    policy: policyChoiceSchema.default({}),
    ...newVerificationShape,
    destinations: z.array(destinationLinkSchema).max(50).default([]),
    fields: fieldsSchema.optional().openapi({ description: "Adopt this existing value." }),
    reference: referenceSchema.optional(),
    issuedAt: timeSchema
      .optional()
      .openapi({ description: "When the adopted value was made: its age counts from here." }),
  })
  .openapi("CreateKey");

const patchKeySchema = z
  .strictObject({
    policy: policyChoiceSchema.optional(),
    config: configSchema.optional().openapi({
      description: "Only in what says nothing of where and how its values go, such as a runbook.",
    }),
    destinations: z.array(destinationLinkSchema).max(50).optional(),
    labels: labelsSchema.optional(),
    paused: z.boolean().optional(),
    ...patchVerificationShape,
  })
  .refine((patch) => Object.keys(patch).length > 0, { message: "names nothing to change" })
  .openapi("PatchKey");

const dueSchema = z
  .object({
    since: timeOutSchema,
    remindedAt: optionalTimeOutSchema.openapi({ description: "When that was last said." }),
    todo: z.string(),
  })
  .nullable();

const versionSchema = z
  .object({
    number: z.int(),
    stage: z.enum(["pending", "current", "previous", "revoking", "revoked", "discarded", "lost"]),
    hint: z.string().openapi({ description: "The last four characters." }),
    fingerprint: z.string().nullable().openapi({
      description: "Keyed hash of a value from outside, by which a leak of it can be reported.",
    }),
    issuedAt: timeOutSchema,
    expiresAt: optionalTimeOutSchema.openapi({ description: "When its service ends it by itself." }),
    promotedAt: optionalTimeOutSchema,
    graceEndsAt: optionalTimeOutSchema,
    heldSince: optionalTimeOutSchema.openapi({
      description: "Its grace is held beyond its time since then, as something in `revokeWhen` is missing.",
    }),
    endReason: z.enum(["rotated", "revoked", "deleted", "discarded", "lost", "compromised"]).nullable(),
    revokedAt: optionalTimeOutSchema,
    confirmed: z.boolean().openapi({ description: "It was seen to be refused." }),
    lastSeenAt: optionalTimeOutSchema.openapi({
      description: "When verification last took it; at most a minute behind. The edge is not counted.",
    }),
    nextTryAt: optionalTimeOutSchema,
    due: dueSchema.openapi({ description: "A person is asked to end it." }),
  })
  .openapi("Version");

const keySummarySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    provider: z.string(),
    connection: z.string().nullable(),
    config: configOutSchema,
    prefix: z.string(),
    scopes: z.array(z.string()),
    role: z.string().nullable(),
    subject: z.string().nullable(),
    expiresAt: optionalTimeOutSchema,
    labels: z.record(z.string(), z.string()),
    policy: policyOutSchema,
    sharedPolicy: z.string().nullable().openapi({ description: "Name of the shared policy that it has." }),
    ...verificationViewShape,
    paused: z.boolean(),
    state: z.enum(["pending", "active", "lost", "revoked", "deleting", "deleted"]),
    revision: z.int(),
    currentVersion: z.int().nullable(),
    cooldownUntil: optionalTimeOutSchema,
    nextRotationAt: optionalTimeOutSchema.openapi({
      description: "Where a person makes the values: when they are next reminded.",
    }),
    due: dueSchema.openapi({ description: "A person is asked for a new value, as its runbook says." }),
    createdAt: timeOutSchema,
    createdBy: z.string(),
  })
  .openapi("KeySummary");

export const keySchema = keySummarySchema
  .extend({
    health: healthSchema.openapi({ description: "What it shares with other keys is not held against it." }),
    destinations: z.array(
      z.object({ id: z.string(), required: z.boolean(), mustAcknowledge: z.boolean(), as: z.string() }),
    ),
    versions: z.array(versionSchema),
    rotation: z.string().nullable().openapi({ description: "Id of the live rotation." }),
  })
  .openapi("Key");

const secretSchema = z.string().openapi({ description: "The value, shown this once." });
const createdKeySchema = keySchema.extend({ secret: secretSchema.optional() }).openapi("CreatedKey");

export const waitQuery = z.strictObject({
  wait: durationSchema
    .refine((wait) => parseDuration(wait) <= MAX_WAIT_MS, { message: "at most 30s" })
    .optional()
    .openapi({ example: "30s", description: "Answer 200 once the rotation is no longer live." }),
});

export const keyParam = z.object({
  key: z
    .string()
    .max(100)
    .openapi({ description: "Id or name; or fingerprint or reference of a value that may still work." }),
});

const create = createRoute({
  method: "post",
  path: "/v1/keys",
  summary: "Create a key, or adopt an existing value",
  tags: ["keys"],
  security,
  request: { headers: idempotencyHeader, body: jsonBody(createKeySchema) },
  responses: { 201: answer("Created", createdKeySchema), ...problems },
});

const listQuerySchema = pageQuerySchema.extend({
  status: z.enum(["active", "lost", "revoked", "deleting", "deleted"]).optional(),
  provider: z.string().max(64).optional(),
  label: labelPairSchema.optional(),
  dueBefore: timeSchema.optional(),
  due: z.enum(["true", "false"]).optional().openapi({
    description: "Only those of which a person is asked for something: a new value, or to end an old one.",
  }),
});

const list = createRoute({
  method: "get",
  path: "/v1/keys",
  summary: "List keys",
  tags: ["keys"],
  security,
  request: { query: listQuerySchema },
  responses: { 200: answer("A page", pageSchema(keySummarySchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/keys/{key}",
  summary: "Read a key with its versions",
  tags: ["keys"],
  security,
  request: { params: keyParam },
  responses: { 200: answer("The key", keySchema), ...problems },
});

const patch = createRoute({
  method: "patch",
  path: "/v1/keys/{key}",
  summary: "Change a key; each part that is given replaces that part whole",
  tags: ["keys"],
  security,
  request: {
    params: keyParam,
    query: z.strictObject({
      rotate: z
        .enum(["true", "false"])
        .default("false")
        .openapi({ description: "Also start a rotation, whose value new destinations receive." }),
    }),
    body: jsonBody(patchKeySchema),
  },
  responses: { 200: answer("The key", keySchema), ...problems },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/keys/{key}",
  summary: "Delete a key: every version is revoked first",
  tags: ["keys"],
  security,
  request: { params: keyParam },
  responses: { 202: answer("Being deleted", keySchema), ...problems },
});

const rotateSchema = z
  .strictObject({
    grace: durationSchema.optional(),
    reason: z.string().max(500).optional(),
    reveal: z.enum(["none", "claim", "inline"]).default("none").openapi({
      description:
        "`inline`: the answer shows the value. `claim`: it shows what opens it once, for POST /v1/claims.",
    }),
    dryRun: z.boolean().default(false).openapi({
      description: "Only say what it would do: answers 200 with a plan, and nothing is changed.",
    }),
  })
  .openapi("Rotate");

const rotateAnswerSchema = z.object({
  rotation: rotationSchema,
  secret: secretSchema.optional(),
  claim: z.object({ token: z.string(), url: z.string(), expiresAt: timeOutSchema }).optional(),
});

const rotate = createRoute({
  method: "post",
  path: "/v1/keys/{key}/rotate",
  summary: "Rotate a key now, or join the rotation that is live",
  tags: ["keys"],
  security,
  request: {
    params: keyParam,
    headers: idempotencyHeader,
    query: waitQuery,
    body: jsonBody(rotateSchema),
  },
  responses: {
    200: answer("No longer live; or the plan", z.union([rotateAnswerSchema, z.object({ plan: planSchema })])),
    202: answer("Live", rotateAnswerSchema),
    ...problems,
  },
});

const handIn = createRoute({
  method: "put",
  path: "/v1/keys/{key}/value",
  summary: "Hand in a value for a key that has lost its own, or whose values a person makes",
  description: "It is tested, delivered and made current like any other.",
  tags: ["keys"],
  security,
  request: {
    params: keyParam,
    query: waitQuery,
    body: jsonBody(z.strictObject({ fields: fieldsSchema, reference: referenceSchema.optional() })),
  },
  responses: {
    200: answer("No longer live", rotateAnswerSchema),
    202: answer("Live", rotateAnswerSchema),
    ...problems,
  },
});

const revoke = createRoute({
  method: "post",
  path: "/v1/keys/{key}/revoke",
  summary: "Revoke a key or one version of it now, with no replacement",
  tags: ["keys"],
  security,
  request: {
    params: keyParam,
    headers: idempotencyHeader,
    body: jsonBody(
      z.strictObject({ reason: z.string().min(1).max(500), version: z.int().min(1).optional() }),
    ),
  },
  responses: { 200: answer("The key", keySchema), ...problems },
});

export function addKeys(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    const input = splitVerification(c.req.valid("json"));
    const { key, secret } = await onKeyring(c, (keyring, call) => keyring.createKey(call, input));
    return c.json({ ...key, ...(secret !== undefined && { secret }) }, 201);
  });

  app.openapi(list, async (c) => {
    const { limit, cursor, status, provider, label, dueBefore, due } = c.req.valid("query");
    const filter = {
      state: status,
      provider,
      dueBefore,
      asked: due === undefined ? undefined : due === "true",
      label: label === undefined ? undefined : splitLabel(label),
    };
    return c.json(
      await onKeyring(c, (keyring, call) => keyring.listKeys(call, filter, { limit, cursor })),
      200,
    );
  });

  app.openapi(read, async (c) => {
    const { key } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getKey(call, key)), 200);
  });

  app.openapi(patch, async (c) => {
    const { key } = c.req.valid("param");
    const input = splitVerification(c.req.valid("json"));
    const withRotation = c.req.valid("query").rotate === "true";
    return c.json(
      await onKeyring(c, (keyring, call) => keyring.patchKey(call, key, input, withRotation)),
      200,
    );
  });

  app.openapi(remove, async (c) => {
    const { key } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.deleteKey(call, key)), 202);
  });

  app.openapi(rotate, async (c) => {
    const { key } = c.req.valid("param");
    const { dryRun, ...input } = c.req.valid("json");
    if (dryRun) {
      return c.json(
        { plan: await onKeyring(c, (keyring, call) => keyring.planRotation(call, key, input)) },
        200,
      );
    }
    const waitMs = parseDuration(c.req.valid("query").wait ?? "0");
    const made = await onKeyring(c, (keyring, call) => keyring.rotateKey(call, key, input, waitMs));
    return c.json(made, waitMs > 0 && !made.rotation.live ? 200 : 202);
  });

  app.openapi(handIn, async (c) => {
    const { key } = c.req.valid("param");
    const input = c.req.valid("json");
    const waitMs = parseDuration(c.req.valid("query").wait ?? "0");
    const made = await onKeyring(c, (keyring, call) => keyring.handInValue(call, key, input, waitMs));
    return c.json(made, waitMs > 0 && !made.rotation.live ? 200 : 202);
  });

  app.openapi(revoke, async (c) => {
    const { key } = c.req.valid("param");
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.revokeKey(call, key, input)), 200);
  });
}
