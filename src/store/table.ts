/** One table with one text primary key: rows in and out as objects, JSON and booleans converted at the edge. */
import type { RowCache } from "./row-cache.ts";
import { bytesOf, type Sql, type SqlValue } from "./sql.ts";

type Encoding = "plain" | "json" | "boolean" | "blob";

export type Columns<Row> = { [Column in keyof Row & string]: Encoding };

export class Table<Row extends { id: string }> {
  protected readonly sql: Sql;
  protected readonly cache: RowCache;
  protected readonly name: string;
  readonly #columns: Columns<Row>;
  readonly #names: (keyof Row & string)[];
  readonly #converted: (keyof Row & string)[];

  /** @param cache shared by all tables of a database */
  constructor(sql: Sql, cache: RowCache, name: string, columns: Columns<Row>) {
    this.cache = cache;
    this.sql = sql;
    this.name = name;
    this.#columns = columns;
    this.#names = Object.keys(columns) as (keyof Row & string)[];
    this.#converted = this.#names.filter((column) => columns[column] !== "plain");
  }

  get(id: string): Row | undefined {
    return this.cache.get(this.#nameOf(id), () => this.select("WHERE id = ?", id)[0]);
  }

  /** Rows by the rest of a SELECT: `WHERE … ORDER BY … LIMIT …`. */
  select(rest: string, ...params: SqlValue[]): Row[] {
    const rows = this.sql.all<Record<string, unknown>>(`SELECT * FROM ${this.name} ${rest}`, ...params);
    return rows.map((row) => this.decode(row));
  }

  insert(row: Row): Row {
    this.cache.forget(this.#nameOf(row.id));
    const marks = this.#names.map(() => "?").join(", ");
    this.sql.all(
      `INSERT INTO ${this.name} (${this.#names.join(", ")}) VALUES (${marks})`,
      ...this.#names.map((column) => this.#encode(column, row[column])),
    );
    return row;
  }

  /** Writes the changed columns and returns the row as it is now. */
  update(row: Row, patch: Partial<Row>): Row {
    const names = this.#names.filter((column) => column in patch && patch[column] !== row[column]);
    if (names.length === 0) return row;
    this.cache.patch<Row>(this.#nameOf(row.id), patch);
    this.sql.all(
      `UPDATE ${this.name} SET ${names.map((column) => `${column} = ?`).join(", ")} WHERE id = ?`,
      ...names.map((column) => this.#encode(column, patch[column] as Row[keyof Row & string])),
      row.id,
    );
    return { ...row, ...patch };
  }

  /** The row was written past this class. */
  protected forget(id: string): void {
    this.cache.forget(this.#nameOf(id));
  }

  delete(id: string): void {
    this.cache.forget(this.#nameOf(id));
    this.sql.all(`DELETE FROM ${this.name} WHERE id = ?`, id);
  }

  #nameOf(id: string): string {
    return `${this.name}:${id}`;
  }

  #encode(column: keyof Row & string, value: Row[keyof Row & string]): SqlValue {
    if (value === null || value === undefined) return null;
    if (this.#columns[column] === "json") return JSON.stringify(value);
    if (this.#columns[column] === "boolean") return value ? 1 : 0;
    return value as SqlValue;
  }

  protected decode(row: Record<string, unknown>): Row {
    for (const column of this.#converted) {
      const value = row[column];
      if (this.#columns[column] === "boolean") row[column] = value === 1;
      else if (this.#columns[column] === "blob") row[column] = bytesOf(value);
      else if (value !== null) row[column] = JSON.parse(value as string);
    }
    return row as Row;
  }
}
