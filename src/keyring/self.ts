/** What a caller hears of itself. */
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { Caller } from "./caller.ts";
import { isScope, type Scope } from "./scopes.ts";
import { isoOf } from "./views.ts";

export interface Self {
  /** Id of the access key. */
  id: string;
  name: string;
  scopes: Scope[];
  role: string | null;
  subject: string | null;
  cooldownUntil: string | null;
}

/** The access key behind a caller. Root is none. */
export function describeSelf({ store }: EngineContext, { id }: Caller): Result<Self, Failure> {
  const key = store.keys.get(id);
  if (!key) return err({ code: "access-key-required" });
  const { name, scopes, role, subject, cooldownUntil } = key;
  return ok({ id, name, scopes: scopes.filter(isScope), role, subject, cooldownUntil: isoOf(cooldownUntil) });
}
