/** Fields of a value besides `secret`, where only their names are known. */
import { z } from "zod";

/** A schema that asks for each name; undefined where there is none. */
export function fieldsCalled(names: readonly string[]): z.ZodType<Record<string, string>> | undefined {
  if (names.length === 0) return undefined;
  return z.object(
    Object.fromEntries(
      names.map((name) => [name, z.string({ error: "is needed: each value of this key has it" }).min(1)]),
    ),
  );
}
