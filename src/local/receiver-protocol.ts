/** What the demo and its receiver's process tell each other. Values never come back: only their digest and last four. */
import { z } from "zod";

export const orderSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("trust"), signingSecret: z.string() }),
  /** What arrives from now on is put to use, and answered, after `resume`. */
  z.object({ kind: z.literal("pause") }),
  z.object({ kind: z.literal("resume") }),
]);
export type Order = z.infer<typeof orderSchema>;

export const noticeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("listening"), port: z.int() }),
  z.object({ kind: z.literal("ping") }),
  z.object({ kind: z.literal("refused") }),
  z.object({ kind: z.literal("arrived"), keyName: z.string(), version: z.int() }),
  z.object({
    kind: z.literal("installed"),
    keyName: z.string(),
    version: z.int(),
    hint: z.string(),
    /** Hex SHA-256 of the value. */
    digest: z.string(),
  }),
]);
export type Notice = z.infer<typeof noticeSchema>;
