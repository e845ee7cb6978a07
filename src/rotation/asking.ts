/**
 * Asking a person for what no call can do: to make a new value, to end an old one. What is asked goes into the history with the runbook
 * and so to whoever subscribed. Inside the caller's transaction; no calls.
 */
import type { Runbook } from "../providers/provider.ts";
import type { KeyRow } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import { reschedule } from "./changes.ts";
import { type EngineContext, record } from "./context.ts";

/** What a person is to do: make a new value and hand it in, or end an old one at its service. */
export type Errand = "replace" | "revoke";

/** What is to be done, in words that hold for every key. */
export function todoOf(errand: Errand, keyId: string, number: number | null): string {
  return errand === "replace"
    ? `Make a new value as the runbook says and hand it in: PUT /v1/keys/${keyId}/value.`
    : `End the value of version ${number} at its service. It is seen when a test can see it; otherwise say so: POST /v1/keys/${keyId}/versions/${number}/abandon.`;
}

/** The same with its runbook, as an event carries it. */
export function requestData(errand: Errand, keyId: string, number: number | null, runbook: Runbook) {
  const todo = todoOf(errand, keyId, number);
  return { do: errand, version: number, todo, runbook: runbook.text, url: runbook.url ?? null };
}

/** Asks for a new value, for the first time or again. */
export function askForValue(context: EngineContext, key: KeyRow, runbook: Runbook): void {
  const number = context.store.versions.current(key.id)?.number ?? null;
  const { askedAt } = noteAsked(context, key);
  const since = new Date(askedAt ?? context.now()).toISOString();
  const data = { since, ...requestData("replace", key.id, number, runbook) };
  record(context, { type: "key.due", actor: "rekey", keyId: key.id, data });
}

/**
 * Keeps that a new value is asked for.
 * @param isSaid whether an event says so just now; else a reminder does as soon as no rotation is live
 */
export function noteAsked(context: EngineContext, key: KeyRow, isSaid = true): KeyRow {
  const now = context.now();
  const asked = context.store.keys.update(key, {
    askedAt: key.askedAt ?? now,
    ...(isSaid && { remindedAt: now }),
  });
  reschedule(context, key.id);
  return asked;
}

/** Asks to end an old value; its row says already that this was asked. */
export function askToEnd(context: EngineContext, { keyId, number, askedAt }: VersionRow): void {
  const key = context.store.keys.get(keyId);
  const runbook = key && context.providerOf(key).runbook?.(key.config);
  if (!runbook) return;
  const since = new Date(askedAt ?? context.now()).toISOString();
  const data = { since, ...requestData("revoke", keyId, number, runbook) };
  record(context, { type: "key.due", actor: "rekey", keyId, data });
}
