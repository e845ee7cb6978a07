/**
 * Table `edgeRecord`: the versions that have, or had, a record in KV for verification at the edge. One row is the one writer of its
 * record: it is due whenever the record may differ from the database.
 */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { type Claimable, UNCLAIMED, WorkTable } from "./work-table.ts";

/** KV takes one write a second for each name (https://developers.cloudflare.com/kv/platform/limits/). */
export const KV_PACE_MS = 1_000;

export interface EdgeRecordRow extends Claimable {
  /** Of the version. */
  id: string;
  /** Rises with each change of what the record should say. */
  wanted: number;
  /** When a write of it last succeeded. */
  putAt: number | null;
}

export class EdgeRecordTable extends WorkTable<EdgeRecordRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "edge", "edgeRecord", {
      id: "plain",
      wanted: "plain",
      putAt: "plain",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  /** From now on a version has a record. */
  want(versionId: string): void {
    if (this.get(versionId)) this.touch(versionId);
    else this.insert({ ...UNCLAIMED, id: versionId, wanted: 1, putAt: null, dueAt: 0 });
  }

  /** What the record of a version should say has changed, if it has one. A write under way is not overtaken: it looks again after. */
  touch(versionId: string): void {
    const row = this.get(versionId);
    if (!row) return;
    const soon = row.putAt === null ? 0 : row.putAt + KV_PACE_MS;
    this.update(row, { wanted: row.wanted + 1, ...(row.leaseUntil === null && { dueAt: soon }) });
  }

  touchKey(keyId: string): void {
    const rows = this.select("WHERE id IN (SELECT id FROM version WHERE keyId = ?)", keyId);
    for (const { id } of rows) this.touch(id);
  }
}
