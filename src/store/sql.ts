/** The database as the store sees it: synchronous SQLite, in a Durable Object or in `node:sqlite`. */
export type SqlValue = string | number | null | Uint8Array;

export interface Sql {
  /** Runs a statement and returns its rows. Blobs come back as Uint8Array. `Row` states the columns the statement names. */
  all<Row>(query: string, ...params: SqlValue[]): Row[];
  /** Runs `body` in one transaction: all of it is stored, or, when it throws, nothing. */
  transaction<T>(body: () => T): T;
}

/** Sql over a Durable Object's storage (https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/). */
export function durableObjectSql(storage: DurableObjectStorage): Sql {
  return {
    all<Row>(query: string, ...params: SqlValue[]): Row[] {
      const rows = storage.sql.exec(query, ...params).toArray();
      for (const row of rows) {
        for (const column in row) {
          const value = row[column];
          if (value instanceof ArrayBuffer) (row as Record<string, unknown>)[column] = new Uint8Array(value);
        }
      }
      return rows as Row[];
    },
    transaction: (body) => storage.transactionSync(body),
  };
}
