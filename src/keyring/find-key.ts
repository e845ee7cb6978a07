/**
 * Which key is meant. By id; by name; by what names its value: the fingerprint of a value that a service outside made, or the service's
 * own name for it, as long as that value may still work. Nothing is guessed where several fit.
 */
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { KeyRow } from "../store/keys.ts";

/** A key's id, name, fingerprint or reference; or the agent whose key it is. */
export type KeyTarget = string | { agentId: string };

/** Hex of a fingerprint. */
const FINGERPRINT = /^[0-9a-f]{64}$/i;
/** As many as an answer names of those that fit. */
const MAX_CANDIDATES = 10;

/** Finds the one key that is meant. A deleted one is found by its id only. */
export function findKey(context: EngineContext, target: KeyTarget): Result<KeyRow, Failure> {
  return typeof target === "string" ? findNamed(context, target) : findOfAgent(context, target.agentId);
}

function findNamed({ store }: EngineContext, text: string): Result<KeyRow, Failure> {
  const named = store.keys.find(text);
  if (named) return ok(named);
  const versions = [
    ...(FINGERPRINT.test(text) ? store.versions.byFingerprint(Buffer.from(text, "hex")) : []),
    ...store.versions.byReference(text, MAX_CANDIDATES + 1),
  ];
  const owners = new Set(versions.map(({ keyId }) => keyId));
  const keys = [...owners].flatMap((id) => store.keys.get(id) ?? []);
  return onlyOne(keys, keyNotFound());
}

/** The agent's own key here comes before its key at a service. */
function findOfAgent({ store }: EngineContext, agentId: string): Result<KeyRow, Failure> {
  const own = store.keys.ofSubject(agentId);
  const keys = own.length > 0 ? own : store.keys.ofAgent(agentId, MAX_CANDIDATES + 1);
  return onlyOne(keys, { code: "not-found", detail: "no key is of this agent" });
}

function onlyOne(keys: readonly KeyRow[], none: Failure): Result<KeyRow, Failure> {
  const fit = keys.filter(({ state }) => state !== "deleted");
  const [key] = fit;
  if (!key) return err(none);
  if (fit.length === 1) return ok(key);
  return err({ code: "ambiguous", candidates: fit.slice(0, MAX_CANDIDATES).map(({ id }) => id) });
}

export function keyNotFound(): Failure {
  return { code: "not-found", detail: "no key has this id, name, fingerprint or reference" };
}
