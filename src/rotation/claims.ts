/**
 * Takes due work: a row gets a lease in the commit that moves its due time, so a crash makes it due again, and its `claim` rises, so
 * that a worker whose lease is over can write nothing. Inside the caller's transaction; no calls.
 */
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import type { ChoreRow } from "../store/chores.ts";
import type { CompromiseRow } from "../store/compromises.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import { type Lane, laneOf, type WorkKind, type WorkLane } from "../store/due.ts";
import type { EdgeRecordRow } from "../store/edge-records.ts";
import { IDEMPOTENCY_KEPT_MS } from "../store/idempotency.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { Store } from "../store/store.ts";
import type { SubscriptionRow } from "../store/subscriptions.ts";
import type { VersionRow } from "../store/versions.ts";
import type { Claimable, WorkTable } from "../store/work-table.ts";
import { LEASE_MARGIN_MS } from "./backoff.ts";
import { advanceBatch } from "./batches.ts";
import { doChore } from "./chores.ts";
import type { EngineContext } from "./context.ts";
import { actOnReport } from "./leak-reports.ts";
import { applyPolicy } from "./policies.ts";
import { mayReceive } from "./steps/deliver.ts";
import { sweepClaim } from "./value-claims.ts";

/** Longer than a call takes, so that two workers never hold the same row. A mint that may take longer lengthens its own; see `intendMint`. */
const LEASE_MS = CALL_TIMEOUT_MS + LEASE_MARGIN_MS;
/** A worker that goes on with less than this left takes a new lease. */
const LEASE_LOW_MS = 2 * CALL_TIMEOUT_MS;
/** Rows of one lane that are worked on at once. The rest stay due, so that no lease runs out in a queue. */
const MAX_IN_FLIGHT = 64;

export type Claim =
  | { kind: "rotation"; row: RotationRow }
  | { kind: "version"; row: VersionRow }
  | { kind: "delivery"; row: DeliveryRow }
  | { kind: "edge"; row: EdgeRecordRow }
  | { kind: "subscription"; row: SubscriptionRow }
  | { kind: "chore"; row: ChoreRow }
  | { kind: "compromise"; row: CompromiseRow };

/**
 * Rows that one invocation works on. Each makes a few calls, and the platform allows 1,000 calls to its own services an invocation on the
 * free plan (https://developers.cloudflare.com/workers/platform/limits/); what is left over is the next alarm's.
 */
export const MAX_PER_INVOCATION = 200;
/** A subscription's row stands for more calls than others make. */
const SUBSCRIPTION_WEIGHT = 2;

/** Reports of leaks that one commit acts on. */
const REPORTS_AT_ONCE = 4;
/** Alerts that are being read at once, so that those whose service hangs hold up no other report. */
const ALERTS_IN_FLIGHT = 16;
const ALERT_WAITS_MS = 1_000;

/** What this very instance is at. */
export class InFlight {
  #left = MAX_PER_INVOCATION;
  readonly #names = new Set<string>();
  readonly #counts = new Map<Lane, number>();

  /** A new invocation has all its calls before it. */
  renew(): void {
    this.#left = MAX_PER_INVOCATION;
  }

  /** How many more rows of a lane may be taken. */
  room(lane: Lane): number {
    return Math.max(0, Math.min(MAX_IN_FLIGHT - this.count(lane), this.#left));
  }

  /** Whether a new invocation would have room for more of a lane. */
  wouldHaveRoom(lane: Lane): boolean {
    return this.count(lane) < MAX_IN_FLIGHT;
  }

  /** How many rows of a lane are being worked on. */
  count(lane: Lane): number {
    return this.#counts.get(lane) ?? 0;
  }

  holds(kind: Claim["kind"], row: Claim["row"]): boolean {
    return this.#names.has(nameOf(kind, row));
  }

  add({ kind, row }: Claim): void {
    this.#left -= kind === "subscription" ? SUBSCRIPTION_WEIGHT : 1;
    this.#names.add(nameOf(kind, row));
    this.#count(laneOf(kind, isUrgent(row)), 1);
  }

  remove({ kind, row }: Claim): void {
    this.#names.delete(nameOf(kind, row));
    this.#count(laneOf(kind, isUrgent(row)), -1);
  }

  #count(lane: Lane, by: number): void {
    this.#counts.set(lane, this.count(lane) + by);
  }
}

/** Claims what the present transaction made due in a lane, as far as there is room: what is inserted with its lease is written once. */
export function claimFresh(context: EngineContext, { lane, kinds }: WorkLane, inFlight: InFlight): Claim[] {
  const claims: Claim[] = [];
  for (const kind of kinds) {
    const room = inFlight.room(lane) - claims.length;
    if (room > 0) claims.push(...claimKind(context, kind, lane, room, inFlight, true).claims);
  }
  return claims;
}

/**
 * Claims what is due in a lane, as far as there is room. What needs no worker is settled on the spot.
 * @returns the claims, and whether the lane may hold more
 */
export function claimDue(
  context: EngineContext,
  { lane, kinds }: WorkLane,
  inFlight: InFlight,
): { claims: Claim[]; more: boolean } {
  const { store } = context;
  const now = context.now();
  const claims: Claim[] = [];
  let isFull = false;
  for (const kind of kinds) {
    const room = inFlight.room(lane) - claims.length;
    const found = room > 0 ? claimKind(context, kind, lane, room, inFlight) : { claims: [], seen: 0 };
    claims.push(...found.claims);
    isFull ||= found.seen === room;
  }
  // An entry that no row agrees with would ring for ever.
  if (claims.length === 0 && !isFull) repairQueue(store, lane, now);
  return { claims, more: isFull && claims.length < inFlight.room(lane) };
}

/** The lease with which a worker goes on that holds a row. */
export function leaseToGoOn(row: Claimable, now: number): number {
  const left = (row.leaseUntil ?? 0) - now;
  return left < LEASE_LOW_MS ? now + LEASE_MS : now + left;
}

function claimKind(
  context: EngineContext,
  kind: WorkKind,
  lane: Lane,
  room: number,
  inFlight: InFlight,
  isFresh = false,
): { claims: Claim[]; seen: number } {
  const { store } = context;
  const now = context.now();
  const lease = now + LEASE_MS;
  /** Claims rows. While a worker of this instance is at one, its call waits for an answer, and a second one would only queue up. */
  const take = <Row extends Claim["row"] & Claimable>(
    of: Claim["kind"],
    table: WorkTable<Row>,
    rows: readonly Row[],
    also: Partial<Row> = {},
  ) => {
    for (const held of rows.filter((row) => inFlight.holds(of, row))) {
      table.update(held, { leaseUntil: lease, dueAt: lease } as Partial<Row>);
    }
    const free = rows.filter((row) => !inFlight.holds(of, row));
    return table.claimAll(lane, free, lease, also);
  };
  const find = <Row extends { id: string; dueAt: number | null }>(table: WorkTable<Row>) =>
    isFresh ? table.fresh(lane, now, room) : table.due(lane, now, room);
  switch (kind) {
    case "rotation": {
      const rows = find(store.rotations);
      const claims = take(kind, store.rotations, rows).map((row): Claim => ({ kind, row }));
      return { claims, seen: rows.length };
    }
    case "version": {
      const rows = find(store.versions);
      const claims = take(kind, store.versions, rows).map((row): Claim => ({ kind, row }));
      return { claims, seen: rows.length };
    }
    case "delivery": {
      const rows = find(store.deliveries);
      const places = new Set<string>();
      const landing = store.deliveries.landingAt(rows);
      const free = rows.filter((row) => {
        // The value of a call that may still land must not arrive last.
        const landsUntil = landing.get(row.id) ?? 0;
        const isBusy = landsUntil > now && !inFlight.holds(kind, row);
        if (isBusy) store.deliveries.update(row, { dueAt: landsUntil });
        const place = `${row.keyId}/${row.destinationId}`;
        const isFree = !isBusy && !places.has(place);
        places.add(place);
        return isFree;
      });
      const isFirst = (row: DeliveryRow) => {
        const to = row.attemptedAt === null ? store.destinations.get(row.destinationId) : undefined;
        return to !== undefined && mayReceive(to);
      };
      // From here on it may have landed.
      const first = take(kind, store.deliveries, free.filter(isFirst), { attemptedAt: now });
      const again = take(
        kind,
        store.deliveries,
        free.filter((row) => !isFirst(row)),
      );
      return { claims: [...first, ...again].map((row) => ({ kind, row })), seen: rows.length };
    }
    case "edge": {
      const rows = find(store.edgeRecords);
      const claims = take(kind, store.edgeRecords, rows).map((row): Claim => ({ kind, row }));
      return { claims, seen: rows.length };
    }
    case "subscription": {
      const rows = find(store.subscriptions);
      const claims = take(kind, store.subscriptions, rows).map((row): Claim => ({ kind, row }));
      return { claims, seen: rows.length };
    }
    case "compromise": {
      if (isFresh) return { claims: [], seen: 0 };
      const rows = store.compromises.due(lane, now, Math.min(room, REPORTS_AT_ONCE));
      const places = Math.max(0, ALERTS_IN_FLIGHT - inFlight.count(lane));
      const alerts = rows.filter(({ alert }) => alert !== null);
      const asking = alerts.slice(0, places);
      for (const row of alerts.slice(places)) store.compromises.update(row, { dueAt: now + ALERT_WAITS_MS });
      const acted = rows.filter(({ alert }) => alert === null).map((row) => actOnReport(context, row));
      const claims = take(kind, store.compromises, asking).map((row): Claim => ({ kind, row }));
      // What one commit leaves of a report is the next one's.
      const isMore = rows.length === REPORTS_AT_ONCE || acted.some(({ dueAt }) => dueAt !== null);
      return { claims, seen: isMore ? room : rows.length };
    }
    case "chore": {
      if (isFresh) return { claims: [], seen: 0 };
      const rows = store.chores.due(lane, now, room);
      const asking = rows.filter((row) => doChore(context, row));
      return { claims: asking.map((row): Claim => ({ kind, row })), seen: rows.length };
    }
    case "idempotency": {
      if (isFresh) return { claims: [], seen: 0 };
      const rows = store.idempotency.due(lane, now, room);
      for (const row of rows) {
        const dueAt = row.createdAt + IDEMPOTENCY_KEPT_MS;
        if (row.sealed) store.idempotency.update(row, { sealed: null, dueAt });
        else store.idempotency.remove(row);
      }
      return { claims: [], seen: rows.length };
    }
    case "policy": {
      if (isFresh) return { claims: [], seen: 0 };
      const rows = store.policies.due(lane, now, room);
      for (const row of rows) applyPolicy(context, row);
      return { claims: [], seen: rows.length };
    }
    case "batch": {
      const rows = find(store.batches);
      for (const row of rows) advanceBatch(context, row);
      return { claims: [], seen: rows.length };
    }
    case "claim": {
      if (isFresh) return { claims: [], seen: 0 };
      const rows = store.valueClaims.due(lane, now, room);
      for (const row of rows) sweepClaim(context, row);
      return { claims: [], seen: rows.length };
    }
  }
}

/** Entries that are due and that no row agrees with: they go, and the row gets its own again. */
function repairQueue({ due, ...store }: Store, lane: Lane, now: number): void {
  const owners = {
    rotation: store.rotations,
    version: store.versions,
    delivery: store.deliveries,
    idempotency: store.idempotency,
    policy: store.policies,
    batch: store.batches,
    edge: store.edgeRecords,
    claim: store.valueClaims,
    subscription: store.subscriptions,
    chore: store.chores,
    compromise: store.compromises,
  };
  for (const { kind, id, at } of due.workDue(lane, now, MAX_IN_FLIGHT)) {
    const dueAt = owners[kind].get(id)?.dueAt ?? null;
    if (dueAt === at) continue;
    due.move(kind, id, at, null, lane);
    if (dueAt !== null) due.ensure(kind, id, dueAt, lane);
  }
}

function nameOf(kind: Claim["kind"], row: Claim["row"]): string {
  return `${kind}:${row.id}:${"claim" in row ? row.claim : 0}`;
}

function isUrgent(row: Claim["row"]): boolean {
  return "urgent" in row && row.urgent;
}
