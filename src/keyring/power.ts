/**
 * What a credential may do beyond its scopes: who acts on whose keys, what a credential that was just replaced may not do, and what
 * nobody may do to themselves. So a thief who rotates a stolen key gains nothing by it.
 */
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import { cooldownMs, graceMs } from "../rotation/policy.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { Caller } from "./caller.ts";

/** Longer than any chain of access keys that people make by hand. */
const MAX_ANCESTORS = 50;

/** The access key behind a caller; undefined for root. */
function ownKey({ store }: EngineContext, caller: Caller): KeyRow | undefined {
  return caller.id === "root" ? undefined : store.keys.get(caller.id);
}

/** A key, then who made it, then who made that one, up to root. */
function lineOf(store: Store, key: KeyRow): KeyRow[] {
  const line: KeyRow[] = [];
  for (let one: KeyRow | undefined = key; one && line.length < MAX_ANCESTORS; ) {
    line.push(one);
    one = store.keys.get(one.createdBy);
  }
  return line;
}

function sharesSubject(a: KeyRow, b: KeyRow): boolean {
  return a.subject !== null && a.subject === b.subject;
}

/**
 * Finds a key that the caller is about to act on. An agent acts on its own key and those of its subject; an operator on its own and
 * those that it, or who it made, has made; who has no role on any.
 */
export function findActable(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
): Result<KeyRow, Failure> {
  const key = context.store.keys.find(idOrName);
  if (!key) return err({ code: "not-found", detail: "no key has this id or name" });
  const own = ownKey(context, caller);
  if (!own || own.role === null || key.id === own.id || sharesSubject(own, key)) return ok(key);
  const isMine = own.role === "operator" && lineOf(context.store, key).some(({ id }) => id === own.id);
  return isMine ? ok(key) : err({ code: "not-yours", role: own.role });
}

/** Refuses a role above the caller's: an operator makes operators and agents, an agent makes agents of its own subject. */
export function findRoleExcess(
  context: EngineContext,
  caller: Caller,
  made: { provider: string; role?: string | undefined; subject?: string | undefined },
): Failure | undefined {
  const own = ownKey(context, caller);
  if (!own || own.role === null || !context.providerOf(made.provider).opensApi) return undefined;
  const fits =
    own.role === "agent"
      ? made.role === "agent" && (made.subject ?? null) === own.subject
      : made.role !== undefined;
  return fits ? undefined : { code: "role-exceeded", role: own.role };
}

/**
 * Refuses what a caller may not do while in the cooldown of a rotation: of its own key, of one with its subject, or of who made it.
 * Reading, verifying, rotating and rolling back stay open.
 */
export function findCallerCooldown(context: EngineContext, caller: Caller): Failure | undefined {
  const own = ownKey(context, caller);
  if (!own) return undefined;
  const { store } = context;
  const kin = [...lineOf(store, own), ...(own.subject === null ? [] : store.keys.ofSubject(own.subject))];
  const until = Math.max(
    0,
    ...kin.filter((key) => context.providerOf(key.provider).opensApi).map((key) => key.cooldownUntil ?? 0),
  );
  return until > context.now()
    ? { code: "caller-cooldown", retryAt: new Date(until).toISOString() }
    : undefined;
}

/** Whether a key is the caller's own, or one that the caller descends from or shares a subject with. */
function isAboveCaller(context: EngineContext, caller: Caller, key: KeyRow): boolean {
  const own = ownKey(context, caller);
  if (!own || !context.providerOf(key.provider).opensApi) return false;
  return sharesSubject(own, key) || lineOf(context.store, own).some(({ id }) => id === key.id);
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
  return keys.some((key) => isAboveCaller(context, caller, key)) ? { code: "own-policy" } : undefined;
}

/** The grace of a rotation that was asked for: who rotates itself cannot have less than the policy's. */
export function allowedGrace(
  context: EngineContext,
  caller: Caller,
  key: KeyRow,
  asked: string | null,
): string | null {
  const isShorter = asked !== null && graceMs(key.policy, asked) < graceMs(key.policy, null);
  return isShorter && isAboveCaller(context, caller, key) ? null : asked;
}

/** Keys of the caller's own line that share a policy, for a change of it. */
export function kinWithPolicy(context: EngineContext, caller: Caller, policyId: string): KeyRow[] {
  const own = ownKey(context, caller);
  if (!own) return [];
  const { store } = context;
  const kin = [...lineOf(store, own), ...(own.subject === null ? [] : store.keys.ofSubject(own.subject))];
  return kin.filter((key) => key.policyId === policyId);
}

/**
 * From when a destination that a caller makes or points elsewhere receives values: one cooldown from now, so that its owner sees it
 * first. Null for root, whose destinations receive at once.
 */
export function opensAt(context: EngineContext, caller: Caller): number | null {
  const own = ownKey(context, caller);
  const wait = own ? cooldownMs(own, context.providerOf(own.provider).defaultCooldown) : 0;
  return wait === 0 ? null : context.now() + wait;
}
