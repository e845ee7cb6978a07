/** Table `policy`: policies with a name, shared by many keys. Each key keeps a copy, which follows a change within seconds. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { Policy } from "./keys.ts";
import type { RowCache } from "./row-cache.ts";
import { WorkTable } from "./work-table.ts";

export interface PolicyRow {
  id: string;
  name: string;
  policy: Policy;
  createdAt: number;
  createdBy: string;
  /** Id of the last key that took over the present policy; null when all have. */
  appliedTo: string | null;
  /** When the next keys take it over; null when all have. */
  dueAt: number | null;
}

export class PolicyTable extends WorkTable<PolicyRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "policy", "policy", {
      id: "plain",
      name: "plain",
      policy: "json",
      createdAt: "plain",
      createdBy: "plain",
      appliedTo: "plain",
      dueAt: "plain",
    });
  }

  /** A policy by id or name. */
  find(idOrName: string): PolicyRow | undefined {
    return this.get(idOrName) ?? this.select("WHERE name = ?", idOrName)[0];
  }

  /** A page in order of id. */
  list(after: string, limit: number): PolicyRow[] {
    return this.select("WHERE id > ? ORDER BY id LIMIT ?", after, limit);
  }
}
