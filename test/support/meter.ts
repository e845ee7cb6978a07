/** Counts the rows that an object's statements read and write: those of the real code, not of a copy of its SQL. */

export interface Statement {
  query: string;
  rowsRead: number;
  rowsWritten: number;
}

export interface Meter {
  /** What ran since the meter was put in, in order. */
  statements(): Statement[];
  /** Rows written by table, indexes included; each `setAlarm` is one more (`alarm`), which the database does not count. */
  writtenByTable(): Record<string, number>;
  remove(): void;
}

/** Puts a meter on an object's database. It stays until the object is evicted or `remove` is called. */
export function meter({ storage }: DurableObjectState): Meter {
  const { sql } = storage;
  const { exec } = sql;
  const { setAlarm } = storage;
  let alarms = 0;
  storage.setAlarm = (...params) => {
    alarms += 1;
    return setAlarm.apply(storage, params);
  };
  const seen: { query: string; cursor: { rowsRead: number; rowsWritten: number } }[] = [];
  sql.exec = ((query: string, ...params: unknown[]) => {
    const cursor = exec.call(sql, query, ...params);
    seen.push({ query, cursor });
    return cursor;
  }) as typeof exec;
  const statements = () =>
    seen.map(({ query, cursor }) => ({
      query,
      rowsRead: cursor.rowsRead,
      rowsWritten: cursor.rowsWritten,
    }));
  return {
    statements,
    writtenByTable() {
      const rows: Record<string, number> = alarms > 0 ? { alarm: alarms } : {};
      for (const { query, rowsWritten } of statements()) {
        const table = /^\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)/.exec(query)?.[1];
        if (table && rowsWritten > 0) rows[table] = (rows[table] ?? 0) + rowsWritten;
      }
      return rows;
    },
    remove() {
      sql.exec = exec;
      storage.setAlarm = setAlarm;
    },
  };
}
