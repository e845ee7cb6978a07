/**
 * The database of a store whose transactions hold their writes back to the end: what changes twice in one of them is written once, and
 * many alike in one statement. Any other statement sees all that was written before it.
 */
import type { Sql, SqlValue } from "./sql.ts";

/** Something that holds writes back. */
export interface Holder {
  /** Writes what is held. */
  flush(): void;
  /** A transaction failed: drops what is held, and forgets what is not so any more. */
  discard(): void;
}

export class HeldSql implements Sql {
  readonly #sql: Sql;
  readonly #holders: Holder[] = [];
  #depth = 0;
  #isHeld = false;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  register(holder: Holder): void {
    this.#holders.push(holder);
  }

  /** What was handed to a holder is written with the transaction; outside of one now. */
  hold(): void {
    this.#isHeld = true;
    if (this.#depth > 0) return;
    try {
      this.flush();
    } catch (error) {
      this.#discard();
      throw error;
    }
  }

  flush(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    for (const holder of this.#holders) holder.flush();
  }

  all<Row>(query: string, ...params: SqlValue[]): Row[] {
    this.flush();
    return this.#sql.all<Row>(query, ...params);
  }

  /** A statement that concerns nothing that is held. */
  now<Row>(query: string, ...params: SqlValue[]): Row[] {
    return this.#sql.all<Row>(query, ...params);
  }

  transaction<T>(body: () => T): T {
    this.flush();
    this.#depth += 1;
    try {
      return this.#sql.transaction(() => {
        const result = body();
        this.flush();
        return result;
      });
    } catch (error) {
      this.#discard();
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  #discard(): void {
    this.#isHeld = false;
    for (const holder of this.#holders) holder.discard();
  }
}
