/** JSON Pointers (RFC 6901, https://www.rfc-editor.org/rfc/rfc6901): where in a service's answer something stands. */
import { z } from "zod";

/** `/` begins each step; in one, `~1` is a slash and `~0` a tilde. The empty text is the whole document. */
const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;
const INDEX = /^(?:0|[1-9][0-9]*)$/;

export const pointerSchema = z
  .string()
  .max(500)
  .regex(POINTER, { message: "must be a JSON Pointer such as /data/id" });

/** What stands there, or undefined. */
export function valueAt(document: unknown, pointer: string): unknown {
  const steps = pointer.split("/").slice(1);
  return steps.reduce<unknown>((value, step) => {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null) return undefined;
    if (Array.isArray(value) && !INDEX.test(name)) return undefined;
    return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }, document);
}

/** Reads JSON. A whole number too large to be kept exactly stays the text that it was, as services give such numbers as ids. */
export function parseExactly(text: string): unknown {
  if (text.trim() === "") return null;
  return JSON.parse(text, (...[, value, context]: unknown[]) => {
    if (typeof value !== "number" || Number.isSafeInteger(value) || !Number.isInteger(value)) return value;
    const { source } = (context ?? {}) as { source?: string };
    return source ?? value;
  });
}
