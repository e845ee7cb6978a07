/** When a key rotates and how long its old value lives. Pure: `now` is always a parameter; all times are milliseconds. */
import { sha256 } from "../crypto/hash.ts";
import { parseDuration } from "../duration.ts";
import type { KeyRow, Policy, RevokeCondition } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import { firstAllowed, nextMoment } from "./calendar.ts";
import { type Asked, nextReminderAt } from "./reminders.ts";

const DEFAULT_GRACE = "24h";
const DEFAULT_DELIVER_WITHIN = "6h";
const DEFAULT_MAX_GRACE = "30d";

type PlannedKey = Pick<KeyRow, "policy" | "paused" | "state" | "expiresAt" | "retryAt" | "heldUntil"> &
  Partial<Asked>;
type Dated = Pick<VersionRow, "id" | "issuedAt" | "expiresAt"> & Partial<Pick<VersionRow, "compromisedAt">>;

/**
 * When the key should next be rotated: its current version's age reaches `maxAge`, or the first moment of `schedule` after it was
 * made; plus a share of `jitter` that is fixed for that version, not before `retryAt` after a failure, inside the policy's window and
 * outside of its freezes. A value that its service ends by itself is replaced well before that, and none while the service holds
 * something back. A key that has no value yet is tried again at `retryAt`. Where a person is asked for the new value, it is when that is
 * said next. Null when nothing is scheduled.
 */
export function nextRotationAt(key: PlannedKey, current: Dated | undefined): number | null {
  const isLeak = isAskedForLeak(key, current);
  if (isPaused(key) && !isLeak) return null;
  if (key.state === "pending") return key.retryAt;
  if (key.state !== "active" || !current) return null;
  const reminder = nextReminderAt({ askedAt: key.askedAt ?? null, remindedAt: key.remindedAt ?? null });
  const planned = plannedAt(key.policy, current);
  if (planned === null && !isLeak) return null;
  const least = Math.max(planned ?? 0, key.retryAt ?? 0, key.heldUntil ?? 0, reminder);
  const at = isLeak ? reminder : allowedAt(key, current, least);
  return at === null || (key.expiresAt !== null && at >= key.expiresAt) ? null : at;
}

/** When the policy would have a value replaced, whatever stands in the way. Null for never. */
export function plannedAt(policy: Policy, current: Dated): number | null {
  const base = dueBase(policy, current);
  if (base === null) return null;
  const jitter = Math.floor(jitterMs(policy) * unitOf(current.id));
  return Math.min(base + jitter, expiryBase(current));
}

/** Whether a person is asked for a new value as the present one leaked: no window, freeze or pause keeps that back. */
function isAskedForLeak({ askedAt = null }: PlannedKey, current: Dated | undefined): boolean {
  return askedAt !== null && (current?.compromisedAt ?? null) !== null;
}

/** The first time at or after `at` at which a policy lets a scheduled rotation begin. */
function allowedAt({ policy }: PlannedKey, current: Dated, at: number): number | null {
  const { window, freezes = [] } = policy;
  return firstAllowed(at, window, freezes, unitOf(current.id), jitterMs(policy));
}

/** Of a value's own life, what is left for replacing it. */
const EXPIRY_SHARE = 0.2;
const MAX_EXPIRY_LEAD_MS = 7 * 86_400_000;

/** When a value that its service ends by itself has to be replaced at the latest. */
function expiryBase({ issuedAt, expiresAt }: Dated): number {
  if (expiresAt === null) return Infinity;
  return expiresAt - Math.min(MAX_EXPIRY_LEAD_MS, Math.floor((expiresAt - issuedAt) * EXPIRY_SHARE));
}

/** When the value is old enough, before any jitter. */
function dueBase({ maxAge, schedule }: Policy, { issuedAt }: Dated): number | null {
  if (maxAge !== undefined) return issuedAt + parseDuration(maxAge);
  return schedule ? nextMoment(schedule, issuedAt) : null;
}

function jitterMs({ jitter }: Policy): number {
  return parseDuration(jitter ?? "0");
}

/** True when nothing new begins, by the key's own switch or by its policy's. */
export function isPaused({ paused, policy }: Pick<KeyRow, "paused" | "policy">): boolean {
  return paused || policy.paused === true;
}

/** True when a policy plans rotations at all. */
export function isPlanned({ maxAge, schedule }: Policy): boolean {
  return maxAge !== undefined || schedule !== undefined;
}

/**
 * When the schedule's next rotation begins, as seen now: what is overdue begins now, or when the window opens next. Null when nothing
 * is scheduled.
 */
export function nextStartAt(key: PlannedKey, current: Dated | undefined, now: number): number | null {
  const at = nextRotationAt(key, current);
  if (at === null || at > now) return at;
  const start = current && !isAskedForLeak(key, current) ? allowedAt(key, current, now) : now;
  return start === null || (key.expiresAt !== null && start >= key.expiresAt) ? null : start;
}

/** True when the schedule asks for a rotation now. */
export function isDue(key: PlannedKey, current: Dated | undefined, now: number): boolean {
  return nextStartAt(key, current, now) === now;
}

/** A stretch of time in which nothing was started, milliseconds since the epoch. */
export interface Outage {
  from: number;
  until: number;
}

/** Over how long the rotations are spread that an outage held up. */
const CATCH_UP_MS = 3_600_000;

/**
 * When a rotation begins that fell due while nothing was started, so that not all of them begin at once: somewhere in the hour after,
 * the same for one version each time. Null when it did not fall due then.
 */
export function catchUpAt(
  key: PlannedKey,
  current: Dated | undefined,
  dueAt: number,
  outages: readonly Outage[],
): number | null {
  const ends = outages.filter(({ from, until }) => from < dueAt && dueAt < until).map(({ until }) => until);
  if (ends.length === 0 || !current) return null;
  return allowedAt(key, current, Math.max(...ends) + Math.floor(unitOf(current.id) * CATCH_UP_MS));
}

/** The longest that an old version may live, whatever holds it. Milliseconds. */
export function maxGraceMs(policy: Policy): number {
  return Math.max(parseDuration(policy.maxGrace ?? DEFAULT_MAX_GRACE), graceMs(policy, null));
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

/** A look at a grace is this early at least: what verification has seen is written within a minute, and KV takes as long to spread. */
export const MIN_LEAD_MS = 90_000;
/** Long enough for an alarm that comes late. */
const MAX_LEAD_MS = 10 * 60_000;

/** Conditions of `revokeWhen` that are waited for, beyond what promotion itself has waited for. */
export function conditionsOf({ revokeWhen = [] }: Policy): RevokeCondition[] {
  return revokeWhen.some((condition) => condition !== "delivered") ? revokeWhen : [];
}

/** How long before its deadline a grace is looked at. */
export function leadMs(policy: Policy): number {
  return Math.min(MAX_LEAD_MS, Math.max(MIN_LEAD_MS, Math.floor(graceMs(policy, null) / 4)));
}

/** The deadline that a new grace gets: one that may be held is never shorter than it takes to look at it. */
export function firstDeadline(policy: Policy, endsAt: number, now: number): number {
  const least = now + Math.min(2 * leadMs(policy), maxGraceMs(policy));
  return conditionsOf(policy).length === 0 ? endsAt : Math.max(endsAt, least);
}

/** When a version in grace is looked at next. */
export function graceDueAt(policy: Policy, endsAt: number, now: number): number {
  return conditionsOf(policy).length === 0 ? Math.max(endsAt, now) : Math.max(endsAt - leadMs(policy), now);
}

/** True when a version in grace may be revoked: its deadline, floor included, has passed. */
export function mayRevoke(version: Pick<VersionRow, "stage" | "graceEndsAt">, now: number): boolean {
  return version.stage === "previous" && version.graceEndsAt !== null && version.graceEndsAt <= now;
}

/** Until when a rotation may look for its destinations before the old value is put back. */
export function deliverBy(policy: Policy, startedAt: number): number {
  return startedAt + parseDuration(policy.deliverWithin ?? DEFAULT_DELIVER_WITHIN);
}

/**
 * How long after a rotation by hand a key refuses another, and what an access key may not do meanwhile. Milliseconds.
 * @param fallback the provider's own default, for a key without a role
 */
export function cooldownMs({ policy, role }: Pick<KeyRow, "policy" | "role">, fallback: string): number {
  const usual = role === "agent" ? "30m" : role === "operator" ? "60m" : fallback;
  return parseDuration(policy.cooldown ?? usual);
}

/** When that time ends, or null when there is none. */
export function cooldownEndsAt(
  key: Pick<KeyRow, "policy" | "role">,
  fallback: string,
  rotatedAt: number,
): number | null {
  const length = cooldownMs(key, fallback);
  return length === 0 ? null : rotatedAt + length;
}

/** A number in [0, 1) that is always the same for one version, so that a plan never jumps. */
function unitOf(id: string): number {
  return Buffer.from(sha256(id)).readUInt32BE(0) / 0x1_0000_0000;
}
