/** Table `delivery`: one version going to one destination, ordered by the key's revision. */
import type { DueQueue } from "./due.ts";
import type { RowCache } from "./row-cache.ts";
import type { Sql } from "./sql.ts";
import { type CallReport, UNCLAIMED, type Urgent, WorkTable } from "./work-table.ts";

export type DeliveryState = "pending" | "delivered" | "failing" | "superseded";

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
  lastCall: null,
} satisfies Partial<DeliveryRow>;

export class DeliveryTable extends WorkTable<DeliveryRow> {
  constructor(sql: Sql, cache: RowCache, due: DueQueue) {
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
      lastCall: "json",
      urgent: "boolean",
      createdAt: "plain",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  /** Deliveries of one revision of a key. */
  ofRevision(keyId: string, revision: number): DeliveryRow[] {
    return this.select("WHERE keyId = ? AND revision = ?", keyId, revision);
  }

  /** Deliveries of a key that are not at rest yet. */
  unsettled(keyId: string): DeliveryRow[] {
    return this.select("WHERE keyId = ? AND state IN ('pending', 'failing')", keyId);
  }

  /** Deliveries of one version of a key, wherever they stand. */
  ofVersion(keyId: string, number: number): DeliveryRow[] {
    return this.select("WHERE keyId = ? AND number = ?", keyId, number);
  }

  /** Deliveries that a rotation made, in order of revision. */
  ofRotation(keyId: string, rotationId: string): DeliveryRow[] {
    return this.select("WHERE keyId = ? AND rotationId = ? ORDER BY revision, id", keyId, rotationId);
  }

  /** Deliveries of a key to one destination that may still be on their way. */
  ofKeyAt(keyId: string, destinationId: string): DeliveryRow[] {
    return this.select(
      "WHERE keyId = ? AND destinationId = ? AND (dueAt IS NOT NULL OR leaseUntil IS NOT NULL OR landsUntil IS NOT NULL)",
      keyId,
      destinationId,
    );
  }

  /** A page, newest first. `before` is an id, or empty for the first page. */
  list(keyId: string | undefined, before: string, limit: number): DeliveryRow[] {
    const from = before === "" ? "~" : before;
    return keyId === undefined
      ? this.select("WHERE id < ? ORDER BY id DESC LIMIT ?", from, limit)
      : this.select("WHERE keyId = ? AND id < ? ORDER BY id DESC LIMIT ?", keyId, from, limit);
  }
}
