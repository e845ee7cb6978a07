/**
 * What a source's reports are signed with, kept for a moment, so that a flood of forged ones never reaches the keyring. The keyring itself
 * refuses what was checked with secrets that were changed since.
 */

import type { SignalSource } from "../store/signals.ts";
import type { SignalKeys } from "./operations/signals.ts";
import { keyringOf } from "./stub.ts";

/** As long as secrets are used without a question. */
export const KEPT_MS = 60_000;
/** With secrets that are older a signature that does not fit is looked at again. */
export const FRESH_MS = 2_000;
const MAX_KEPT = 10_000;

const kept = new Map<string, { keys: SignalKeys; at: number }>();

/** Forgets what it knows of a source that was changed just now. Other instances of the Worker find out by themselves. */
export function forgetSecrets(code: string, source: SignalSource): void {
  kept.delete(`${code}/${source}`);
}

/**
 * The secrets of a source, of which a keyring that does not answer has none.
 * @param maxAgeMs how long ago they may have been asked for
 */
export async function secretsOf(
  env: Env,
  code: string,
  source: SignalSource,
  maxAgeMs: number,
): Promise<SignalKeys> {
  const name = `${code}/${source}`;
  const now = Date.now();
  const known = kept.get(name);
  if (known && Math.abs(now - known.at) < maxAgeMs) return known.keys;
  const answer = await keyringOf(env, code).signalKeys(source);
  const keys = answer.ok ? answer.value : { secrets: [], connectionId: null, revision: 0 };
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(name, { keys, at: now });
  return keys;
}
