/** What an agent hears of a rotation: how it stands, what became of the old value, what to do next. */
import type { Failure } from "../errors/catalogue.ts";
import type { RotateAnswer } from "../keyring/operations/rotations.ts";
import type { KeyView, RotationView } from "../keyring/views.ts";
import { hoursOf, minutesOf } from "./duration.ts";
import type { Action } from "./envelope.ts";

/** A rotation in one sentence. */
export function headlineOf(rotation: RotationView, name: string): string {
  const what = rotation.rollback ? "rollback" : "rotation";
  if (rotation.live) return `The ${what} of "${name}" is under way: ${rotation.state}, at ${rotation.step}.`;
  if (rotation.state !== "succeeded") return `The ${what} of "${name}" ${rotation.state}.`;
  return rotation.rollback
    ? `Rolled "${name}" back: version ${rotation.toVersion} is current again.`
    : `Rotated "${name}": version ${rotation.toVersion} is current.`;
}

/** What it waits for, and what somebody can do about that. */
export function warningsOf({ live, waitsFor, problem, remedy }: RotationView): string[] {
  const why = waitsFor ?? problem;
  return live && why !== null ? [`It waits for: ${why}.${remedy === null ? "" : ` ${remedy}`}`] : [];
}

/** A rotation that came to nothing is an error, although it was done. */
export function failureOf({ live, state, problem, remedy }: RotationView): Failure | undefined {
  if (live || state === "succeeded") return undefined;
  const detail = [problem, remedy].filter((part) => part !== null).join(". ");
  return { code: "rotation-failed", ...(detail !== "" && { detail }) };
}

/** Calls that follow from how it stands. */
export function nextOf({ id, live, deliveries }: RotationView): Action[] {
  const waiting = deliveries.filter((one) => one.mustAcknowledge && one.state === "delivered");
  return [
    ...(live ? [{ tool: "get_rotation", args: { rotation: id }, reason: "see whether it is done" }] : []),
    ...waiting.map((one) => ({
      tool: "acknowledge_delivery",
      args: { delivery: one.id },
      reason: `once the consumer of "${one.as}" uses the new value`,
    })),
  ];
}

/** What became of the old value, for who asked. */
export function oldValueOf({ rotation, outlook }: RotateAnswer, isOwn: boolean): string[] {
  const old = outlook?.old;
  if (!old) return [];
  const whose = isOwn ? "The access key that you called with" : `The old value (version ${old.version})`;
  const dies = isOwn ? "switch to the new value before then" : "whatever uses it must switch before then";
  switch (old.stage) {
    case "previous":
      return [`${whose} works until ${old.endsAt}: ${dies}.`];
    case "revoking":
    case "revoked":
      return [
        `${whose} has stopped working already: whatever still uses it fails until it has the new value.`,
      ];
    case "current":
      return rotation.live
        ? [
            `${whose} is still the current one; its grace of ${hoursOf(outlook.graceSeconds)} begins when the new one takes over.`,
          ]
        : [`${whose} is still the current one.`];
    default:
      return [];
  }
}

/** How to get a value that an answer shows or has a claim for. */
export function shownWarnings({ secret, claim }: Pick<RotateAnswer, "secret" | "claim">): string[] {
  return [
    ...(secret === undefined
      ? []
      : [
          "data.secret is the value, shown this once. It is part of this conversation now: store it and do not repeat it.",
        ]),
    ...(claim
      ? [
          `The value is not in this conversation. Have the program that holds this access key POST {"claim": data.claim.token} to ${claim.url} with it as bearer, once, before ${claim.expiresAt}; you cannot do it by a tool.`,
        ]
      : []),
  ];
}

/** The same after a rotation, which may not have one yet. */
export function valueWarnings(made: RotateAnswer, reveal: "claim" | "inline" | "none"): string[] {
  const { rotation, secret, claim } = made;
  const isMissing = reveal !== "none" && secret === undefined && !claim;
  return isMissing && (rotation.live || rotation.state === "succeeded")
    ? ["There is no value to show yet, or any more. The key's destinations get it as soon as it is there."]
    : shownWarnings(made);
}

/** What became of a grace that was asked for. */
export function graceWarnings({ rotation, outlook }: RotateAnswer, asked: number | undefined): string[] {
  if (asked === undefined || !outlook?.old) return [];
  if (outlook.old.stage === "revoking" || outlook.old.stage === "revoked")
    return asked > 0 ? ["This service keeps no old value alive: gracePeriodHours had no effect."] : [];
  if (minutesOf(asked) * 60 === outlook.graceSeconds) return [];
  const verb = rotation.live ? "will get" : "got";
  return [
    `The old value ${verb} ${hoursOf(outlook.graceSeconds)} instead of what was asked: nobody shortens the grace of their own access key, and a rotation that was live already keeps its own.`,
  ];
}

export function cooldownWarnings({ outlook }: RotateAnswer): string[] {
  const until = outlook?.cooldownUntil ?? null;
  return until === null
    ? []
    : [
        `In its cooldown until ${until}: no other rotation of it, and services hold back what a thief would want, such as withdrawals.`,
      ];
}

/** Which versions of a key were ended here while their service has yet to say so. */
export function endingWarnings({ versions }: KeyView): string[] {
  return versions
    .filter(({ stage }) => stage === "revoking")
    .map(({ number }) => `Version ${number} is refused here; its service has not confirmed its end yet.`);
}
