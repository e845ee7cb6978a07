/** From what Zod found to the fields that a problem names. */
import type { z } from "zod";
import type { FieldError } from "./catalogue.ts";

/**
 * One entry for each invalid field, unknown ones by their own name.
 * @param at where the checked value stands in the request
 */
export function fieldErrorsOf(issues: readonly z.core.$ZodIssue[], at: readonly string[] = []): FieldError[] {
  return issues.flatMap((issue) => {
    const path = [...at, ...issue.path].join(".");
    return issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ path: path === "" ? key : `${path}.${key}`, message: "unknown field" }))
      : [{ path, message: issue.message }];
  });
}
