/** The key that somebody means, in the words of the keyring: what they wrote may have been a secret. */
import type { Failure } from "../errors/catalogue.ts";
import type { Overlap } from "../providers/provider.ts";
import { ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { Caller } from "./caller.ts";
import type { KeyTarget } from "./find-key.ts";
import { findActable } from "./power.ts";

export interface Meant {
  id: string;
  name: string;
  provider: string;
  /** Of the service, for people. */
  title: string;
  /** What becomes of an old value there. */
  overlap: Overlap;
}

export function describeMeant(
  context: EngineContext,
  caller: Caller,
  target: KeyTarget,
): Result<Meant, Failure> {
  const found = findActable(context, caller, target);
  if (!found.ok) return found;
  const { id, name, provider } = found.value;
  const { title, overlap } = context.providerOf(found.value);
  return ok({ id, name, provider, title, overlap });
}
