/** Table `idempotency`: what a request made, by credential, route and Idempotency-Key. Ids only; a secret stays 60 s, sealed. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { WorkTable } from "./work-table.ts";

/** How long a request's ids are kept for its Idempotency-Key. */
export const IDEMPOTENCY_KEPT_MS = 24 * 3_600_000;

export interface IdempotencyRow {
  /** Hash of credential, route and Idempotency-Key. */
  id: string;
  bodyHash: Uint8Array;
  /** Id of what the request made or changed. */
  resource: string;
  sealed: Uint8Array | null;
  createdAt: number;
  /** When the secret is wiped, then when the row goes. */
  dueAt: number | null;
}

export class IdempotencyTable extends WorkTable<IdempotencyRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "idempotency", "idempotency", {
      id: "plain",
      bodyHash: "blob",
      resource: "plain",
      sealed: "blob",
      createdAt: "plain",
      dueAt: "plain",
    });
  }
}
