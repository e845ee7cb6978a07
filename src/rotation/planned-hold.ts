/** What `revokeWhen`, `maxGrace` and `onCeiling` mean for the version that a rotation would replace, in words. Reads only. */
import type { KeyRow, RevokeCondition } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import type { EngineContext } from "./context.ts";
import { latestGraceEnd } from "./graces.ts";
import { canAcknowledge } from "./holding.ts";
import { conditionsOf } from "./policy.ts";

export interface PlannedHold {
  /** All that has to be so before the old version goes; empty when it goes as soon as its grace ends. */
  waitsFor: string[];
  /** The latest that it goes, whatever is missing. Milliseconds since the epoch; null when it is held until a person ends it. */
  untilAtMost: number | null;
  /** What happens when something is missing still at `maxGrace`. */
  atCeiling: string;
}

/** The hold on a key's current version, if it were replaced now. Null where holding it is not ours. */
export function planHold(
  context: EngineContext,
  key: KeyRow,
  old: VersionRow | undefined,
): PlannedHold | null {
  if (!old || context.providerOf(key).overlap !== "ours") return null;
  const { policy, expiresAt } = key;
  const now = context.now();
  const ceiling = latestGraceEnd(key, { ...old, retiredAt: now });
  const conditions = conditionsOf(policy).flatMap((condition) => describe(context, key, condition));
  const waitsFor = [...new Set(conditions)].sort();
  const isHeldOn = waitsFor.length > 0 && policy.onCeiling === "hold";
  return {
    waitsFor,
    untilAtMost: isHeldOn ? expiresAt : ceiling,
    atCeiling: atCeiling(waitsFor.length > 0, isHeldOn, new Date(ceiling).toISOString(), expiresAt !== null),
  };
}

function atCeiling(isHeld: boolean, isHeldOn: boolean, ceiling: string, expires: boolean): string {
  if (!isHeld) return `nothing holds it; its grace can be extended by hand until ${ceiling}`;
  if (!isHeldOn) return `it is revoked at ${ceiling}, whoever uses it still`;
  const end = expires ? "a person finishes its grace or the key expires" : "a person finishes its grace";
  return `what is missing at ${ceiling} holds it on, and is spoken of each day, until ${end}`;
}

function describe({ store }: EngineContext, key: KeyRow, condition: RevokeCondition): string[] {
  const places = store.destinations.linksOfKey(key.id).map(({ destinationId, required }) => ({
    name: store.destinations.get(destinationId)?.name ?? destinationId,
    answers: canAcknowledge(store, destinationId),
    required,
  }));
  switch (condition) {
    case "delivered":
      return places.filter(({ required }) => required).map(({ name }) => `${name} holds the new version`);
    case "acknowledged":
      return places.map(
        ({ name, answers }) => `${name} ${answers ? "has acknowledged" : "holds"} the new version`,
      );
    case "newSeen":
      return ["verification has seen the new version"];
    default:
      return [`verification has not seen the old version for ${condition.slice("oldIdle:".length)}`];
  }
}
