/** A table whose rows are work: each row's `dueAt` and its entry in the queue change together. */
import type { DueKind, DueQueue } from "./due.ts";
import type { Sql } from "./sql.ts";
import { type Columns, Table } from "./table.ts";

export class WorkTable<Row extends { id: string; dueAt: number | null }> extends Table<Row> {
  readonly #due: DueQueue;
  readonly #kind: DueKind;

  constructor(sql: Sql, due: DueQueue, kind: DueKind, name: string, columns: Columns<Row>) {
    super(sql, name, columns);
    this.#due = due;
    this.#kind = kind;
  }

  override insert(row: Row): Row {
    this.#due.move(this.#kind, row.id, null, row.dueAt);
    return super.insert(row);
  }

  override update(row: Row, patch: Partial<Row>): Row {
    if (patch.dueAt !== undefined) this.#due.move(this.#kind, row.id, row.dueAt, patch.dueAt);
    return super.update(row, patch);
  }

  /** Deletes a row and its entry in the queue. */
  remove(row: Row): void {
    this.#due.move(this.#kind, row.id, row.dueAt, null);
    this.delete(row.id);
  }
}

/** The columns by which a row is claimed. `claim` rises with each claim, so that a worker whose claim is over cannot write. */
export interface Claimable {
  claim: number;
  leaseUntil: number | null;
  dueAt: number | null;
}

/** How the last call to the outside ended. A body is never part of it. */
export interface CallReport {
  method: string;
  host: string;
  /** HTTP status, when there was an answer. */
  status?: number;
  /** A stable word for what happened: `ok`, `timeout`, `network`, `status`, `refused-url`… */
  code: string;
  /** Milliseconds since the epoch. */
  at: number;
}
