/**
 * What a source's reports are signed with, kept for a moment, so that a flood of forged ones never reaches the keyring. The keyring itself
 * refuses what was checked with secrets that were changed since.
 */
import type { SignalKeys } from "../keyring/operations/signals.ts";
import { keyringOf } from "../keyring/stub.ts";
import type { SignalSource } from "../store/signals.ts";

const KEPT_MS = 60_000;
/** With secrets that are older a signature that does not fit is looked at again. */
const FRESH_MS = 2_000;
const MAX_KEPT = 10_000;

const kept = new Map<string, { keys: SignalKeys; at: number }>();

/** The secrets of a source, of which a keyring that does not answer has none. */
export async function secretsOf(
  env: Env,
  code: string,
  source: SignalSource,
  { isFresh = false } = {},
): Promise<SignalKeys> {
  const name = `${code}/${source}`;
  const now = Date.now();
  const known = kept.get(name);
  if (known && now - known.at < (isFresh ? FRESH_MS : KEPT_MS)) return known.keys;
  const answer = await keyringOf(env, code).signalKeys(source);
  const keys = answer.ok ? answer.value : { secrets: [], connectionId: null, revision: 0 };
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(name, { keys, at: now });
  return keys;
}
