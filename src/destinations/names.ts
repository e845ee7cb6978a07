/**
 * What the fields of a value are called at a place that has a name for each: a template in which `{key}` is the key's name there and
 * `{field}` the field's. A field stands at the end behind a separator, so that no two keys come to the same name by their fields.
 */
import { z } from "zod";
import type { Fields } from "../providers/provider.ts";
import { err, ok, type Result } from "../result.ts";

const DEFAULT_NAMES = "{key}_{field}";

export const namesSchema = z
  .string()
  .max(100)
  .regex(/^(?:(?:[\w./:-]|\{key\})*[_./:-]\{field\}|(?:[\w./:-]|\{key\})+)$/, {
    message:
      "must be letters, digits and separators with {key}, and {field} at its end behind a separator, or without {field}",
  })
  .default(DEFAULT_NAMES)
  .describe(
    "What each field is called there. Without `{field}` a value of one field is written as it is, and any other as JSON of its fields.",
  );

/** Which names a place takes: makes one of any text. */
export type Clean = (name: string) => string;

/** For places that take letters, digits and underscores. */
export const toIdentifier: Clean = (name) => name.replaceAll(/\W/g, "_");

/** The name of a key's fields, `{field}` left in it. */
export function nameOfKey(template: string, key: string, clean: Clean = (name) => name): string {
  const [before = "", after] = template.replaceAll("{key}", () => key).split("{field}");
  return after === undefined ? clean(before) : `${clean(before)}{field}`;
}

/**
 * A value as the place gets it: what is written, by name.
 * @returns in words why it cannot be written
 */
export function nameFields(
  template: string,
  key: string,
  fields: Fields,
  clean?: Clean,
): Result<Map<string, string>, string> {
  const name = nameOfKey(template, key, clean);
  if (!name.endsWith("{field}")) {
    const isOne = Object.keys(fields).length === 1;
    return ok(new Map([[name, isOne ? fields.secret : JSON.stringify(fields)]]));
  }
  const named = new Map<string, string>();
  for (const [field, value] of Object.entries(fields)) {
    const end = field.replaceAll(/[^A-Za-z0-9]/g, "");
    const whole = name.replace("{field}", end);
    if (end === "" || named.has(whole)) return err("two of its fields would have one name there");
    named.set(whole, value);
  }
  return ok(named);
}
