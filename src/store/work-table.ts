/** A table whose rows are work: each row's `dueAt` and its entry in the queue change together. */
import { type DueKind, type DueQueue, type Lane, laneOf } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { type Columns, Table } from "./table.ts";

/** A query may carry 100 parameters: ids, the lease twice, and a few more. */
const MAX_CLAIMED = 95;

export class WorkTable<
  Row extends { id: string; dueAt: number | null; urgent?: boolean },
> extends Table<Row> {
  readonly #due: DueQueue;
  readonly #kind: DueKind;
  /** What an INSERT names besides the id, so that it is well-formed. */
  readonly #fillers: string[];

  constructor(
    sql: HeldSql,
    cache: RowCache,
    due: DueQueue,
    kind: DueKind,
    name: string,
    columns: Columns<Row>,
  ) {
    super(sql, cache, name, columns);
    this.#due = due;
    this.#kind = kind;
    this.#fillers = Object.entries(columns)
      .filter(([column, encoding]) => column !== "id" && encoding !== "blob")
      .map(([column]) => column);
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

  /** What this transaction made due in a lane and has not written yet: claimed now, it is written with its lease at once. */
  fresh(lane: Lane, now: number, limit: number): Row[] {
    return this.heldRows()
      .filter(({ dueAt, urgent }) => dueAt !== null && dueAt <= now && laneOf(this.#kind, urgent) === lane)
      .slice(0, limit);
  }

  /**
   * Claims rows that were just read in this transaction: each gets the next claim, the lease, and is due when that runs out. Many rows
   * a statement, and none is read again.
   * @param also what else each gets
   */
  claimAll(lane: Lane, rows: readonly Row[], lease: number, also: Partial<Row> = {}): Row[] {
    const claimable = rows as readonly (Row & Claimable)[];
    const patch = ({ claim }: Claimable) => ({ ...also, claim: claim + 1, leaseUntil: lease, dueAt: lease });
    const names = Object.keys(also) as (keyof Row & string)[];
    const more = names.map((name) => `, ${name} = ?`).join("");
    for (const row of claimable) if (this.isHeld(row.id)) super.update(row, patch(row) as object);
    const stored = rows.filter(({ id }) => !this.isHeld(id)).map(({ id }) => id);
    for (let from = 0; from < stored.length; from += MAX_CLAIMED) {
      const ids = stored.slice(from, from + MAX_CLAIMED);
      // Rows with these ids are there, so this only updates them; an upsert's look-up is not counted as a row read.
      // Zero is something that any column but a blob may hold, which an INSERT must be able to say of each.
      const values = ids.map(() => `(?${", 0".repeat(this.#fillers.length)})`).join(", ");
      this.sql.now(
        `INSERT INTO ${this.name} (id${this.#fillers.map((name) => `, ${name}`).join("")}) VALUES ${values}
         ON CONFLICT (id) DO UPDATE SET claim = claim + 1, leaseUntil = ?, dueAt = ?${more}`,
        ...ids,
        lease,
        lease,
        ...names.map((name) => this.encode(name, also[name] as Row[keyof Row & string])),
      );
    }
    return claimable.map((row) => {
      this.#due.move(this.#kind, row.id, row.dueAt, lease, lane);
      this.cache.patch<Claimable>(this.nameOf(row.id), patch(row));
      return { ...row, ...patch(row) };
    });
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
