/** A table whose rows are work: each row's `dueAt` and its entry in the queue change together. */
import { type DueKind, type DueQueue, type Lane, laneOf } from "./due.ts";
import type { Sql } from "./sql.ts";
import { type Columns, Table } from "./table.ts";

export class WorkTable<
  Row extends { id: string; dueAt: number | null; urgent?: boolean },
> extends Table<Row> {
  readonly #due: DueQueue;
  readonly #kind: DueKind;

  constructor(sql: Sql, due: DueQueue, kind: DueKind, name: string, columns: Columns<Row>) {
    super(sql, name, columns);
    this.#due = due;
    this.#kind = kind;
  }

  override insert(row: Row): Row {
    this.#due.move(this.#kind, row.id, null, row.dueAt, laneOf(this.#kind, row.urgent));
    return super.insert(row);
  }

  override update(row: Row, patch: Partial<Row>): Row {
    const { dueAt, urgent } = { ...row, ...patch };
    const [lane, fromLane] = [laneOf(this.#kind, urgent), laneOf(this.#kind, row.urgent)];
    this.#due.move(this.#kind, row.id, row.dueAt, dueAt, lane, fromLane);
    return super.update(row, patch);
  }

  /** Rows of a lane that are due, earliest first. */
  due(lane: Lane, now: number, limit: number): Row[] {
    // The queue first, then one look-up a row: two rows read for each.
    const rows = this.sql.all<Record<string, unknown>>(
      `SELECT owner.* FROM due CROSS JOIN ${this.name} AS owner ON owner.id = due.id AND owner.dueAt = due.at
       WHERE due.lane = ? AND due.at <= ? AND due.kind = ? ORDER BY due.at LIMIT ?`,
      lane,
      now,
      this.#kind,
      limit,
    );
    return rows.map((row) => this.decode(row));
  }

  /** Like `update`, for a row that was just read in this transaction: it is not read again. */
  claim(row: Row, patch: Partial<Row>): Row {
    const claimed = { ...row, ...patch };
    const lane = laneOf(this.#kind, row.urgent);
    this.#due.move(this.#kind, row.id, row.dueAt, claimed.dueAt, lane);
    this.put(claimed, patch);
    return claimed;
  }

  /** Deletes a row and its entry in the queue. */
  remove(row: Row): void {
    this.#due.move(this.#kind, row.id, row.dueAt, null, laneOf(this.#kind, row.urgent));
    this.delete(row.id);
  }
}

/** The columns by which a row is claimed. `claim` rises with each claim, so that a worker whose claim is over cannot write. */
export interface Claimable {
  claim: number;
  leaseUntil: number | null;
  dueAt: number | null;
}

/** Work that may be an emergency: then it has a lane of its own in the queue. */
export interface Urgent extends Claimable {
  urgent: boolean;
}

/** A row that nobody has claimed and that has nothing to do. */
export const UNCLAIMED = { claim: 0, leaseUntil: null, dueAt: null } satisfies Claimable;

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
