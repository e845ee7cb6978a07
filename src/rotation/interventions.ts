/** What a person may do to a rotation or to a version on its way out. Inside the caller's transaction; the caller pumps afterwards. */
import { parseDuration } from "../duration.ts";
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import { advanceRotation } from "./changes.ts";
import { repinToPresent } from "./connections.ts";
import { type EngineContext, record } from "./context.ts";
import { keyOf, killVersion, versionOf } from "./effects.ts";
import { mayHaveMinted } from "./facts.ts";
import { isInGrace, latestGraceEnd } from "./graces.ts";
import { afterDeath } from "./outcomes.ts";
import { graceDueAt } from "./policy.ts";

/**
 * Stops a rotation. What is in doubt is settled first; what was delivered is put back. A service that ends the old value by itself
 * leaves nothing to go back to once a call to mint may have taken effect, and neither does an emergency once the new value is current.
 */
export function cancelRotation(
  context: EngineContext,
  rotation: RotationRow,
  actor: string,
): Result<RotationRow, Failure> {
  if (!rotation.live) return err({ code: "rotation-ended" });
  const { overlap } = context.providerOf(keyOf(context, rotation));
  const isPromoted = versionOf(context, rotation, rotation.toVersion)?.stage === "current";
  if (isPromoted || (overlap !== "ours" && mayHaveMinted(context, rotation)))
    return err({ code: "forward-only" });
  const problem = `cancelled by ${actor}`;
  return ok(advanceRotation(context, rotation, { outcome: { kind: "stopped", problem } }));
}

/**
 * Tries now what waits: the present step, with the connection as it is now, and every delivery of the key that is not held yet.
 */
export function retryRotation(context: EngineContext, rotation: RotationRow): Result<RotationRow, Failure> {
  if (!rotation.live) return err({ code: "rotation-ended" });
  const { store } = context;
  for (const delivery of store.deliveries.unsettled(rotation.keyId)) {
    if (delivery.leaseUntil === null) {
      store.deliveries.update(delivery, { state: "pending", attempt: 0, dueAt: context.now() });
    }
  }
  const pinned = repinToPresent(context, rotation);
  // A row in a worker's hands is being tried already.
  if (pinned.leaseUntil !== null) return ok(pinned);
  return ok(advanceRotation(context, pinned, { outcome: { kind: "retried" } }));
}

/** Gives up finding out what a mint in doubt has made: a lost version stays on record, and the rotation ends. */
export function abandonRotation(
  context: EngineContext,
  rotation: RotationRow,
  actor: string,
): Result<RotationRow, Failure> {
  if (!rotation.live) return err({ code: "rotation-ended" });
  if (rotation.step !== "settle" || rotation.state !== "needs-human") return err({ code: "not-for-people" });
  const problem = `given up by ${actor}`;
  return ok(advanceRotation(context, rotation, { outcome: { kind: "abandoned", problem } }));
}

/** Gives up on a revocation that does not succeed. The version counts as revoked, unconfirmed, and the history says who decided. */
export function abandonVersion(
  context: EngineContext,
  version: VersionRow,
  actor: string,
): Result<VersionRow, Failure> {
  if (version.stage !== "revoking") return err({ code: "not-revoking" });
  const { store } = context;
  const row = store.versions.update(version, {
    stage: version.promotedAt === null ? "discarded" : "revoked",
    revokedAt: context.now(),
    confirmed: false,
    sealed: null,
    askedAt: null,
    dueAt: null,
    leaseUntil: null,
    claim: version.claim + 1,
  });
  record(context, {
    type: "key.revoked",
    actor,
    keyId: row.keyId,
    data: { version: row.number, reason: row.endReason, confirmed: false, abandoned: true },
  });
  afterDeath(context, row.keyId);
  return ok(row);
}

/**
 * Moves the end of a version's grace on, to a time from now. Only where ending it is ours, and only before it has passed: once passed
 * it never moves.
 * @param grace duration
 */
export function extendGrace(
  context: EngineContext,
  key: KeyRow,
  version: VersionRow,
  grace: string,
  actor: string,
): Result<VersionRow, Failure> {
  const { store } = context;
  if (context.providerOf(key).overlap !== "ours") return err({ code: "forward-only" });
  if (!isInGrace(version, context.now())) return err({ code: "not-in-grace" });
  const endsAt = context.now() + parseDuration(grace);
  const before = version.graceEndsAt ?? endsAt;
  if (endsAt <= before) return err({ code: "grace-not-longer", detail: `it ends at ${iso(before)}` });
  const latest = latestGraceEnd(key, version);
  if (endsAt > latest)
    return err({ code: "grace-limit", detail: `it may end at ${iso(latest)} at the latest` });
  const row = store.versions.update(version, {
    graceEndsAt: endsAt,
    dueAt: graceDueAt(key.policy, endsAt, context.now()),
  });
  record(context, {
    type: "key.grace.extended",
    actor,
    keyId: key.id,
    data: { version: row.number, from: iso(before), to: iso(endsAt) },
  });
  return ok(row);
}

/** Ends a version's grace now, whoever keeps it alive. */
export function finishGrace(
  context: EngineContext,
  key: KeyRow,
  version: VersionRow,
  actor: string,
): Result<VersionRow, Failure> {
  const { store } = context;
  const now = context.now();
  if (!isInGrace(version, now)) return err({ code: "not-in-grace" });
  const { revoke, runbook } = context.providerOf(key);
  if (!revoke && !runbook) return err({ code: "cannot-revoke" });
  const ended = store.versions.update(version, { graceEndsAt: now });
  record(context, {
    type: "key.grace.finished",
    actor,
    keyId: key.id,
    data: { version: version.number, insteadOf: iso(version.graceEndsAt ?? now) },
  });
  return ok(killVersion(context, ended, "rotated"));
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
