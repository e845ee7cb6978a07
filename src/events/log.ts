/**
 * One JSON line an event on the console, where `wrangler tail`, Logpush and Workers Logs find it. An event's data is ids, numbers and
 * words, so there is no secret to take out.
 */
import type { LogMode } from "../env.ts";
import type { EventRow } from "../store/events.ts";
import type { KeyringIdentity } from "../store/settings.ts";

type LogLevel = "error" | "warn" | "info";

/** By the last word of a type. Something is broken, or will be unless somebody looks. */
const ERRORS = new Set([
  "at-risk",
  "broken",
  "compromised",
  "failed",
  "failing",
  "lost",
  "missed",
  "missing",
  "stuck",
]);
/** Worth a look; Rekey deals with it by itself, or a person did it. */
const WARNINGS = new Set([
  "blocked",
  "due",
  "exported",
  "imported",
  "needs-human",
  "reconciled",
  "released",
  "unread",
  "used",
]);

/** How loud an event is. */
export function levelOf(type: string): LogLevel {
  const word = type.slice(type.lastIndexOf(".") + 1);
  if (ERRORS.has(word)) return "error";
  return WARNINGS.has(word) ? "warn" : "info";
}

/** Writes down what a commit has added to the history, in order. */
export function logCommitted(mode: LogMode, keyring: KeyringIdentity, rows: readonly EventRow[]): void {
  for (const { type, at, seq, id, keyId, actor, data } of rows) {
    const level = levelOf(type);
    if (mode === "none" || (mode === "warnings" && level === "info")) continue;
    const line = {
      level,
      event: type,
      at: new Date(at).toISOString(),
      keyring: keyring.name,
      seq,
      id,
      key: keyId,
      actor,
      data: JSON.parse(data) as unknown,
    };
    console[level](JSON.stringify(line));
  }
}
