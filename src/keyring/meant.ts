/** The key that somebody means, in the words of the keyring: what they wrote may have been a secret. */
import type { Failure } from "../errors/catalogue.ts";
import type { Overlap } from "../providers/provider.ts";
import { ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import { graceMs } from "../rotation/policy.ts";
import type { Caller } from "./caller.ts";
import { findMeant, type KeyTarget } from "./find-key.ts";
import { allowedGrace, findActable } from "./power.ts";
import { holdsSecret } from "./spoken.ts";

export interface Meant {
  id: string;
  name: string;
  provider: string;
  /** Of the service, for people. */
  title: string;
  /** What becomes of an old value there. */
  overlap: Overlap;
  /** Number of the version that was named, where it was one of its values that was. */
  version: number | null;
  /** Number of the version that is current now. */
  current: number | null;
  /** The grace that a rotation would give the old value. */
  graceSeconds: number;
  /** Why, as the caller says; null where it says nothing, or says a value of this keyring. */
  reason: string | null;
}

/**
 * @param grace the one that is asked for, as a duration
 * @param reason why, in the caller's words
 */
export function describeMeant(
  context: EngineContext,
  caller: Caller,
  target: KeyTarget,
  grace: string | undefined,
  reason: string | undefined,
): Result<Meant, Failure> {
  const found = findMeant(context, target);
  if (!found.ok) return found;
  const { key, version } = found.value;
  const allowed = findActable(context, caller, key.id);
  if (!allowed.ok) return allowed;
  const { id, name, provider } = key;
  const { title, overlap } = context.providerOf(key);
  return ok({
    id,
    name,
    provider,
    title,
    overlap,
    version: version?.number ?? null,
    current: context.store.versions.current(id)?.number ?? null,
    graceSeconds: graceMs(key.policy, allowedGrace(context, caller, key, grace ?? null)) / 1_000,
    reason: reason === undefined || holdsSecret(context, caller, reason) ? null : reason,
  });
}
