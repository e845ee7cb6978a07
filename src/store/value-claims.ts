/** Table `claim`: who may fetch a value, once, within a few minutes. Only a hash of what opens it is kept. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { WorkTable } from "./work-table.ts";

export interface ValueClaimRow {
  /** SHA-256 of the claim, base64url. */
  id: string;
  versionId: string;
  /** Id of the delivery whose message carries it, or of the rotation whose value somebody asked to see. */
  origin: string;
  /** Id of the destination or the access key that may claim, or `root`. */
  claimant: string;
  /** The fields, sealed, of a version of which only a hash is kept. */
  sealed: Uint8Array | null;
  createdAt: number;
  claimedAt: number | null;
  expiresAt: number;
  /** When the value is wiped, then when the row goes. */
  dueAt: number | null;
}

export class ValueClaimTable extends WorkTable<ValueClaimRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "claim", "claim", {
      id: "plain",
      versionId: "plain",
      origin: "plain",
      claimant: "plain",
      sealed: "blob",
      createdAt: "plain",
      claimedAt: "plain",
      expiresAt: "plain",
      dueAt: "plain",
    });
  }

  /** Claims that one delivery or rotation led to, for one claimant. */
  of(origin: string, claimant: string): ValueClaimRow[] {
    return this.select("WHERE origin = ? AND claimant = ?", origin, claimant);
  }
}
