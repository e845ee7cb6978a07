/**
 * Whose keys are whose: who made whom, and who shares a subject. What follows from it for a request is in the keyring; here it is what
 * rotations need that are started for somebody who is not there any more.
 */
import type { KeyRow } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { EngineContext } from "./context.ts";
import { graceMs } from "./policy.ts";

/** A key that is younger counts as its maker's. */
const YOUNG_MS = 3_600_000;

/** A key, then who made it, then who made that one, up to root, however long somebody made that chain. */
export function lineOf(store: Store, key: KeyRow): KeyRow[] {
  const line = new Map<string, KeyRow>();
  for (let one: KeyRow | undefined = key; one && !line.has(one.id); one = store.keys.get(one.createdBy)) {
    line.set(one.id, one);
  }
  return [...line.values()];
}

function sharesSubject(a: KeyRow, b: KeyRow): boolean {
  return a.subject !== null && a.subject === b.subject;
}

/**
 * Whether an access key may act on a key. An agent acts on its own key and those of its subject; an operator on its own and those that
 * it, or who it made, has made; who has no role on any.
 * @param own the access key; undefined for root
 */
export function mayActOn({ store }: EngineContext, own: KeyRow | undefined, key: KeyRow): boolean {
  if (!own || own.role === null || key.id === own.id || sharesSubject(own, key)) return true;
  return own.role === "operator" && lineOf(store, key).some(({ id }) => id === own.id);
}

/**
 * Whose doing it is what an access key does: its own, or, while it is young, its maker's, so that nobody is given more calls by making
 * more keys.
 */
export function answersFor(context: EngineContext, key: KeyRow): KeyRow {
  const { store, now } = context;
  const maker = key.createdAt > now() - YOUNG_MS ? store.keys.get(key.createdBy) : undefined;
  return maker ? answersFor(context, maker) : key;
}

/** Whether a key is an access key's own, or one that it descends from or shares a subject with. */
export function isAbove(context: EngineContext, own: KeyRow | undefined, key: KeyRow): boolean {
  if (!own || !context.providerOf(key).opensApi) return false;
  return sharesSubject(own, key) || lineOf(context.store, own).some(({ id }) => id === key.id);
}

/** The grace that an access key may have for a rotation: who rotates itself cannot have less than the policy's. */
export function graceFor(
  context: EngineContext,
  own: KeyRow | undefined,
  key: KeyRow,
  asked: string | null,
): string | null {
  const isShorter = asked !== null && graceMs(key.policy, asked) < graceMs(key.policy, null);
  return isShorter && isAbove(context, own, key) ? null : asked;
}
