/**
 * The deadline of a version in grace, as people may move it: never once it has passed, never past the policy's `maxGrace` or the key's
 * own end. Inside the caller's transaction; no calls.
 */
import type { KeyRow } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import type { EngineContext } from "./context.ts";
import { firstDeadline, graceDueAt, maxGraceMs } from "./policy.ts";
import { slowestPropagationMs, supersede } from "./sends.ts";

/** Whether a version is in its grace, which has not passed. */
export function isInGrace({ stage, graceEndsAt }: VersionRow, now: number): boolean {
  return stage === "previous" && graceEndsAt !== null && now < graceEndsAt;
}

/** The latest that a version's grace may end, whatever holds it. Milliseconds since the epoch. */
export function latestGraceEnd(
  { policy, expiresAt }: Pick<KeyRow, "policy" | "expiresAt">,
  { retiredAt, promotedAt, issuedAt }: VersionRow,
): number {
  return Math.min((retiredAt ?? promotedAt ?? issuedAt) + maxGraceMs(policy), expiresAt ?? Infinity);
}

/** The policy of a key changed: versions in their grace are looked at in time for what the new one waits for. */
export function replanGraces(context: EngineContext, key: KeyRow): void {
  const { store } = context;
  const { id, policy } = key;
  if (context.providerOf(key).overlap !== "ours") return;
  const now = context.now();
  for (const version of store.versions.alive(id)) {
    const { graceEndsAt, dueAt, leaseUntil } = version;
    // Whoever has it in hand looks by the present policy anyway; one that is never due is on hold with its keyring.
    if (graceEndsAt === null || dueAt === null || leaseUntil !== null || !isInGrace(version, now)) continue;
    const lookAt = graceDueAt(policy, graceEndsAt, now);
    if (lookAt < dueAt) store.versions.update(version, { dueAt: lookAt });
  }
}

/** Takes a version out of its grace for a rollback: like a new one it has no deadline until that is over. */
export function holdForRollback({ store }: EngineContext, version: VersionRow): void {
  store.versions.update(version, {
    stage: "pending",
    endReason: null,
    graceEndsAt: null,
    dueAt: null,
    leaseUntil: null,
    claim: version.claim + 1,
  });
}

/**
 * The rollback came to nothing: back into the grace, which ends when it would have, but not before every reader of a place that held
 * this version must see the one that is current.
 */
export function returnToGrace(context: EngineContext, version: VersionRow, graceEndsAt: number): void {
  const { store } = context;
  for (const delivery of store.deliveries.ofVersion(version.keyId, version.number)) {
    if (delivery.state === "pending" || delivery.state === "failing") supersede(context, delivery);
  }
  const now = context.now();
  const policy = store.keys.get(version.keyId)?.policy ?? {};
  const readBy = Math.max(graceEndsAt, now + slowestPropagationMs(context, version.keyId));
  const endsAt = firstDeadline(policy, readBy, now);
  store.versions.update(version, {
    stage: "previous",
    endReason: "rotated",
    graceEndsAt: endsAt,
    dueAt: graceDueAt(policy, endsAt, now),
  });
}
