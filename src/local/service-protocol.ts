/** What the demo and the process of a fake service tell each other. Of values only the first ones are told, which the demo hands in. */
import { z } from "zod";

const fieldsSchema = z.record(z.string(), z.string());
const configSchema = z.record(z.string(), z.unknown());

/** What a person would have at hand: bodies of `POST /v1/connections` and `POST /v1/keys`. */
const beginningSchema = z.object({
  connection: z.object({ config: configSchema.optional(), credential: fieldsSchema.optional() }).optional(),
  key: z.object({
    config: configSchema.optional(),
    fields: z.looseObject({ secret: z.string() }),
    reference: z.string().optional(),
  }),
});
export type Beginning = z.infer<typeof beginningSchema>;

export const tidingSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready"), url: z.url(), beginning: beginningSchema }),
  /** A call that was answered: what it was for, how it looked, and the status. */
  z.object({ kind: z.literal("called"), purpose: z.string(), call: z.string(), status: z.string() }),
  z.object({ kind: z.literal("told"), question: z.int(), opens: z.boolean() }),
]);
export type Tiding = z.infer<typeof tidingSchema>;

/** Whether the value with this SHA-256 (hex) opens something at the service now. */
export const questionSchema = z.object({ question: z.int(), digest: z.string() });
export type Question = z.infer<typeof questionSchema>;
