/** From what Zod found to the fields that a problem names. */
import type { z } from "zod";
import type { FieldError } from "./catalogue.ts";

/**
 * One entry for each invalid field, unknown ones by their own name.
 * @param at where the checked value stands in the request
 */
export function fieldErrorsOf(issues: readonly z.core.$ZodIssue[], at: readonly string[] = []): FieldError[] {
  return issues.flatMap((issue) => {
    // Of several forms the one is meant that fits furthest.
    const closest =
      issue.code === "invalid_union" ? issue.errors.find((found) => reaches(found) > 0) : undefined;
    if (closest) return fieldErrorsOf(closest, [...at, ...issue.path.map(String)]);
    const path = [...at, ...issue.path].join(".");
    return issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ path: path === "" ? key : `${path}.${key}`, message: "unknown field" }))
      : [{ path, message: issue.message }];
  });
}

/** How deep inside a value the first thing wrong with it lies. */
function reaches([first]: readonly z.core.$ZodIssue[]): number {
  return first === undefined ? 0 : first.path.length + (first.code === "unrecognized_keys" ? 1 : 0);
}
