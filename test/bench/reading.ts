/** A meter's reading as it comes from the Worker. */
import { z } from "zod";

export const readingSchema = z.object({
  tables: z.record(z.string(), z.object({ read: z.int(), written: z.int(), statements: z.int() })),
  alarmsSet: z.int(),
  requests: z.int(),
});
export type Reading = z.infer<typeof readingSchema>;

/** All tables together; setting an alarm is not among them. */
export function totalOf({ tables }: Reading): Reading["tables"][string] {
  const total = { read: 0, written: 0, statements: 0 };
  for (const { read, written, statements } of Object.values(tables)) {
    total.read += read;
    total.written += written;
    total.statements += statements;
  }
  return total;
}
