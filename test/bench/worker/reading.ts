/** What a meter saw, by table. A benchmark's own statements carry a mark and are left out. */
import type { Meter } from "../../support/meter.ts";

/** Stands in every statement that a benchmark runs for itself. */
export const MARK = "/* bench */";

export interface Rows {
  read: number;
  written: number;
  statements: number;
}

export interface Reading {
  tables: Record<string, Rows>;
  /** Each is a row written, which the database does not count. */
  alarmsSet: number;
  /** Calls that the platform bills as requests to the object. */
  requests: number;
}

const TABLE = /^\s*(?:SELECT[\s\S]*?\sFROM|INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)/;

export function readingOf(meter: Meter, requests: number): Reading {
  const tables: Record<string, Rows> = {};
  for (const { query, rowsRead, rowsWritten } of meter.statements()) {
    if (query.includes(MARK)) continue;
    const table = TABLE.exec(query)?.[1] ?? "other";
    tables[table] ??= { read: 0, written: 0, statements: 0 };
    tables[table].read += rowsRead;
    tables[table].written += rowsWritten;
    tables[table].statements += 1;
  }
  return { tables, alarmsSet: meter.writtenByTable().alarm ?? 0, requests };
}
