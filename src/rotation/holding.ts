/**
 * `revokeWhen`: what has to be so before an old version may end. A grace is looked at before its deadline passes and moved on while
 * something is missing, as verification goes by what is stored; once it has passed, it never moves. Inside the caller's transaction.
 */
import { destinationOf } from "../destinations/registry.ts";
import { parseDuration } from "../duration.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { Policy, RevokeCondition } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import { type EngineContext, record } from "./context.ts";
import { latestGraceEnd } from "./graces.ts";
import { graceMs } from "./policy.ts";

/** Long enough for an alarm that comes late. */
const MAX_LEAD_MS = 10 * 60_000;
/** A grace that may be held lasts as long as it takes to look at it in time. */
const MIN_LEAD_MS = 30_000;
const MAX_STEP_MS = 3_600_000;
/** Past its ceiling a version that is held until somebody decides is spoken of once a day. */
const DAY_MS = 24 * 3_600_000;

/** What is known of who uses which version. Times are milliseconds since the epoch. */
export interface Evidence {
  /** Names of the places that have not confirmed the new version, or whose consumers have not said that they use it. */
  undelivered: string[];
  unacknowledged: string[];
  newSeenAt: number | null;
  oldSeenAt: number | null;
  /** When the old version began its grace. */
  retiredAt: number;
}

/** Conditions that are waited for, beyond what promotion itself has waited for. */
function conditionsOf({ revokeWhen = [] }: Policy): RevokeCondition[] {
  return revokeWhen.some((condition) => condition !== "delivered") ? revokeWhen : [];
}

/** What is missing, in words; empty when the old version may go. Pure. */
export function findUnmet(conditions: readonly RevokeCondition[], evidence: Evidence, now: number): string[] {
  return conditions.flatMap((condition) => {
    switch (condition) {
      case "delivered":
        return evidence.undelivered.map((name) => `${name} does not hold the new version`);
      case "acknowledged":
        return evidence.unacknowledged.map((name) => `${name} has not acknowledged the new version`);
      case "newSeen":
        return evidence.newSeenAt === null ? ["the new version was not seen yet"] : [];
      default: {
        const idleSince = Math.max(evidence.oldSeenAt ?? 0, evidence.retiredAt);
        const wanted = parseDuration(condition.slice("oldIdle:".length));
        const seen =
          evidence.oldSeenAt === null ? "" : `, it was seen ${new Date(evidence.oldSeenAt).toISOString()}`;
        return now - idleSince < wanted ? [`the old version is not idle long enough${seen}`] : [];
      }
    }
  });
}

/** How long before its deadline a grace is looked at. */
function leadMs(policy: Policy): number {
  return Math.min(MAX_LEAD_MS, Math.max(MIN_LEAD_MS, Math.floor(graceMs(policy, null) / 4)));
}

/** The deadline that a new grace gets: one that may be held is never shorter than it takes to look at it. */
export function firstDeadline(policy: Policy, endsAt: number, now: number): number {
  return conditionsOf(policy).length === 0 ? endsAt : Math.max(endsAt, now + 2 * leadMs(policy));
}

/** When a version in grace is looked at next. */
export function graceDueAt(policy: Policy, endsAt: number, now: number): number {
  return conditionsOf(policy).length === 0 ? Math.max(endsAt, now) : Math.max(endsAt - leadMs(policy), now);
}

/**
 * Looks at a version in its grace, which has not passed: moves the deadline on while something is missing, up to `maxGrace`, or for as
 * long as it takes with `onCeiling: "hold"`.
 */
export function reviewGrace(context: EngineContext, version: VersionRow): VersionRow {
  const { store } = context;
  const now = context.now();
  const key = store.keys.get(version.keyId);
  const endsAt = version.graceEndsAt ?? now;
  const free = { leaseUntil: null, claim: version.claim + 1 };
  const policy = key?.policy ?? {};
  const isOurs = key !== undefined && context.providerOf(key.provider).overlap === "ours";
  const unmet = isOurs ? findUnmet(conditionsOf(policy), evidenceOf(context, version), now) : [];
  if (!key || unmet.length === 0)
    return store.versions.update(version, { ...free, dueAt: Math.max(endsAt, now) });

  const holds = policy.onCeiling === "hold";
  const ceiling = latestGraceEnd(key, version);
  const isPast = endsAt >= ceiling;
  const step = isPast ? DAY_MS : Math.min(MAX_STEP_MS, Math.max(2 * leadMs(policy), graceMs(policy, null)));
  const wanted = Math.min(endsAt + step, holds ? (key.expiresAt ?? Infinity) : ceiling);
  const next = Math.max(endsAt, wanted);
  const isFinal = next === endsAt || (!holds && next >= ceiling);
  if (version.heldAt === null || isFinal || isPast) {
    record(context, {
      type: "key.grace.ending",
      actor: "rekey",
      keyId: key.id,
      data: {
        version: version.number,
        graceEndsAt: new Date(next).toISOString(),
        waitsFor: unmet.join("; "),
        isFinal,
      },
    });
  }
  return store.versions.update(version, {
    ...free,
    graceEndsAt: next,
    heldAt: version.heldAt ?? now,
    dueAt: isFinal ? next : graceDueAt(policy, next, now),
  });
}

/** What is missing before a version in grace may go, in words. */
export function unmetOf(context: EngineContext, version: VersionRow): string[] {
  const key = context.store.keys.get(version.keyId);
  return key && version.stage === "previous"
    ? findUnmet(conditionsOf(key.policy), evidenceOf(context, version), context.now())
    : [];
}

function evidenceOf({ store }: Pick<EngineContext, "store">, version: VersionRow): Evidence {
  const key = store.keys.get(version.keyId);
  const current = store.versions.current(version.keyId);
  const sent = key && current ? newestAtEachPlace(store.deliveries.ofVersion(key.id, current.number)) : [];
  const nameOf = ({ destinationId }: DeliveryRow) =>
    store.destinations.get(destinationId)?.name ?? destinationId;
  const canAnswer = ({ destinationId }: DeliveryRow) => {
    const row = store.destinations.get(destinationId);
    return row !== undefined && destinationOf(row.type).signs;
  };
  const isOpen = ({ state }: DeliveryRow) => state === "pending" || state === "failing";
  return {
    undelivered: sent.filter((one) => one.required && isOpen(one)).map(nameOf),
    unacknowledged: sent
      .filter((one) => one.state !== "acknowledged" && (canAnswer(one) || isOpen(one)))
      .map(nameOf),
    newSeenAt: current?.lastSeenAt ?? null,
    oldSeenAt: version.lastSeenAt,
    retiredAt: version.retiredAt ?? version.promotedAt ?? version.issuedAt,
  };
}

function newestAtEachPlace(rows: readonly DeliveryRow[]): DeliveryRow[] {
  const newest = new Map<string, DeliveryRow>();
  for (const row of rows) {
    const known = newest.get(row.destinationId);
    if (!known || known.revision <= row.revision) newest.set(row.destinationId, row);
  }
  return [...newest.values()];
}
