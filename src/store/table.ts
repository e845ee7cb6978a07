/** One table with one text primary key: rows in and out as objects, JSON and booleans converted at the edge. */
import type { HeldSql, Holder } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { bytesOf, type SqlValue } from "./sql.ts";

type Encoding = "plain" | "json" | "boolean" | "blob";

export type Columns<Row> = { [Column in keyof Row & string]: Encoding };

interface HeldRow<Row> {
  row: Row;
  /** Columns that differ from what the database has; undefined when all of the row is new. */
  changed: Set<keyof Row & string> | undefined;
}

export class Table<Row extends { id: string }> implements Holder {
  protected readonly sql: HeldSql;
  protected readonly cache: RowCache;
  protected readonly name: string;
  readonly #columns: Columns<Row>;
  readonly #names: (keyof Row & string)[];
  readonly #converted: (keyof Row & string)[];
  readonly #held = new Map<string, HeldRow<Row>>();

  /** @param cache shared by all tables of a database */
  constructor(sql: HeldSql, cache: RowCache, name: string, columns: Columns<Row>) {
    this.cache = cache;
    this.sql = sql;
    this.name = name;
    this.#columns = columns;
    this.#names = Object.keys(columns) as (keyof Row & string)[];
    this.#converted = this.#names.filter((column) => columns[column] !== "plain");
    sql.register(this);
  }

  get(id: string): Row | undefined {
    return this.cache.get(this.nameOf(id), () => this.#selectOwn("WHERE id = ?", id)[0]);
  }

  /** Rows by the rest of a SELECT: `WHERE … ORDER BY … LIMIT …`. */
  select(rest: string, ...params: SqlValue[]): Row[] {
    this.sql.flush();
    return this.#selectOwn(rest, ...params);
  }

  /** The same, where the condition looks at no other table. */
  #selectOwn(rest: string, ...params: SqlValue[]): Row[] {
    if (this.#held.size > 0) this.sql.flush();
    const rows = this.sql.now<Record<string, unknown>>(`SELECT * FROM ${this.name} ${rest}`, ...params);
    return rows.map((row) => this.decode(row));
  }

  /** How many rows there are, by the rest of a SELECT. */
  protected tally(rest: string, ...params: SqlValue[]): number {
    const query = `SELECT count(*) AS count FROM ${this.name} ${rest}`;
    return this.sql.all<{ count: number }>(query, ...params)[0]?.count ?? 0;
  }

  /**
   * The rows of which something is so, by their ids under a name in the cache. Whoever writes the table adds the new ones there.
   * @param rest the same as `isSo`, for the database
   */
  protected selectBy(name: string, isSo: (row: Row) => boolean, rest: string, ...params: SqlValue[]): Row[] {
    const ids = this.cache.get(name, () =>
      this.#selectOwn(rest, ...params).map((row) => {
        this.cache.put(this.nameOf(row.id), row);
        return row.id;
      }),
    );
    const rows = ids.map((id) => this.get(id)).filter((row) => row !== undefined && isSo(row)) as Row[];
    if (rows.length < ids.length)
      this.cache.put(
        name,
        rows.map(({ id }) => id),
      );
    return rows;
  }

  /** The one row of a condition. */
  protected getBy(name: string, rest: string, ...params: SqlValue[]): Row | undefined {
    const id = this.cache.get(name, () => {
      const [row] = this.#selectOwn(rest, ...params);
      if (row) this.cache.put(this.nameOf(row.id), row);
      return row?.id;
    });
    return id === undefined ? undefined : this.get(id);
  }

  insert(row: Row): Row {
    const whole = { ...row };
    for (const column of this.#names) whole[column] ??= null as never;
    this.cache.put(this.nameOf(row.id), whole);
    this.cache.noteWritten(this.nameOf(row.id));
    this.#held.set(row.id, { row: whole, changed: undefined });
    this.sql.hold();
    return row;
  }

  /** Writes the changed columns and returns the row as it is now. */
  update(row: Row, patch: Partial<Row>): Row {
    const names = this.#names.filter((column) => column in patch && patch[column] !== row[column]);
    if (names.length === 0) return row;
    const changed = Object.fromEntries(
      names.map((column) => [column, patch[column] ?? null]),
    ) as Partial<Row>;
    this.cache.patch<Row>(this.nameOf(row.id), changed);
    const held = this.#held.get(row.id) ?? { row, changed: new Set() };
    this.#held.set(row.id, {
      row: { ...held.row, ...changed },
      changed: held.changed && new Set([...held.changed, ...names]),
    });
    this.sql.hold();
    return { ...row, ...patch };
  }

  delete(id: string): void {
    this.sql.all(`DELETE FROM ${this.name} WHERE id = ?`, id);
    this.cache.forget(this.nameOf(id));
  }

  flush(): void {
    for (const { row, changed } of this.#held.values()) {
      if (changed) this.#write(row, [...changed]);
      else this.#writeNew(row);
    }
    this.#held.clear();
  }

  discard(): void {
    this.#held.clear();
  }

  /** Rows whose writes are held back. */
  protected heldRows(): Row[] {
    return [...this.#held.values()].map(({ row }) => row);
  }

  /** Whether writes of a row are held back. */
  protected isHeld(id: string): boolean {
    return this.#held.has(id);
  }

  #writeNew(row: Row): void {
    const marks = this.#names.map(() => "?").join(", ");
    this.sql.now(
      `INSERT INTO ${this.name} (${this.#names.join(", ")}) VALUES (${marks})`,
      ...this.#names.map((column) => this.encode(column, row[column])),
    );
  }

  #write(row: Row, names: readonly (keyof Row & string)[]): void {
    this.sql.now(
      `UPDATE ${this.name} SET ${names.map((column) => `${column} = ?`).join(", ")} WHERE id = ?`,
      ...names.map((column) => this.encode(column, row[column])),
      row.id,
    );
  }

  protected nameOf(id: string): string {
    return `${this.name}:${id}`;
  }

  protected encode(column: keyof Row & string, value: Row[keyof Row & string]): SqlValue {
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
