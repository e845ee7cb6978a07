/** What the machine may know: read from the rows, nothing decided here. */
import type { Provider } from "../providers/provider.ts";
import type { RotationRow } from "../store/rotations.ts";
import { type EngineContext, randomUnit } from "./context.ts";
import type { Facts, Resolver } from "./position.ts";
import { placesAstray } from "./sends.ts";

export function factsOf(context: EngineContext, rotation: RotationRow): Facts {
  const { store, random } = context;
  const { keyId, fromVersion, toVersion } = rotation;
  const key = store.keys.get(keyId);
  if (!key) throw new Error("a rotation without its key");
  const provider = context.providerOf(key);
  const old = fromVersion === null ? undefined : store.versions.byNumber(keyId, fromVersion);
  const fresh = toVersion === null ? undefined : store.versions.byNumber(keyId, toVersion);
  return {
    // What a person handed in was made without ending anything, so it may be dropped again.
    overlap: rotation.byHand ? "ours" : provider.overlap,
    resolver: resolverOf(provider),
    deadlineAt: rotation.deadlineAt,
    escalated: rotation.urgent,
    mints: rotation.mints,
    settleAt: rotation.settleAt,
    isMinting: rotation.intentAt !== null,
    maySurface: seeksMarkers(provider) && (rotation.doubts > 0 || rotation.sought !== null),
    oldEndsAt: rotation.oldEndsAt,
    mintedAt: fresh?.issuedAt ?? null,
    propagationMs: provider.propagationMs,
    // Read only by who asks: most steps need neither.
    get hasRequired() {
      return store.destinations.linksOfKey(keyId).some((link) => link.required);
    },
    oldIsCurrent: old?.stage === "current",
    hasNew: fresh !== undefined,
    newIsPending: fresh?.stage === "pending",
    isPromoted: fresh?.stage === "current",
    get wasAttempted() {
      return placesAstray(context, rotation).size > 0;
    },
    unit: randomUnit(random),
  };
}

/**
 * Whether something of a rotation, or of one that it took over from, is or may be at the service, unrecorded, or the old value's clock
 * runs. What was refused is not there, nor is what was in doubt and was settled for good.
 */
export function mayHaveMinted({ providerOf, store }: EngineContext, rotation: RotationRow): boolean {
  const { keyId, doubts, intentAt, toVersion, oldEndsAt, sought, mints } = rotation;
  if (sought !== null || intentAt !== null || oldEndsAt !== null) return true;
  const key = store.keys.get(keyId);
  const maySurface = doubts > 0 && key !== undefined && seeksMarkers(providerOf(key));
  return maySurface || (mints > 0 && toVersion !== null);
}

/**
 * Whether what carries a marker of ours is looked for, and ended where nobody has its value. Not where only the old value can ask for the
 * next one and dies of it: what is found there is all that still works, and a person may get hold of it.
 */
export function seeksMarkers({ find, overlap, needsFirst = false }: Provider): boolean {
  return find !== undefined && !(overlap === "none" && needsFirst);
}

/** The surest way that a provider offers to settle a mint in doubt. */
export function resolverOf(provider: Provider): Resolver {
  if (seeksMarkers(provider)) return "find";
  if (provider.repeatsMint) return "repeat";
  if (provider.overlap === "none") return provider.test ? "old-value" : "nobody";
  return provider.list ? "list" : "nobody";
}

/** When a call to mint that starts now must be over, and what it made must show at the service. Milliseconds since the epoch. */
export function settleTime(provider: Provider, startedAt: number): number {
  return startedAt + 2 * provider.timeoutMs + provider.propagationMs;
}
