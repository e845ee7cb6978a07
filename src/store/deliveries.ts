/** Table `delivery`: one version going to one destination, ordered by the key's revision. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { type CallReport, UNCLAIMED, type Urgent, WorkTable } from "./work-table.ts";

export type DeliveryState = "pending" | "delivered" | "acknowledged" | "failing" | "superseded";

export interface DeliveryRow extends Urgent {
  id: string;
  keyId: string;
  versionId: string;
  /** Number of the version. */
  number: number;
  rotationId: string | null;
  destinationId: string;
  revision: number;
  required: boolean;
  mustAcknowledge: boolean;
  /** The key's name at the destination. */
  name: string;
  state: DeliveryState;
  attempt: number;
  /** First attempt that may have landed. */
  attemptedAt: number | null;
  /** Until when an attempt that was never answered may still land. */
  landsUntil: number | null;
  deliveredAt: number | null;
  /** When the consumer said that it has switched. */
  acknowledgedAt: number | null;
  lastCall: CallReport | null;
  createdAt: number;
}

/** What is so of every delivery when it is made. */
export const NEW_DELIVERY = {
  ...UNCLAIMED,
  state: "pending",
  attempt: 0,
  attemptedAt: null,
  landsUntil: null,
  deliveredAt: null,
  acknowledgedAt: null,
  lastCall: null,
} satisfies Partial<DeliveryRow>;

/** A query may carry 100 parameters: two a place. */
const MAX_PLACES = 50;

/** Whether any call may still land, in the cache. */
const LANDING = "landing";

export class DeliveryTable extends WorkTable<DeliveryRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "delivery", "delivery", {
      id: "plain",
      keyId: "plain",
      versionId: "plain",
      number: "plain",
      rotationId: "plain",
      destinationId: "plain",
      revision: "plain",
      required: "boolean",
      mustAcknowledge: "boolean",
      name: "plain",
      state: "plain",
      attempt: "plain",
      attemptedAt: "plain",
      landsUntil: "plain",
      deliveredAt: "plain",
      acknowledgedAt: "plain",
      lastCall: "json",
      urgent: "boolean",
      createdAt: "plain",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  override insert(row: DeliveryRow): DeliveryRow {
    if (mayLand(row)) this.cache.put(LANDING, true);
    this.cache.append(restlessName(row.keyId), row.id);
    this.cache.append(revisionName(row.keyId, row.revision), row.id);
    return super.insert(row);
  }

  override update(row: DeliveryRow, patch: Partial<DeliveryRow>): DeliveryRow {
    const updated = super.update(row, patch);
    if (mayLand(updated)) this.cache.put(LANDING, true);
    if (!isRestless(row) && isRestless(updated)) this.cache.forget(restlessName(row.keyId));
    return updated;
  }

  /** Deliveries of one revision of a key. */
  ofRevision(keyId: string, revision: number): DeliveryRow[] {
    const name = revisionName(keyId, revision);
    return this.selectBy(name, () => true, "WHERE keyId = ? AND revision = ?", keyId, revision);
  }

  /** Deliveries of a key that are not at rest yet. */
  unsettled(keyId: string): DeliveryRow[] {
    return this.#restless(keyId).filter(({ state }) => state === "pending" || state === "failing");
  }

  /** Deliveries of one version of a key, wherever they stand. */
  ofVersion(keyId: string, number: number): DeliveryRow[] {
    return this.select("WHERE keyId = ? AND number = ?", keyId, number);
  }

  /** Deliveries that a rotation made, in order of revision. */
  ofRotation(keyId: string, rotationId: string): DeliveryRow[] {
    return this.select("WHERE keyId = ? AND rotationId = ? ORDER BY revision, id", keyId, rotationId);
  }

  /**
   * Until when a call for another delivery of the same key to the same place may still land, by the id of the one that waits: calls that
   * were never answered, and those of what was superseded. Only such are in the index, so looking reads nothing while there are none.
   */
  landingAt(waiting: readonly DeliveryRow[]): Map<string, number> {
    const times = new Map<string, number>();
    const stored = this.#storedLanding(waiting).filter(({ id }) => !this.isHeld(id));
    const landing = [...stored, ...this.heldRows().filter(mayLand)];
    if (landing.length === 0) return times;
    for (const { id, keyId, destinationId } of waiting) {
      const others = landing.filter(
        (other) => other.keyId === keyId && other.destinationId === destinationId && other.id !== id,
      );
      const until = others.map((other) => Math.max(other.leaseUntil ?? 0, other.landsUntil ?? 0));
      times.set(id, Math.max(0, ...until));
    }
    return times;
  }

  #storedLanding(waiting: readonly DeliveryRow[]): DeliveryRow[] {
    const from = `FROM delivery INDEXED BY deliveryLanding
      WHERE (landsUntil IS NOT NULL OR (state = 'superseded' AND leaseUntil IS NOT NULL))`;
    const some = this.cache.get(LANDING, () => this.sql.all(`SELECT 1 ${from} LIMIT 1`).length > 0);
    if (!some) return [];
    const found: Record<string, unknown>[] = [];
    for (let at = 0; at < waiting.length; at += MAX_PLACES) {
      const page = waiting.slice(at, at + MAX_PLACES);
      const places = page.map(() => "(?, ?)").join(", ");
      found.push(
        ...this.sql.now<Record<string, unknown>>(
          `SELECT * ${from} AND (keyId, destinationId) IN (VALUES ${places})`,
          ...page.flatMap(({ keyId, destinationId }) => [keyId, destinationId]),
        ),
      );
    }
    return found.map((row) => this.decode(row));
  }

  /** Deliveries of a key to one destination that may still be on their way. */
  ofKeyAt(keyId: string, destinationId: string): DeliveryRow[] {
    return this.#restless(keyId).filter((row) => row.destinationId === destinationId);
  }

  /** Deliveries of a key that have something to do, or may still be on their way. */
  #restless(keyId: string): DeliveryRow[] {
    const rest = `WHERE keyId = ? AND (state IN ('pending', 'failing')
      OR dueAt IS NOT NULL OR leaseUntil IS NOT NULL OR landsUntil IS NOT NULL)`;
    return this.selectBy(restlessName(keyId), isRestless, rest, keyId);
  }

  /** The newest delivery of a key to one destination: what it should hold. */
  latestAt(keyId: string, destinationId: string): DeliveryRow | undefined {
    return this.select(
      "WHERE keyId = ? AND destinationId = ? ORDER BY revision DESC, id DESC LIMIT 1",
      keyId,
      destinationId,
    )[0];
  }

  /** Deliveries in order of id whose last try was at a time or later, or which were made then. `after` is an id, or empty. */
  triedSince(since: number, destinationId: string | undefined, after: string, limit: number): DeliveryRow[] {
    const tried = "COALESCE(json_extract(lastCall, '$.at'), attemptedAt, createdAt) >= ?";
    const where = `WHERE id > ? AND state <> 'superseded' AND ${tried}`;
    return destinationId === undefined
      ? this.select(`${where} ORDER BY id LIMIT ?`, after, since, limit)
      : this.select(`${where} AND destinationId = ? ORDER BY id LIMIT ?`, after, since, destinationId, limit);
  }

  /** Deliveries that were given up. */
  countFailing(): number {
    return this.tally("INDEXED BY deliveryFailing WHERE state = 'failing'");
  }

  /** Some of those that were given up. */
  failing(limit: number): DeliveryRow[] {
    return this.select("INDEXED BY deliveryFailing WHERE state = 'failing' LIMIT ?", limit);
  }

  /** A page, newest first. `before` is an id, or empty for the first page. */
  list(keyId: string | undefined, before: string, limit: number): DeliveryRow[] {
    const from = before === "" ? "~" : before;
    return keyId === undefined
      ? this.select("WHERE id < ? ORDER BY id DESC LIMIT ?", from, limit)
      : this.select("WHERE keyId = ? AND id < ? ORDER BY id DESC LIMIT ?", keyId, from, limit);
  }
}

function isRestless({ state, dueAt, leaseUntil, landsUntil }: DeliveryRow): boolean {
  const isOpen = state === "pending" || state === "failing";
  return isOpen || dueAt !== null || leaseUntil !== null || landsUntil !== null;
}

/** As the index `deliveryLanding` has it. */
function mayLand({ state, leaseUntil, landsUntil }: DeliveryRow): boolean {
  return landsUntil !== null || (state === "superseded" && leaseUntil !== null);
}

function restlessName(keyId: string): string {
  return `restlessOf:${keyId}`;
}

function revisionName(keyId: string, revision: number): string {
  return `revisionOf:${keyId}/${revision}`;
}
