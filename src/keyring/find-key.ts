/**
 * Which key is meant. By id; by name; by what names its value: the fingerprint of a value that a service outside made, or the service's
 * own name for it, as long as that value may still work. Nothing is guessed where several fit.
 */
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Stage, VersionRow } from "../store/versions.ts";

/** A key's id, name, fingerprint or reference; or the agent whose key it is. */
export type KeyTarget = string | { agentId: string };

/** Hex of a fingerprint. */
export const FINGERPRINT = /^[0-9a-f]{64}$/i;
/** A value that is dead names nothing to act on. */
const DEAD: ReadonlySet<Stage> = new Set<Stage>(["revoked", "discarded", "lost"]);
/** As many as an answer names of those that fit. */
const MAX_CANDIDATES = 10;

/** What somebody means: a key, and the one value of it that they named, where they named a value. */
export interface Found {
  key: KeyRow;
  version?: VersionRow;
}

/** Finds the one key that is meant. A deleted one is found by its id only. */
export function findKey(context: EngineContext, target: KeyTarget): Result<KeyRow, Failure> {
  const found = findMeant(context, target);
  return found.ok ? ok(found.value.key) : found;
}

/** The same, with the value. An id names its key and nothing else. */
export function findMeant(context: EngineContext, target: KeyTarget): Result<Found, Failure> {
  if (typeof target !== "string") return findOfAgent(context, target.agentId);
  const { store } = context;
  const own = store.keys.get(target);
  if (own) return ok({ key: own });
  const named = store.keys.byName(target);
  const versions = [
    ...(FINGERPRINT.test(target) ? store.versions.byFingerprint(Buffer.from(target, "hex")) : []),
    ...store.versions.byReference(target, MAX_CANDIDATES + 1),
  ].filter(({ stage }) => !DEAD.has(stage));
  const found = versions.flatMap((version) => {
    const key = store.keys.get(version.keyId);
    return key ? [{ key, version }] : [];
  });
  // Where a key and its value go by the same name, the key is meant.
  return onlyOne([...found, ...(named ? [{ key: named }] : [])], keyNotFound());
}

/** Its own key here, or its key at a service. */
function findOfAgent({ store }: EngineContext, agentId: string): Result<Found, Failure> {
  const keys = [...store.keys.ofSubject(agentId), ...store.keys.ofAgent(agentId, MAX_CANDIDATES + 1)];
  return onlyOne(
    keys.map((key) => ({ key })),
    { code: "not-found", detail: "no key is of this agent" },
  );
}

function onlyOne(all: readonly Found[], none: Failure): Result<Found, Failure> {
  const fit = all.filter(({ key }) => key.state !== "deleted");
  const ids = [...new Set(fit.map(({ key }) => key.id))].sort();
  // Of several values of one key that go by the same name, the newest is meant.
  const last = fit.at(-1);
  if (!last) return err(none);
  return ids.length === 1 ? ok(last) : err({ code: "ambiguous", candidates: ids.slice(0, MAX_CANDIDATES) });
}

function keyNotFound(): Failure {
  return { code: "not-found", detail: "no key has this id, name, fingerprint or reference" };
}
