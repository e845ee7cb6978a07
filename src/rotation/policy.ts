/** When a key rotates and how long its old value lives. Pure: `now` is always a parameter; all times are milliseconds. */
import { sha256 } from "../crypto/hash.ts";
import { parseDuration } from "../duration.ts";
import type { KeyRow, Policy } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";

const DEFAULT_GRACE = "24h";
const DEFAULT_DELIVER_WITHIN = "6h";

/** What a policy leaves open is decided by the provider, then by these defaults. */
export interface PolicyDefaults {
  cooldown: string;
}

/**
 * When the key should next be rotated: its current version's age reaches `maxAge`, plus a share of `jitter` that is fixed for
 * that version, and not before `retryAt` after a failure. A key that has no value yet is tried again then. Null when nothing is
 * scheduled.
 */
export function nextRotationAt(
  key: Pick<KeyRow, "policy" | "paused" | "state" | "expiresAt" | "retryAt">,
  current: Pick<VersionRow, "id" | "issuedAt"> | undefined,
): number | null {
  const { maxAge, jitter } = key.policy;
  if (key.state === "pending" && !key.paused) return key.retryAt;
  if (maxAge === undefined || key.paused || key.state !== "active" || !current) return null;
  const aged = current.issuedAt + parseDuration(maxAge);
  const spread = Math.floor(parseDuration(jitter ?? "0") * unitOf(current.id));
  const at = Math.max(aged + spread, key.retryAt ?? 0);
  return key.expiresAt !== null && at >= key.expiresAt ? null : at;
}

/** True when the schedule asks for a rotation now. */
export function isDue(
  key: Pick<KeyRow, "policy" | "paused" | "state" | "expiresAt" | "retryAt">,
  current: Pick<VersionRow, "id" | "issuedAt"> | undefined,
  now: number,
): boolean {
  const at = nextRotationAt(key, current);
  return at !== null && at <= now && (key.expiresAt === null || now < key.expiresAt);
}

/** How long the old version should live: the grace asked for, or the policy's. Milliseconds. */
export function graceMs(policy: Policy, asked: string | null): number {
  return parseDuration(asked ?? policy.grace ?? DEFAULT_GRACE);
}

/**
 * When the old version's grace ends: after the grace asked for (or the policy's), and never before the slowest
 * destination is sure to show the new value.
 * @param propagationMs the largest propagation time among the destinations
 */
export function graceEndsAt(
  policy: Policy,
  asked: string | null,
  propagationMs: number,
  promotedAt: number,
): number {
  return promotedAt + Math.max(graceMs(policy, asked), propagationMs);
}

/** True when a version in grace may be revoked: its deadline, floor included, has passed. */
export function mayRevoke(version: Pick<VersionRow, "stage" | "graceEndsAt">, now: number): boolean {
  return version.stage === "previous" && version.graceEndsAt !== null && version.graceEndsAt <= now;
}

/** Until when a rotation may look for its destinations before the old value is put back. */
export function deliverBy(policy: Policy, startedAt: number): number {
  return startedAt + parseDuration(policy.deliverWithin ?? DEFAULT_DELIVER_WITHIN);
}

/** Until when a key that a person rotated refuses another rotation, or null when it has no cooldown. */
export function cooldownEndsAt(policy: Policy, defaults: PolicyDefaults, rotatedAt: number): number | null {
  const length = parseDuration(policy.cooldown ?? defaults.cooldown);
  return length === 0 ? null : rotatedAt + length;
}

/** A number in [0, 1) that is always the same for one version, so that a plan never jumps. */
function unitOf(id: string): number {
  return Buffer.from(sha256(id)).readUInt32BE(0) / 0x1_0000_0000;
}
