/** The options by which verification treats a key, on the wire. */
import { z } from "@hono/zod-openapi";
import { durationSchema, isDuration, parseDuration } from "../duration.ts";
import type { VerificationInput } from "../keyring/operations/verification.ts";

const MAX_LIMIT = 1_000_000_000;
const MAX_WINDOW_MS = 31 * 86_400_000;

const limit = z.int().min(1).max(MAX_LIMIT);

const edgeSchema = z.boolean().openapi({
  description:
    "Keep a record in KV, so that the mode `edge` can answer without the keyring. Three or four KV writes a rotation.",
});
const rateLimitSchema = z
  .strictObject({
    limit,
    per: durationSchema
      .refine((text) => !isDuration(text) || isWindow(parseDuration(text)), {
        message: "must be longer than 0 and at most 31d",
      })
      .openapi({ example: "1m" }),
  })
  .openapi("RateLimit", {
    description: "At most this many valid answers in each window, over all versions.",
  });
const usageSchema = z
  .strictObject({ limit })
  .openapi("Usage", { description: "At most this many valid answers in all, over all versions." });

export const newVerificationShape = {
  edge: edgeSchema.optional(),
  rateLimit: rateLimitSchema.optional(),
  usage: usageSchema.optional(),
};

export const patchVerificationShape = {
  edge: edgeSchema.optional(),
  rateLimit: rateLimitSchema.nullable().optional(),
  usage: usageSchema.nullable().optional(),
};

export const verificationViewShape = {
  edge: z.boolean(),
  rateLimit: z.object({ limit: z.int(), per: z.string() }).nullable(),
  usage: z
    .object({ limit: z.int(), used: z.int().openapi({ description: "At most a minute behind." }) })
    .nullable(),
};

/** Takes the options out of a body. They are absent when it names none. */
export function splitVerification<Body extends VerificationInput>(
  body: Body,
): Omit<Body, keyof VerificationInput> & { verification?: VerificationInput } {
  const { edge, rateLimit, usage, ...rest } = body;
  const given = {
    ...(edge !== undefined && { edge }),
    ...(rateLimit !== undefined && { rateLimit }),
    ...(usage !== undefined && { usage }),
  };
  return Object.keys(given).length > 0 ? { ...rest, verification: given } : rest;
}

function isWindow(ms: number): boolean {
  return ms > 0 && ms <= MAX_WINDOW_MS;
}
