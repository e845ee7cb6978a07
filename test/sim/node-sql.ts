/** The store's Sql over `node:sqlite`, with a hook after each commit and one that sees all that is written. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Sql, SqlValue } from "../../src/store/sql.ts";

export interface NodeSql extends Sql {
  readonly database: DatabaseSync;
  /** Makes the tables. What that gives is kept and copied from then on, as it takes longer than many a run. */
  begin(migrate: (sql: Sql) => void): void;
}

/** An empty database with all its tables. Older Node cannot copy one. */
let empty: Uint8Array | undefined;

/**
 * Opens a database in memory.
 * @param onCommit called after each outermost transaction and each statement outside one
 * @param onWrite called with the statement and the values of each write
 */
export function openNodeSql(
  onCommit: () => void,
  onWrite?: (query: string, values: readonly SqlValue[]) => void,
): NodeSql {
  const database = new DatabaseSync(":memory:");
  const statements = new Map<string, StatementSync>();
  let depth = 0;

  const prepare = (query: string) => {
    const known = statements.get(query);
    if (known) return known;
    const statement = database.prepare(query);
    statements.set(query, statement);
    return statement;
  };

  const sql: NodeSql = {
    database,
    begin(migrate) {
      if (empty) {
        database.deserialize(empty);
        return;
      }
      migrate(sql);
      if ("deserialize" in database) empty = database.serialize();
    },
    all<Row>(query: string, ...params: SqlValue[]): Row[] {
      if (query.trimEnd().slice(0, -1).includes(";")) {
        database.exec(query);
        return [];
      }
      const rows = prepare(query).all(...params) as Row[];
      if (/^\s*SELECT/i.test(query)) return rows;
      onWrite?.(query, params);
      if (depth === 0) onCommit();
      return rows;
    },
    transaction<T>(body: () => T): T {
      const name = `level${depth}`;
      database.exec(depth === 0 ? "BEGIN" : `SAVEPOINT ${name}`);
      depth += 1;
      let result: T;
      try {
        result = body();
      } catch (error) {
        depth -= 1;
        database.exec(depth === 0 ? "ROLLBACK" : `ROLLBACK TO ${name}; RELEASE ${name}`);
        throw error;
      }
      depth -= 1;
      database.exec(depth === 0 ? "COMMIT" : `RELEASE ${name}`);
      if (depth === 0) onCommit();
      return result;
    },
  };
  return sql;
}
