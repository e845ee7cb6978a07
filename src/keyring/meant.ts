/** The key that somebody means, in the words of the keyring: what they wrote may have been a secret. */
import type { Failure } from "../errors/catalogue.ts";
import type { Overlap } from "../providers/provider.ts";
import { ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { Caller } from "./caller.ts";
import { findMeant, type KeyTarget } from "./find-key.ts";
import { findActable } from "./power.ts";

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
}

export function describeMeant(
  context: EngineContext,
  caller: Caller,
  target: KeyTarget,
): Result<Meant, Failure> {
  const found = findMeant(context, target);
  if (!found.ok) return found;
  const { key, version } = found.value;
  const allowed = findActable(context, caller, key.id);
  if (!allowed.ok) return allowed;
  const { id, name, provider } = key;
  const { title, overlap } = context.providerOf(key);
  return ok({ id, name, provider, title, overlap, version: version?.number ?? null });
}
