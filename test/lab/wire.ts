/** What the lab's services and their clients say to each other. */
import { z } from "zod";

/** Marks a repeated mint whose value is not given again. */
export const CONFLICT = "idempotency-conflict";

export const mintRequestSchema = z.object({
  /** Whose credential it is: the service keeps the keys of many apart by this. */
  label: z.string(),
  marker: z.string(),
  /** Reference of the credential that it takes the place of. */
  replaces: z.string().optional(),
  /** How long that one should live on. Milliseconds. */
  keepOldMs: z.number(),
});

export const accountSchema = z.object({ free: z.number().nullable() });
export const mintedSchema = z.object({
  reference: z.string(),
  secret: z.string(),
  /** When what it replaces ends, milliseconds since the epoch. */
  oldEndsAt: z.number().optional(),
});
export const listedSchema = z.object({ references: z.array(z.string()) });
export const whoSchema = z.object({ reference: z.string() });
export const problemSchema = z.object({ code: z.string() });
