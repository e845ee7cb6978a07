/**
 * `revokeWhen`: what has to be so before an old version may end. A grace is looked at before its deadline passes and moved on while
 * something is missing, as verification goes by what is stored; once it has passed, it never moves. Inside the caller's transaction.
 */
import { destinationOf } from "../destinations/registry.ts";
import { parseDuration } from "../duration.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { KeyRow, RevokeCondition } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { VersionRow } from "../store/versions.ts";
import { type EngineContext, record } from "./context.ts";
import { latestGraceEnd } from "./graces.ts";
import { conditionsOf, graceDueAt, graceMs, leadMs, MIN_LEAD_MS } from "./policy.ts";

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
  // Once passed it never moves.
  if (!key || now >= endsAt) return store.versions.update(version, { ...free, dueAt: now });
  const conditions = conditionsFor(context, key, version);
  const unmet = findUnmet(conditions, evidenceOf(context, version), now);
  if (unmet.length === 0) {
    // Somebody may come back to the old version yet: one more look, as late as it can be.
    const last = endsAt - MIN_LEAD_MS;
    const dueAt = conditions.length > 0 && last > now ? last : endsAt;
    return store.versions.update(version, { ...free, dueAt });
  }

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

/** What still holds a version in its grace, in words; empty when it may end at its deadline. Reads only. */
export function whatHolds(context: EngineContext, key: KeyRow, version: VersionRow): string[] {
  return findUnmet(conditionsFor(context, key, version), evidenceOf(context, version), context.now());
}

/** What the policy waits for before this version may go: nothing where the service ends it, or a rollback took it back. */
function conditionsFor(context: EngineContext, key: KeyRow, version: VersionRow): RevokeCondition[] {
  const isOurs = context.providerOf(key).overlap === "ours";
  const wasTakenBack = version.number > (context.store.versions.current(key.id)?.number ?? Infinity);
  return isOurs && !wasTakenBack ? conditionsOf(key.policy) : [];
}

function evidenceOf({ store }: Pick<EngineContext, "store">, version: VersionRow): Evidence {
  const key = store.keys.get(version.keyId);
  const current = store.versions.current(version.keyId);
  const places = new Set(
    store.destinations.linksOfKey(version.keyId).map(({ destinationId }) => destinationId),
  );
  const all = key && current ? newestAtEachPlace(store.deliveries.ofVersion(key.id, current.number)) : [];
  const sent = all.filter(({ destinationId }) => places.has(destinationId));
  const nameOf = ({ destinationId }: DeliveryRow) =>
    store.destinations.get(destinationId)?.name ?? destinationId;
  const canAnswer = ({ destinationId }: DeliveryRow) => canAcknowledge(store, destinationId);
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

/** Whether the consumers at a place can say that they use a version: its messages carry what they need for that. */
export function canAcknowledge({ destinations }: Store, destinationId: string): boolean {
  const row = destinations.get(destinationId);
  return row !== undefined && destinationOf(row.type).signs;
}

function newestAtEachPlace(rows: readonly DeliveryRow[]): DeliveryRow[] {
  const newest = new Map<string, DeliveryRow>();
  for (const row of rows) {
    const known = newest.get(row.destinationId);
    if (!known || known.revision <= row.revision) newest.set(row.destinationId, row);
  }
  return [...newest.values()];
}
