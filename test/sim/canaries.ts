/**
 * Promises 9 and 10, by what is written: every secret of a simulation can be told by its looks, and so can the body of every answer.
 * Neither may be in a row as it is, nor go out anywhere but in the message or the KV value that carries it by choice.
 */
import type { SqlValue } from "../../src/store/sql.ts";

/** In the body of every answer that is not what was hoped for. */
export const BODY_CANARY = "canary-of-a-body";

/** Values of scripted services, admins' credentials, issued values, signing secrets, and what a test plants. */
const SECRET = /\w-secret-\d|admin-(one|two|three)|rekey_SimCode1|whsec_|canary-of/;

/** Says which secret or body a text holds, if any. */
export function canaryIn(text: string): string | undefined {
  if (text.includes(BODY_CANARY)) return "promise 10: the body of an answer";
  const [found] = SECRET.exec(text) ?? [];
  return found === undefined ? undefined : `promise 9: a secret (${found})`;
}

/** Looks at one write to the database. */
export function findCanaries(query: string, values: readonly SqlValue[]): string[] {
  return values.flatMap((value) => {
    const text = textOf(value);
    const canary = text === undefined ? undefined : canaryIn(text);
    return canary ? [`${canary} is written by ${query.trim().slice(0, 40)}`] : [];
  });
}

function textOf(value: SqlValue): string | undefined {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  return undefined;
}
