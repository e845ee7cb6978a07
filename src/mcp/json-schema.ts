/** JSON Schemas as tools show them: the whole list goes into an agent's context, so nothing in them says what goes without saying. */
import { z } from "zod";

/** What goes in, or what comes out, of a Zod schema. What comes out may have more parts one day. */
export function toJsonSchema(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io,
    override: ({ jsonSchema }) => {
      shorten(jsonSchema);
      if (io === "output" && jsonSchema.additionalProperties === false)
        delete jsonSchema.additionalProperties;
    },
  });
  return json;
}

function shorten(json: z.core.JSONSchema.BaseSchema): void {
  if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
  if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
  const [one, other, ...more] = json.anyOf ?? [];
  if (typeof one !== "object" || typeof other !== "object" || other.type !== "null" || more.length > 0)
    return;
  if (typeof one.type !== "string" || Object.keys(one).length > 1) return;
  // A type or null.
  delete json.anyOf;
  Object.assign(json, { type: [one.type, "null"] });
}
