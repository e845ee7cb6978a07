/**
 * Takes due work: a row gets a lease in the commit that moves its due time, so a crash makes it due again, and its `claim` rises, so
 * that a worker whose lease is over can write nothing. Inside the caller's transaction; no calls.
 */
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import { type DueEntry, type Lane, laneOf, type WorkKind } from "../store/due.ts";
import { IDEMPOTENCY_KEPT_MS } from "../store/idempotency.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import type { Claimable } from "../store/work-table.ts";
import type { EngineContext } from "./context.ts";
import { mayReceive } from "./steps/deliver.ts";

/** Longer than any call may take, so that two workers never hold the same row. */
const LEASE_MS = CALL_TIMEOUT_MS + 30_000;
/** A worker that goes on with less than this left takes a new lease. */
const LEASE_LOW_MS = 2 * CALL_TIMEOUT_MS;
/** Rows of one lane that are worked on at once. The rest stay due, so that no lease runs out in a queue. */
const MAX_IN_FLIGHT = 64;

export type Claim =
  | { kind: "rotation"; row: RotationRow }
  | { kind: "version"; row: VersionRow }
  | { kind: "delivery"; row: DeliveryRow };

/** What this very instance is at. */
export class InFlight {
  readonly #names = new Set<string>();
  readonly #counts = new Map<Lane, number>();

  /** How many more rows of a lane may be taken. */
  room(lane: Lane): number {
    return MAX_IN_FLIGHT - (this.#counts.get(lane) ?? 0);
  }

  holds(kind: Claim["kind"], row: Claim["row"]): boolean {
    return this.#names.has(nameOf(kind, row));
  }

  add({ kind, row }: Claim): void {
    this.#names.add(nameOf(kind, row));
    this.#count(laneOf(kind, row.urgent), 1);
  }

  remove({ kind, row }: Claim): void {
    this.#names.delete(nameOf(kind, row));
    this.#count(laneOf(kind, row.urgent), -1);
  }

  #count(lane: Lane, by: number): void {
    this.#counts.set(lane, (this.#counts.get(lane) ?? 0) + by);
  }
}

/**
 * Claims what is due in a lane, as far as there is room. What needs no worker is settled on the spot.
 * @returns the claims, and whether the lane may hold more
 */
export function claimDue(
  context: EngineContext,
  lane: Lane,
  inFlight: InFlight,
): { claims: Claim[]; more: boolean } {
  const room = inFlight.room(lane);
  if (room <= 0) return { claims: [], more: false };
  const entries = context.store.due.workDue(lane, context.now(), room);
  const claims = entries
    .map((entry) => claim(context, entry, lane, inFlight))
    .filter((one) => one !== undefined);
  return { claims, more: entries.length === room && claims.length < room };
}

/** The lease with which a worker goes on that holds a row. */
export function leaseToGoOn(row: Claimable, now: number): number {
  const left = (row.leaseUntil ?? 0) - now;
  return left < LEASE_LOW_MS ? now + LEASE_MS : now + left;
}

function claim(
  context: EngineContext,
  { kind, id, at }: DueEntry<WorkKind>,
  lane: Lane,
  inFlight: InFlight,
): Claim | undefined {
  const { store } = context;
  const now = context.now();
  const lease = { leaseUntil: now + LEASE_MS, dueAt: now + LEASE_MS };
  // While a worker of this instance is at it, its call waits for an answer, and a second one would only queue up.
  const next = (row: Claimable, isHeld: boolean) => (isHeld ? lease : { ...lease, claim: row.claim + 1 });
  switch (kind) {
    case "rotation": {
      const row = store.rotations.get(id);
      if (!row) break;
      const isHeld = inFlight.holds(kind, row);
      const claimed = store.rotations.update(row, next(row, isHeld));
      return isHeld ? undefined : { kind, row: claimed };
    }
    case "version": {
      const row = store.versions.get(id);
      if (!row) break;
      const isHeld = inFlight.holds(kind, row);
      const claimed = store.versions.update(row, next(row, isHeld));
      return isHeld ? undefined : { kind, row: claimed };
    }
    case "delivery": {
      const row = store.deliveries.get(id);
      if (!row) break;
      const isHeld = inFlight.holds(kind, row);
      const busyUntil = isHeld ? null : busyAtItsPlace(context, row, now);
      if (busyUntil !== null) {
        store.deliveries.update(row, { dueAt: busyUntil });
        return undefined;
      }
      const to = store.destinations.get(row.destinationId);
      const attemptedAt = row.attemptedAt ?? (to && mayReceive(to) ? now : null);
      const claimed = store.deliveries.update(row, { ...next(row, isHeld), ...(!isHeld && { attemptedAt }) });
      return isHeld ? undefined : { kind, row: claimed };
    }
    case "idempotency": {
      const row = store.idempotency.get(id);
      if (!row) break;
      const dueAt = row.createdAt + IDEMPOTENCY_KEPT_MS;
      if (row.sealed) store.idempotency.update(row, { sealed: null, dueAt });
      else store.idempotency.remove(row);
      return undefined;
    }
  }
  store.due.move(kind, id, at, null, lane);
  return undefined;
}

/** Until when another delivery of the same key to the same place may still land; its value must not arrive last. */
function busyAtItsPlace({ store }: EngineContext, row: DeliveryRow, now: number): number | null {
  const times = store.deliveries
    .ofKeyAt(row.keyId, row.destinationId)
    .filter((other) => other.id !== row.id)
    .map((other) => Math.max(other.leaseUntil ?? 0, other.landsUntil ?? 0));
  const until = Math.max(0, ...times);
  return until > now ? until : null;
}

function nameOf(kind: Claim["kind"], { id, claim }: Claim["row"]): string {
  return `${kind}:${id}:${claim}`;
}
