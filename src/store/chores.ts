/** Table `chore`: what a keyring does for itself at a time of its own, such as its heartbeat. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { WorkTable } from "./work-table.ts";

export interface ChoreRow {
  /** `heartbeat`, `cron`, `health`, `prune`, or the id of a subscription whose old signing secret ends then. */
  id: string;
  dueAt: number | null;
}

export class ChoreTable extends WorkTable<ChoreRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "chore", "chore", { id: "plain", dueAt: "plain" });
  }

  /** Sets when a chore is next due; null for not at all. */
  set(id: string, dueAt: number | null): void {
    const row = this.get(id);
    if (row && dueAt === null) this.remove(row);
    else if (row) this.update(row, { dueAt });
    else if (dueAt !== null) this.insert({ id, dueAt });
  }
}
