/** What stands in a service's answers, where a description says: fields, names, times, lists in pages. */
import { z } from "zod";
import type { Description } from "./description.ts";
import { valueAt } from "./pointer.ts";

const MIN_SECRET_LENGTH = 8;
const MAX_FIELD_LENGTH = 16_384;
const MAX_REFERENCE_LENGTH = 512;
/** Numbers below are seconds since the epoch, others milliseconds. */
const SECONDS_END = 100_000_000_000;
/** The last time that a date can hold (ECMA-262, 21.4.1.1). */
const MAX_TIME = 8.64e15;

/** What a text or number says; undefined for anything else. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** A time as ISO 8601 or as seconds or milliseconds since the epoch; undefined when it cannot be read. */
function timeOf(value: unknown): number | undefined {
  const isCount = typeof value === "number" || (typeof value === "string" && /^\d+$/.test(value));
  const at = isCount ? Number(value) : typeof value === "string" ? Date.parse(value) : Number.NaN;
  const ms = isCount && at < SECONDS_END ? at * 1_000 : at;
  return ms > 0 && ms <= MAX_TIME ? ms : undefined;
}

/** What the answer to a mint must hold. */
export function mintedSchema(
  { fields, reference, expiresAt, oldEndsAt }: Description["mint"]["answer"],
  marker: string,
) {
  return z.unknown().transform((body, check) => {
    const values = Object.entries(fields).map(([name, pointer]) => [name, textOf(valueAt(body, pointer))]);
    const read = z
      .object({ secret: z.string().min(MIN_SECRET_LENGTH) })
      .catchall(z.string().max(MAX_FIELD_LENGTH))
      .safeParse(Object.fromEntries(values));
    const name = reference === undefined ? marker : textOf(valueAt(body, reference));
    if (
      !read.success ||
      name === undefined ||
      name.length > MAX_REFERENCE_LENGTH ||
      name === read.data.secret
    ) {
      check.addIssue({ code: "custom", message: "a field is missing" });
      return z.NEVER;
    }
    const told = (pointer: string | undefined) =>
      pointer === undefined ? undefined : timeOf(valueAt(body, pointer));
    return { fields: read.data, reference: name, expiresAt: told(expiresAt), oldEndsAt: told(oldEndsAt) };
  });
}

/** What a list must be: its items, and the answer in which they stand. */
export function listedSchema(items: string) {
  return z.unknown().transform((body, check) => {
    const found = z.array(z.unknown()).safeParse(valueAt(body, items));
    if (found.success) return { body, items: found.data };
    check.addIssue({ code: "custom", message: "no list" });
    return z.NEVER;
  });
}

type Pages = NonNullable<NonNullable<Description["find"]>["answer"]["pages"]>;

/** What asks for the next page: null after the last one, undefined when there is one and nothing says how to ask for it. */
export function nextPage(
  { next, lastItem, more }: Pages,
  body: unknown,
  items: readonly unknown[],
): string | null | undefined {
  if (next !== undefined) {
    const cursor = valueAt(body, next) ?? "";
    return cursor === "" ? null : textOf(cursor);
  }
  if (more === undefined || valueAt(body, more) !== true) return null;
  return textOf(valueAt(items.at(-1), lastItem ?? ""));
}

/** Whether a text holds the marker as a whole: attempt 1 is not meant by attempt 10. */
export function carries(text: string | undefined, marker: string): boolean {
  return (
    text
      ?.split(marker)
      .slice(1)
      .some((rest) => !/^[A-Za-z0-9]/.test(rest)) ?? false
  );
}
