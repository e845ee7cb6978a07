/**
 * `revokeWhen`: what has to be so before an old version may end. A grace is looked at before its deadline passes and moved on while
 * something is missing, as verification goes by what is stored; once it has passed, it never moves. Inside the caller's transaction,
 * except for what a service is asked first.
 */
import { destinationOf } from "../destinations/registry.ts";
import { parseDuration } from "../duration.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { KeyRow, RevokeCondition } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { VersionRow } from "../store/versions.ts";
import { credentialOf, type EngineContext, providerContext, record } from "./context.ts";
import { latestGraceEnd } from "./graces.ts";
import { conditionsOf, graceDueAt, graceMs, leadMs, MIN_LEAD_MS } from "./policy.ts";

const MAX_STEP_MS = 3_600_000;
/** Rekey's own test of a new value is a use of it, too, and it ends before promotion. Clocks differ, and services count in minutes. */
const OWN_USE_MS = 60_000;
/** Past its ceiling a version that is held until somebody decides is spoken of once a day. */
const DAY_MS = 24 * 3_600_000;

/** What is known of who uses which version. Times are milliseconds since the epoch. */
export interface Evidence {
  /** Names of the places that have not confirmed the new version, or whose consumers have not said that they use it. */
  undelivered: string[];
  unacknowledged: string[];
  newSeenAt: number | null;
  oldSeenAt: number | null;
  /** Why nobody knows when either was seen; null when it is known. */
  unknown: string | null;
  /** When the old version began its grace. */
  retiredAt: number;
}

/** What a service said of who uses which version. Times are milliseconds since the epoch. */
export type Uses =
  | {
      kind: "told";
      /** Id of the version that was current then. */
      current: string | undefined;
      newSeenAt: number | null;
      oldSeenAt: number | null;
    }
  | { kind: "unknown"; problem: string };

/** What is missing, in words; empty when the old version may go. Pure. */
export function findUnmet(conditions: readonly RevokeCondition[], evidence: Evidence, now: number): string[] {
  const { unknown } = evidence;
  const unmet = conditions.flatMap((condition) => {
    switch (condition) {
      case "delivered":
        return evidence.undelivered.map((name) => `${name} does not hold the new version`);
      case "acknowledged":
        return evidence.unacknowledged.map((name) => `${name} has not acknowledged the new version`);
      case "newSeen":
        if (unknown !== null) return [unknown];
        return evidence.newSeenAt === null ? ["the new version was not seen yet"] : [];
      default: {
        if (unknown !== null) return [unknown];
        const idleSince = Math.max(evidence.oldSeenAt ?? 0, evidence.retiredAt);
        const wanted = parseDuration(condition.slice("oldIdle:".length));
        const seen =
          evidence.oldSeenAt === null ? "" : `, it was seen ${new Date(evidence.oldSeenAt).toISOString()}`;
        return now - idleSince < wanted ? [`the old version is not idle long enough${seen}`] : [];
      }
    }
  });
  return [...new Set(unmet)];
}

/**
 * Asks the service who uses which version, where the policy waits for that and the service is the one to say. Outside of any transaction.
 * Undefined when there is nothing to ask.
 */
export async function askForUses(context: EngineContext, version: VersionRow): Promise<Uses | undefined> {
  const key = context.store.keys.get(version.keyId);
  const { lastUsed } = key ? context.providerOf(key) : {};
  if (!key || !lastUsed) return undefined;
  const conditions = conditionsFor(context, key, version);
  const current = context.store.versions.current(key.id);
  const isAsked = { new: conditions.includes("newSeen"), old: conditions.some(isIdleness) };
  const ask = async (of: VersionRow | undefined) =>
    of && lastUsed(providerContext(context, key, of, of.connectionRevision), credentialOf(context, of));
  const [fresh, old] = await Promise.all([
    isAsked.new ? ask(current) : undefined,
    isAsked.old ? ask(version) : undefined,
  ]);
  for (const answer of [fresh, old]) {
    if (answer?.kind === "failed") return { kind: "unknown", problem: answer.problem };
  }
  const newSeenAt = fresh?.kind === "told" ? fresh.at : null;
  const since = (current?.promotedAt ?? current?.issuedAt ?? 0) + OWN_USE_MS;
  return {
    kind: "told",
    current: current?.id,
    newSeenAt: newSeenAt !== null && newSeenAt > since ? newSeenAt : null,
    oldSeenAt: old?.kind === "told" ? old.at : null,
  };
}

function isIdleness(condition: RevokeCondition): boolean {
  return condition.startsWith("oldIdle:");
}

/** What is waited for before this version may go. A version that a rollback took back waits for nothing. */
function conditionsFor({ store, providerOf }: EngineContext, key: KeyRow, version: VersionRow) {
  const isOurs = providerOf(key).overlap === "ours";
  const wasTakenBack = version.number > (store.versions.current(key.id)?.number ?? Infinity);
  return isOurs && !wasTakenBack ? conditionsOf(key.policy) : [];
}

/**
 * Looks at a version in its grace, which has not passed: moves the deadline on while something is missing, up to `maxGrace`, or for as
 * long as it takes with `onCeiling: "hold"`.
 * @param uses what the service said just before, where it is the one to say
 */
export function reviewGrace(context: EngineContext, version: VersionRow, uses?: Uses): VersionRow {
  const { store } = context;
  const now = context.now();
  const key = store.keys.get(version.keyId);
  const endsAt = version.graceEndsAt ?? now;
  const free = { leaseUntil: null, claim: version.claim + 1 };
  const policy = key?.policy ?? {};
  // Once passed it never moves.
  if (!key || now >= endsAt) return store.versions.update(version, { ...free, dueAt: now });
  const conditions = conditionsFor(context, key, version);
  const unmet = findUnmet(conditions, evidenceOf(context, version, uses), now);
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

/** What still holds a version in its grace, in words, by what is on record here; empty when it may end at its deadline. Reads only. */
export function whatHolds(context: EngineContext, key: KeyRow, version: VersionRow): string[] {
  const evidence = evidenceOf(context, version, undefined);
  return findUnmet(conditionsFor(context, key, version), evidence, context.now());
}

function evidenceOf({ store }: EngineContext, version: VersionRow, uses: Uses | undefined): Evidence {
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
    ...seenOf(current, version, uses),
    retiredAt: version.retiredAt ?? version.promotedAt ?? version.issuedAt,
  };
}

/** Whether the consumers at a place can say that they use a version: its messages carry what they need for that. */
export function canAcknowledge({ destinations }: Store, destinationId: string): boolean {
  const row = destinations.get(destinationId);
  return row !== undefined && destinationOf(row.type).signs;
}

/** When each version was seen: by the service, or by Rekey's own verification. */
function seenOf(current: VersionRow | undefined, old: VersionRow, uses: Uses | undefined) {
  if (!uses) {
    return { newSeenAt: current?.lastSeenAt ?? null, oldSeenAt: old.lastSeenAt, unknown: null };
  }
  const problem =
    uses.kind === "unknown" ? uses.problem : "another version became current as the service was asked";
  if (uses.kind === "unknown" || uses.current !== current?.id) {
    const unknown = `nobody knows who uses which version (${problem})`;
    return { newSeenAt: null, oldSeenAt: null, unknown };
  }
  return { newSeenAt: uses.newSeenAt, oldSeenAt: uses.oldSeenAt, unknown: null };
}

function newestAtEachPlace(rows: readonly DeliveryRow[]): DeliveryRow[] {
  const newest = new Map<string, DeliveryRow>();
  for (const row of rows) {
    const known = newest.get(row.destinationId);
    if (!known || known.revision <= row.revision) newest.set(row.destinationId, row);
  }
  return [...newest.values()];
}
