/** What a benchmark and its receiver's process tell each other. */
import { z } from "zod";

export const orderSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("hold"), path: z.string() }),
  z.object({ kind: z.literal("tally") }),
]);
export type Order = z.infer<typeof orderSchema>;

const pathSchema = z.object({
  count: z.int(),
  /** The last message, for a floor that sends as much. */
  headers: z.record(z.string(), z.string()),
  body: z.string(),
});

export const noticeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("listening"), port: z.int() }),
  z.object({ kind: z.literal("tally"), paths: z.record(z.string(), pathSchema) }),
]);
export type Notice = z.infer<typeof noticeSchema>;
