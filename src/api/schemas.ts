/** What several resources share on the wire. One schema validates and documents. */
import { z } from "@hono/zod-openapi";
import { durationSchema, periodSchema } from "../duration.ts";
import { problemSchema } from "./problem.ts";

export const nameSchema = z
  .string()
  .regex(/^(?!(?:key|con|dst|rot|dlv|evt)_)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    message: "must be 1 to 64 letters, digits, dots, dashes or underscores, and not look like an id",
  })
  .openapi({ example: "billing-api" });

export const policySchema = z
  .strictObject({
    maxAge: periodSchema
      .optional()
      .openapi({ example: "30d", description: "Rotate when the current version is this old." }),
    jitter: durationSchema
      .optional()
      .openapi({ description: "Up to this much is added to maxAge, fixed per version. Default 0." }),
    grace: durationSchema
      .optional()
      .openapi({ description: "How long the old version stays valid. Default 24h." }),
    deliverWithin: durationSchema
      .optional()
      .openapi({ description: "After this the old value is put back everywhere. Default 6h." }),
    cooldown: durationSchema
      .optional()
      .openapi({ description: "No rotation by hand this long after one. Default 0, for access keys 60m." }),
    onCompromise: z
      .enum(["replace-first", "hold", "revoke-first", "revoke-only", "notify-only"])
      .optional()
      .openapi({
        description:
          "When the current value leaked: replace it and revoke it after a minute even without a replacement (replace-first, the default), only with one (hold), revoke it before (revoke-first) or without replacing it (revoke-only), or only say so (notify-only).",
      }),
  })
  .openapi("Policy");

export const labelsSchema = z
  .record(z.string().regex(/^[A-Za-z0-9._/-]{1,63}$/), z.string().max(255))
  .refine((labels) => Object.keys(labels).length <= 32, { message: "at most 32 labels" });

export const timeSchema = z.iso
  .datetime({ offset: true, error: "must be a time in ISO 8601, such as 2026-01-31T12:00:00Z" })
  .transform((text) => Date.parse(text))
  .openapi({ type: "string", format: "date-time" });

const isoTime = z.string().openapi({ format: "date-time" });
export const timeOutSchema = isoTime;
export const optionalTimeOutSchema = isoTime.nullable();

export const callSchema = z
  .object({
    method: z.string(),
    host: z.string(),
    status: z.int().nullable(),
    code: z.string(),
    at: timeOutSchema,
  })
  .openapi("Call", { description: "The last call to the outside. Bodies are never kept." });

export const pageQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(200).optional(),
});

/** A list's answer. */
export function pageSchema<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** A JSON body of a request. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { "application/json": { schema } } };
}

/** A JSON answer, for the contract. */
export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

/** What any authenticated route may answer instead. Typed as nothing: the error boundary sends these, no handler does. */
export const problems: object = {
  default: {
    description: "A problem; see `code`.",
    content: { "application/problem+json": { schema: problemSchema } },
  },
};

export const security = [{ bearer: [] }];

export const idempotencyHeader = z.object({
  "idempotency-key": z
    .string()
    .optional()
    .openapi({ description: "The same request gets the same result for 24 h." }),
});
