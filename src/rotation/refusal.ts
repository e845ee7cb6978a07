/** Why a key cannot be rotated by hand, for one person or for a batch. Reads only. */
import { parseDuration } from "../duration.ts";
import type { Failure } from "../errors/catalogue.ts";
import type { KeyRow } from "../store/keys.ts";
import { frozenUntil } from "./calendar.ts";
import type { EngineContext } from "./context.ts";
import { isPaused, maxGraceMs } from "./policy.ts";
import { findSlotProblem } from "./steps/preflight.ts";

/** Why a key is over, or undefined. */
export function findEnd({ store, now }: EngineContext, key: KeyRow): Failure | undefined {
  if (key.state === "deleting" || key.state === "deleted") return { code: "key-deleting" };
  if (key.expiresAt !== null && key.expiresAt <= now()) return { code: "key-expired" };
  if (key.state === "lost") return { code: "key-lost" };
  const hasNone = key.state === "active" && !store.versions.current(key.id) && !store.rotations.live(key.id);
  return key.state === "revoked" || hasNone ? { code: "key-revoked" } : undefined;
}

/** Why a key cannot be rotated by hand now, or undefined. */
export function findRotationRefusal(context: EngineContext, key: KeyRow): Failure | undefined {
  const now = context.now();
  const { store } = context;
  const end = findEnd(context, key);
  if (end) return end;
  const runbook = context.providerOf(key).runbook?.(key.config);
  if (runbook && !store.rotations.live(key.id)) {
    const { text, url } = runbook;
    return { code: "made-by-hand", detail: url === undefined ? text : `${text} (${url})` };
  }
  if (isPaused(key) && !store.rotations.live(key.id)) return { code: "key-paused" };
  const thaw = store.rotations.live(key.id) ? null : frozenUntil(key.policy.freezes ?? [], now);
  if (thaw !== null) return { code: "frozen", retryAt: new Date(thaw).toISOString() };
  if (key.cooldownUntil !== null && key.cooldownUntil > now) {
    return { code: "cooldown", retryAt: new Date(key.cooldownUntil).toISOString() };
  }
  const freesAt = store.rotations.live(key.id) ? undefined : findSlotProblem(context, key)?.freesAt;
  if (freesAt !== undefined && freesAt > now) {
    return { code: "grace-running", retryAt: new Date(Math.max(freesAt, now)).toISOString() };
  }
  return undefined;
}

/** Why a grace cannot be had of a key, or undefined. */
export function findGraceExcess({ policy }: KeyRow, grace: string | null): Failure | undefined {
  if (parseDuration(grace ?? "0") <= maxGraceMs(policy)) return undefined;
  const message = "is longer than the policy's maxGrace (default 30d)";
  return { code: "invalid", errors: [{ path: "grace", message }] };
}

/** Why nobody would have the new value, or undefined. One that a live rotation makes has gone its way already. */
export function findNoReceiver({ store }: EngineContext, key: KeyRow): Failure | undefined {
  const hasReceiver = store.destinations.linksOfKey(key.id).length > 0;
  return hasReceiver || store.rotations.live(key.id) ? undefined : { code: "no-receiver" };
}
