/**
 * What a credential may do beyond its scopes: who acts on whose keys, what a credential that was just replaced may not do, and what
 * nobody may do to themselves. So a thief who rotates a stolen key gains nothing by it.
 */
import { parseDuration } from "../duration.ts";
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import { graceFor, isAbove, lineOf, mayActOn } from "../rotation/kinship.ts";
import { cooldownMs } from "../rotation/policy.ts";
import { ROLLBACK_GRACE } from "../rotation/rollback.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Caller } from "./caller.ts";
import { findKey, type KeyTarget } from "./find-key.ts";

/** The access key behind a caller; undefined for root. */
function ownKey({ store }: EngineContext, caller: Caller): KeyRow | undefined {
  return caller.id === "root" ? undefined : store.keys.get(caller.id);
}

/** The caller's line, and every key that shares a subject with somebody in it. */
function kinOf({ store }: EngineContext, own: KeyRow): KeyRow[] {
  const line = lineOf(store, own);
  const subjects = new Set(line.flatMap(({ subject }) => subject ?? []));
  return [...line, ...[...subjects].flatMap((subject) => store.keys.ofSubject(subject))];
}

/**
 * Finds a key that the caller is about to act on. An agent acts on its own key and those of its subject; an operator on its own and
 * those that it, or who it made, has made; who has no role on any.
 */
export function findActable(
  context: EngineContext,
  caller: Caller,
  target: KeyTarget,
): Result<KeyRow, Failure> {
  const found = findKey(context, target);
  if (!found.ok) return found;
  const key = found.value;
  const own = ownKey(context, caller);
  return mayActOn(context, own, key) ? ok(key) : err({ code: "not-yours", role: own?.role ?? "" });
}

/**
 * Refuses a change of what several keys share to who has a role and may not act on every one of them.
 * @param keys read only for who has a role
 */
export function findForeign(
  context: EngineContext,
  caller: Caller,
  keys: Iterable<KeyRow>,
): Failure | undefined {
  if ((ownKey(context, caller)?.role ?? null) === null) return undefined;
  for (const { id, state } of keys) {
    const found = state === "deleted" ? undefined : findActable(context, caller, id);
    if (found && !found.ok) return found.error;
  }
  return undefined;
}

/** Whether something is the caller's own: made by it, or everything for root. */
export function isMaker({ id, scopes }: Caller, { createdBy }: { createdBy: string }): boolean {
  return scopes === "all" || createdBy === id;
}

/**
 * Refuses a role above the caller's: an operator makes operators and agents, an agent makes agents of its own subject. Who has a role makes
 * none of a subject whose keys it may not act on, as the new one could.
 */
export function findRoleExcess(
  context: EngineContext,
  caller: Caller,
  made: { provider: string; role?: string | undefined; subject?: string | undefined },
): Failure | undefined {
  const own = ownKey(context, caller);
  if (!own || own.role === null || !context.providerOf({ provider: made.provider }).opensApi)
    return undefined;
  const { subject } = made;
  const others = subject === undefined ? [] : context.store.keys.ofSubject(subject);
  const fits =
    own.role === "agent"
      ? made.role === "agent" && (subject ?? null) === own.subject
      : made.role !== undefined && others.every((key) => mayActOn(context, own, key));
  return fits ? undefined : { code: "role-exceeded", role: own.role };
}

/**
 * Refuses what a caller may not do while in the cooldown of a rotation: of its own key, of one with its subject, or of who made it.
 * Reading, verifying, rotating and rolling back stay open.
 */
export function findCallerCooldown(context: EngineContext, caller: Caller): Failure | undefined {
  const own = ownKey(context, caller);
  if (!own) return undefined;
  const kin = kinOf(context, own);
  const until = Math.max(
    0,
    ...kin.filter((key) => context.providerOf(key).opensApi).map((key) => key.cooldownUntil ?? 0),
  );
  return until > context.now()
    ? { code: "caller-cooldown", retryAt: new Date(until).toISOString() }
    : undefined;
}

/**
 * Refuses a policy that the caller would give to itself or to who made it: less grace or cooldown would let a thief shut the owner
 * out.
 */
export function findSelfRule(
  context: EngineContext,
  caller: Caller,
  keys: readonly KeyRow[],
): Failure | undefined {
  const own = ownKey(context, caller);
  return keys.some((key) => isAbove(context, own, key)) ? { code: "own-policy" } : undefined;
}

/** The grace of a rotation that was asked for: who rotates itself cannot have less than the policy's. */
export function allowedGrace(
  context: EngineContext,
  caller: Caller,
  key: KeyRow,
  asked: string | null,
): string | null {
  return graceFor(context, ownKey(context, caller), key, asked);
}

/** The same for a rollback: the version that is taken back lives at least as long as one usually does. */
export function allowedRollbackGrace(
  context: EngineContext,
  caller: Caller,
  key: KeyRow,
  asked: string | undefined,
): string | undefined {
  const isShorter = asked !== undefined && parseDuration(asked) < parseDuration(ROLLBACK_GRACE);
  return isShorter && isAbove(context, ownKey(context, caller), key) ? undefined : asked;
}

/** Keys of the caller's own line that share a policy, for a change of it. */
export function kinWithPolicy(context: EngineContext, caller: Caller, policyId: string): KeyRow[] {
  const own = ownKey(context, caller);
  if (!own) return [];
  return kinOf(context, own).filter((key) => key.policyId === policyId);
}

/**
 * From when a destination that a caller makes or points elsewhere receives values: one cooldown from now, so that its owner sees it
 * first. Null for root, whose destinations receive at once.
 */
export function opensAt(context: EngineContext, caller: Caller): number | null {
  const own = ownKey(context, caller);
  // A child with a shorter cooldown is no way round its maker's.
  const waits = own ? lineOf(context.store, own).filter((key) => context.providerOf(key).opensApi) : [];
  const wait = Math.max(0, ...waits.map((key) => cooldownMs(key, context.providerOf(key).defaultCooldown)));
  return wait === 0 ? null : context.now() + wait;
}
