/**
 * Makes an earlier version current again: a rotation that mints nothing. Its new version is the earlier one, which is tested, delivered
 * and promoted like any other, and returns to its grace when that fails. Inside the caller's transaction; the caller pumps afterwards.
 */
import { parseDuration } from "../duration.ts";
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import { startRotation } from "./changes.ts";
import { type EngineContext, triggerOf } from "./context.ts";
import { holdForRollback, isInGrace, latestGraceEnd } from "./graces.ts";

/** How long the version that is taken back lives on: long enough to go back to it. */
export const ROLLBACK_GRACE = "15m";

export interface RollbackRequest {
  reason: string;
  requestedBy: string;
  /** Number of the version to go back to. Default: the newest in grace. */
  version?: number | undefined;
  /** Duration that the version taken back lives on. */
  grace?: string | undefined;
}

/** Starts going back. The caller has checked that the key may change. */
export function startRollback(
  context: EngineContext,
  key: KeyRow,
  { reason, requestedBy, version, grace }: RollbackRequest,
): Result<RotationRow, Failure> {
  const { store } = context;
  if (context.providerOf(key).overlap !== "ours") return err({ code: "forward-only" });
  const live = store.rotations.live(key.id);
  if (live) return err({ code: "rotation-live", holder: live.id });
  const earlier = pick(context, key, version);
  if (!earlier.ok) return earlier;
  const { maxGrace } = key.policy;
  if (maxGrace !== undefined && grace !== undefined && parseDuration(grace) > parseDuration(maxGrace)) {
    return err({ code: "invalid", errors: [{ path: "grace", message: `must be at most ${maxGrace}` }] });
  }
  const rotation = startRotation(context, key, {
    trigger: triggerOf(context),
    reason,
    requestedBy,
    grace: grace ?? shorter(ROLLBACK_GRACE, maxGrace),
  });
  const back = earlier.value;
  holdForRollback(context, back);
  return ok(
    store.rotations.update(rotation, {
      step: "test",
      toVersion: back.number,
      rollbackGraceEndsAt: back.graceEndsAt,
      deadlineAt: Math.min(rotation.deadlineAt, latestGraceEnd(key, back)),
    }),
  );
}

/** The version to go back to, or why there is none. */
function pick(
  { store, now }: EngineContext,
  key: KeyRow,
  number: number | undefined,
): Result<VersionRow, Failure> {
  const versions = store.versions.ofKey(key.id);
  const newest = store.versions.current(key.id)?.number ?? Infinity;
  const found =
    number === undefined
      ? versions.findLast((version) => isInGrace(version, now()) && version.number < newest)
      : versions.find((version) => version.number === number);
  if (number !== undefined && !found) {
    return err({ code: "not-found", detail: `the key has no version ${number}` });
  }
  if (found && found.compromisedAt !== null) return err({ code: "version-leaked" });
  // Otherwise who holds the value that was taken back could take it back in turn.
  if (found && found.number > newest) return err({ code: "taken-back" });
  if (!found || !isInGrace(found, now())) return err({ code: "not-in-grace" });
  const isSent = store.destinations.linksOfKey(key.id).length > 0;
  return isSent && found.sealed === null ? err({ code: "value-not-kept" }) : ok(found);
}

function shorter(one: string, other = one): string {
  return parseDuration(other) < parseDuration(one) ? other : one;
}
