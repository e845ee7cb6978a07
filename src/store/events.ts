/** Table `event`: the append-only history, from whose beginning old entries go. What is appended is decided by events/. */
import type { HeldSql, Holder } from "./held-sql.ts";
import { RowCache } from "./row-cache.ts";
import { bytesOf, type SqlValue } from "./sql.ts";

export interface EventRow {
  seq: number;
  id: string;
  type: string;
  at: number;
  actor: string;
  keyId: string | null;
  /** JSON text, exactly as hashed. */
  data: string;
  hash: Uint8Array;
  /** The key's revision when it happened; no part of what is hashed. */
  revision?: number | null;
}

export interface EventFilter {
  keyId?: string | undefined;
  type?: string | undefined;
}

/** Rows that one filtered page may read; a filter that matches little then takes several pages instead of a long query. */
const MAX_SCANNED = 5_000;

/** A query may carry 100 parameters, and an event has nine columns. */
const MAX_APPENDED = 11;

const OLDEST = "oldestEvent";

export class EventTable implements Holder {
  readonly #sql: HeldSql;
  readonly #cache: RowCache;
  readonly #onAppend: (row: EventRow) => void;
  #held: EventRow[] = [];

  /** @param onAppend hears of each row as it is written, before its transaction has ended */
  constructor(
    sql: HeldSql,
    cache = new RowCache(false),
    onAppend: (row: EventRow) => void = () => undefined,
  ) {
    this.#sql = sql;
    this.#cache = cache;
    this.#onAppend = onAppend;
    sql.register(this);
  }

  head(): { seq: number; hash: Uint8Array } | undefined {
    const held = this.#held.at(-1);
    if (held) return held;
    const [row] = this.#sql.now<{ seq: number; hash: Uint8Array }>(
      "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1",
    );
    return row && { seq: row.seq, hash: bytesOf(row.hash) ?? new Uint8Array() };
  }

  /** The first entry that is kept. */
  oldest(): { seq: number; at: number } | undefined {
    return this.#cache.get(
      OLDEST,
      () => this.#sql.all<{ seq: number; at: number }>("SELECT seq, at FROM event ORDER BY seq LIMIT 1")[0],
    );
  }

  /** Forgets all entries up to a number. */
  prune(untilSeq: number): void {
    this.#sql.all("DELETE FROM event WHERE seq <= ?", untilSeq);
    this.#cache.forget(OLDEST);
  }

  /** The entry with a sequence number. */
  at(seq: number): { hash: Uint8Array } | undefined {
    return this.#read<{ hash: Uint8Array }>("SELECT hash FROM event WHERE seq = ?", seq)[0];
  }

  /** Time of the newest event, or 0: the highest time on record. */
  lastAt(): number {
    return this.#sql.all<{ at: number }>("SELECT at FROM event ORDER BY seq DESC LIMIT 1")[0]?.at ?? 0;
  }

  append(row: EventRow): void {
    this.#held.push(row);
    this.#sql.hold();
    this.#onAppend(row);
  }

  flush(): void {
    const rows = this.#held;
    this.#held = [];
    for (let from = 0; from < rows.length; from += MAX_APPENDED) {
      const some = rows.slice(from, from + MAX_APPENDED);
      this.#sql.now(
        `INSERT INTO event (seq, id, type, at, actor, keyId, data, hash, revision) VALUES ${some.map(() => "(?, ?, ?, ?, ?, ?, ?, ?, ?)").join(", ")}`,
        ...some.flatMap(({ seq, id, type, at, actor, keyId, data, hash, revision }): SqlValue[] => [
          seq,
          id,
          type,
          at,
          actor,
          keyId,
          data,
          hash,
          revision ?? null,
        ]),
      );
    }
  }

  discard(): void {
    this.#held = [];
  }

  /** Number of the newest event before a time (milliseconds since the epoch), or 0. Times rise with numbers, so few rows are read. */
  lastBefore(at: number): number {
    let [low, high] = [0, this.head()?.seq ?? 0];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      // What was pruned is older than all that is kept.
      const [row] = this.#sql.all<{ at: number }>("SELECT at FROM event WHERE seq = ?", middle);
      if ((row?.at ?? 0) < at) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Rows after `seq` in order, unfiltered. */
  after(seq: number, limit: number): EventRow[] {
    return this.#read<EventRow>("SELECT * FROM event WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit);
  }

  /** Rows after `seq` up to `until` in order, at most `limit` of them read; those that pass the filter come back. */
  slice(
    filter: EventFilter,
    seq: number,
    until: number,
    limit: number,
  ): { rows: EventRow[]; next: number | null } {
    const read = this.after(seq, limit).filter((row) => row.seq <= until);
    const rows = read.filter(
      (row) =>
        (filter.keyId === undefined || row.keyId === filter.keyId) &&
        (filter.type === undefined || row.type === filter.type),
    );
    const last = read.at(-1);
    return { rows, next: last && read.length === limit && last.seq < until ? last.seq : null };
  }

  /**
   * A page, newest first.
   * @param before only older than this sequence number
   * @returns matching rows and, when there may be more, the number to go on from
   */
  page(filter: EventFilter, before: number, limit: number): { rows: EventRow[]; next: number | null } {
    const where = ["seq < ?", "seq >= ?"];
    const floor = Math.max(0, Math.min(before, (this.head()?.seq ?? 0) + 1) - MAX_SCANNED);
    const params: SqlValue[] = [before, floor];
    if (filter.keyId !== undefined) {
      where.push("keyId = ?");
      params.push(filter.keyId);
    }
    if (filter.type !== undefined) {
      where.push("type = ?");
      params.push(filter.type);
    }
    const found = this.#read<EventRow>(
      `SELECT * FROM event WHERE ${where.join(" AND ")} ORDER BY seq DESC LIMIT ?`,
      ...params,
      limit + 1,
    );
    const rows = found.slice(0, limit);
    const last = rows.at(-1);
    if (last && found.length > limit) return { rows, next: last.seq };
    return { rows, next: floor > (this.oldest()?.seq ?? 1) ? floor : null };
  }

  #read<Row extends { hash: Uint8Array }>(query: string, ...params: SqlValue[]): Row[] {
    return this.#sql
      .all<Row>(query, ...params)
      .map((row) => ({ ...row, hash: bytesOf(row.hash) ?? new Uint8Array() }));
  }
}
