/** The tables of a keyring as the database describes them: a file holds rows of whatever tables there are. */
import { bytesOf, type Sql, type SqlValue } from "../../store/sql.ts";
import { encodeValue, type FileRecord } from "./format.ts";

export interface TableShape {
  name: string;
  columns: string[];
  /** Columns of the primary key, in order. */
  keys: string[];
}

export type Row = Record<string, SqlValue>;

/** Every table of the database but the platform's own. */
export function listTables(sql: Sql): TableShape[] {
  const names = sql.all<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
  );
  return names.map(({ name }) => {
    const columns = sql.all<{ name: string; pk: number }>("SELECT name, pk FROM pragma_table_info(?)", name);
    const keys = columns.filter(({ pk }) => pk > 0).toSorted((a, b) => a.pk - b.pk);
    return { name, columns: columns.map((column) => column.name), keys: keys.map((column) => column.name) };
  });
}

/** Rows in order of their primary key, after the key of another row. */
export function readPage(sql: Sql, { name, keys }: TableShape, after: Row | undefined, limit: number): Row[] {
  const order = keys.join(", ");
  const marks = keys.map(() => "?").join(", ");
  const where = after ? `WHERE (${order}) > (${marks})` : "";
  const from = after ? keys.map((key) => after[key] ?? null) : [];
  return sql.all<Row>(`SELECT * FROM ${name} ${where} ORDER BY ${order} LIMIT ?`, ...from, limit);
}

/** Rows as a file holds them. */
export function put({ name, columns }: TableShape, rows: readonly Row[]): FileRecord {
  const values = rows.map((row) =>
    columns.map((column) => encodeValue(bytesOf(row[column]) ?? row[column] ?? null)),
  );
  return { put: name, columns, rows: values };
}
