/** What several resources share on the wire. One schema validates and documents. */
import { z } from "@hono/zod-openapi";
import { problemSchema } from "./problem.ts";

export const nameSchema = z
  .string()
  .regex(/^(?!(?:key|con|dst|rot|dlv|evt|pol|sub|cmp|bat)_)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    message: "must be 1 to 64 letters, digits, dots, dashes or underscores, and not look like an id",
  })
  .openapi({ example: "billing-api" });

export const labelsSchema = z
  .record(z.string().regex(/^[A-Za-z0-9._/-]{1,63}$/), z.string().max(255))
  .refine((labels) => Object.keys(labels).length <= 32, { message: "at most 32 labels" });

/** One label with its value. */
export const labelPairSchema = z
  .string()
  .regex(/^[^=]+=.*$/, { message: "must be name=value" })
  .openapi({ example: "team=payments" });

/** What a label that was named with its value stands for. */
export function splitLabel(pair: string): { name: string; value: string } {
  const [name = "", ...value] = pair.split("=");
  return { name, value: value.join("=") };
}

export const timeSchema = z.iso
  .datetime({ offset: true, error: "must be a time in ISO 8601, such as 2026-01-31T12:00:00Z" })
  .transform((text) => Date.parse(text))
  .openapi({ type: "string", format: "date-time" });

const isoTime = z.string().openapi({ format: "date-time" });
export const timeOutSchema = isoTime;
export const optionalTimeOutSchema = isoTime.nullable();

export const healthSchema = z.enum(["healthy", "degraded", "failing"]);

export const callSchema = z
  .object({
    method: z.string(),
    host: z.string(),
    status: z.int().nullable(),
    code: z.string(),
    at: timeOutSchema,
  })
  .openapi("Call", { description: "The last call to the outside. Bodies are never kept." });

/** Deeper than any settings are; a body of nothing but brackets would overflow the stack on its way to the keyring. */
const MAX_CONFIG_DEPTH = 16;

/** Settings of a type or provider, which checks them itself. */
export const configSchema = z
  .record(z.string(), z.unknown())
  .refine((config) => isShallow(config, MAX_CONFIG_DEPTH), { message: "is nested too deeply" });

/** The same as they are shown. */
export const configOutSchema = z.record(z.string(), z.unknown());

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((part) => isShallow(part, depth - 1));
}

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
  "idempotency-key": z.string().optional().openapi({
    description: "The same request gets the same result for 24 h.",
    pattern: "^[\\x21-\\x7e]{1,255}$",
  }),
});
