/** The database as the store sees it: synchronous SQLite, in a Durable Object or in `node:sqlite`. */
export type SqlValue = string | number | null | Uint8Array;

export interface Sql {
  /** Runs a statement and returns its rows. Blobs come as the database has them, see `bytesOf`. `Row` states the columns the statement names. */
  all<Row>(query: string, ...params: SqlValue[]): Row[];
  /** Runs `body` in one transaction: all of it is stored, or, when it throws, nothing. */
  transaction<T>(body: () => T): T;
}

/** The part of a Durable Object's storage that is used; its own type needs the Workers' globals. */
interface Storage {
  sql: { exec(query: string, ...params: SqlValue[]): { toArray(): unknown[] } };
  transactionSync<T>(body: () => T): T;
}

/** Sql over a Durable Object's storage (https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/). */
export function durableObjectSql(storage: Storage): Sql {
  return {
    all: <Row>(query: string, ...params: SqlValue[]) => storage.sql.exec(query, ...params).toArray() as Row[],
    transaction: (body) => storage.transactionSync(body),
  };
}

/** A blob as it was read: a Durable Object gives an ArrayBuffer, other databases bytes already. */
export function bytesOf(value: unknown): Uint8Array | null {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return value instanceof Uint8Array ? value : null;
}
