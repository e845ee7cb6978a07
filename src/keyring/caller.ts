/** Who is calling, and whether they may. */
import type { Failure, FailureCode } from "../errors/catalogue.ts";
import { lookUp } from "../issuer/verify.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Scope } from "./scopes.ts";

/** What came with a request. The Worker has checked a root token already; an access key is checked here. */
export type Credential = { kind: "root" } | { kind: "access"; token: string };

export interface Caller {
  /** Id of the access key, or `root`. */
  id: string;
  /** `all` for root. */
  scopes: readonly string[] | "all";
  /** Id of the version that was presented, of an access key. */
  versionId?: string;
}

const REFUSALS: Record<string, FailureCode> = {
  malformed: "credential-malformed",
  unknown: "credential-unknown",
  expired: "credential-expired",
  revoked: "credential-revoked",
  "grace-ended": "credential-grace-ended",
};

/** Finds the caller behind a credential and checks one scope. */
export function authenticate(
  context: EngineContext,
  credential: Credential,
  scope: Scope,
): Result<Caller, Failure> {
  const caller = identify(context, credential);
  if (!caller.ok) return caller;
  return scopesBeyond(caller.value, [scope]).length > 0 ? err({ code: "scope-missing", scope }) : caller;
}

/** Finds the caller behind a credential, whatever it may do. */
export function identify(context: EngineContext, credential: Credential): Result<Caller, Failure> {
  if (credential.kind === "root") return ok({ id: "root", scopes: "all" });
  const found = lookUp(context.store, context.identity.code, context.vault, credential.token, context.now());
  if (!("key" in found) || !context.providerOf(found.key).opensApi) {
    return err({ code: found.code === "malformed" ? "credential-malformed" : "credential-unknown" });
  }
  if (found.code !== "valid") return err({ code: REFUSALS[found.code] ?? "credential-unknown" });
  return ok({ id: found.key.id, scopes: found.key.scopes, versionId: found.version.id });
}

/**
 * Refuses who would make, see or send an access key that may do more than they may themselves. Keys that do not open the API
 * are anybody's.
 */
export function findExcess(
  { providerOf }: EngineContext,
  caller: Caller,
  ...keys: readonly Pick<KeyRow, "provider" | "scopes">[]
): Failure | undefined {
  const wanted = keys.flatMap((key) => (providerOf(key).opensApi ? key.scopes : []));
  const scopes = [...new Set(scopesBeyond(caller, wanted))];
  return scopes.length > 0 ? { code: "scope-exceeded", scopes } : undefined;
}

function scopesBeyond({ scopes }: Caller, wanted: readonly string[]): string[] {
  return scopes === "all" ? [] : wanted.filter((scope) => !scopes.includes(scope));
}

/** Checks a further scope of an authenticated caller. */
export function requireScope(caller: Caller, scope: Scope): Failure | undefined {
  return scopesBeyond(caller, [scope]).length > 0 ? { code: "scope-missing", scope } : undefined;
}
