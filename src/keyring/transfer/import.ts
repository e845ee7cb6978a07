/**
 * A file on its way into a keyring. Its lines are opened as they come and kept, still sealed, in a table beside; only when the last one is
 * there and everything fits is the keyring replaced, in one transaction. Whatever fails before that leaves it as it was.
 */

import type { Failure } from "../../errors/catalogue.ts";
import { verifyChain } from "../../events/chain.ts";
import { err, ok, type Result } from "../../result.ts";
import { migrate, migrateTo } from "../../store/migrations.ts";
import { recountKeys } from "../../store/overview.ts";
import type { Sql, SqlValue } from "../../store/sql.ts";
import { Store } from "../../store/store.ts";
import { decodeValue, type End, type FileRecord, type Header, type Seals } from "./format.ts";
import { holdAll, isHeldKind } from "./hold.ts";
import { listTables, type TableShape } from "./tables.ts";

/** Lines that were begun and never ended go after this. */
export const LINES_KEPT_MS = 3_600_000;

/** A reason to take nothing of a file; thrown where a transaction has to be rolled back. */
export class Refused extends Error {
  readonly failure: Failure;

  constructor(detail: string, code: Failure["code"] = "file-refused") {
    super(code);
    this.failure = { code, detail };
  }
}

export class KeyringImport {
  readonly header: Header;
  readonly #sql: Sql;
  readonly #seals: Seals;
  #parts = 0;
  #isWhole = false;

  constructor(sql: Sql, header: Header, seals: Seals, now: number) {
    this.header = header;
    this.#sql = sql;
    this.#seals = seals;
    dropLines(sql);
    sql.all("CREATE TABLE importLine (part INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT");
    sql.all("INSERT INTO importLine VALUES (0, ?)", String(now));
  }

  /** Takes lines in order. Each must open as the part that it has to be. */
  add(lines: readonly string[]): Result<null, Failure> {
    for (const line of lines) {
      if (this.#isWhole) return refuse("something follows its last part");
      const part = this.#seals.open(this.#parts + 1, line);
      if (!part) {
        return refuse(
          this.#parts === 0
            ? "its first part does not open: the passphrase or the key is another, or the file was changed"
            : `part ${this.#parts + 1} does not open: it was changed, is missing or stands in another place`,
        );
      }
      this.#parts += 1;
      this.#isWhole = part.isLast;
      this.#sql.all("INSERT INTO importLine VALUES (?, ?)", this.#parts, line);
    }
    return ok(null);
  }

  /** Whether the last part is there. */
  get problem(): Failure | undefined {
    return this.#isWhole ? undefined : { code: "file-refused", detail: "its last part is missing" };
  }

  /**
   * Puts the file's rows in place of whatever tables there are, on hold, inside the caller's transaction.
   * @throws Refused when they do not fit together
   */
  replaceTables(): End {
    for (const { name } of listTables(this.#sql)) {
      if (name !== "importLine") this.#sql.all(`DROP TABLE ${name}`);
    }
    migrateTo(this.#sql, this.header.schema);
    const tables = new Map(listTables(this.#sql).map((table) => [table.name, table]));
    let end: End | undefined;
    for (let number = 1; number <= this.#parts; number++) {
      for (const record of this.#records(number)) {
        if ("end" in record) end = record.end;
        else takeRecord(this.#sql, tables, record);
      }
    }
    if (!end) throw new Refused("its last part does not say how it ends");
    dropPruned(this.#sql);
    this.#check(tables, end);
    migrate(this.#sql);
    recountKeys(this.#sql);
    holdAll(this.#sql);
    dropLines(this.#sql);
    return end;
  }

  #records(number: number): FileRecord[] {
    const [row] = this.#sql.all<{ line: string }>("SELECT line FROM importLine WHERE part = ?", number);
    const part = row && this.#seals.open(number, row.line);
    if (!part) throw new Refused(`part ${number} was lost`);
    return part.records;
  }

  #check(tables: ReadonlyMap<string, TableShape>, { counts, head }: End): void {
    for (const [name, count] of Object.entries(counts)) {
      const [row] = tables.has(name)
        ? this.#sql.all<{ count: number }>(`SELECT count(*) AS count FROM ${name}`)
        : [];
      if (row?.count !== count) throw new Refused(`it has not as many rows of ${name} as it says`);
    }
    const store = new Store(this.#sql);
    const found = store.events.head();
    const isWhole = verifyChain(store).ok && found?.seq === head.seq;
    if (!isWhole || Buffer.from(found.hash).toString("hex") !== head.hash) {
      throw new Refused("its history does not hold: an event was changed or is missing");
    }
  }
}

/** Events that were pruned while they were read out: their rows are in the file, and its history begins after them. */
function dropPruned(sql: Sql): void {
  const { events, settings } = new Store(sql);
  const start = settings.historyStart();
  if (start) events.prune(start.seq);
}

/** Forgets lines that came of an import that was never ended. Returns whether there are some that may still come to an end. */
export function dropStaleLines(sql: Sql, now: number): boolean {
  if (!hasLines(sql)) return false;
  const [begun] = sql.all<{ line: string }>("SELECT line FROM importLine WHERE part = 0");
  const isStale = now - Number(begun?.line ?? 0) >= LINES_KEPT_MS;
  if (isStale) dropLines(sql);
  return !isStale;
}

/** Forgets the lines of an import. */
export function dropLines(sql: Sql): void {
  sql.all("DROP TABLE IF EXISTS importLine");
}

function hasLines(sql: Sql): boolean {
  return sql.all("SELECT 1 FROM sqlite_master WHERE name = 'importLine'").length > 0;
}

function refuse(detail: string): { ok: false; error: Failure } {
  return err({ code: "file-refused", detail });
}

function takeRecord(
  sql: Sql,
  tables: ReadonlyMap<string, TableShape>,
  record: Exclude<FileRecord, { end: unknown }>,
): void {
  const name = "put" in record ? record.put : record.drop;
  const table = tables.get(name);
  if (!table || name === "schemaVersion") throw new Refused(`there is no table ${name}`);
  if ("drop" in record) {
    for (const id of record.ids) sql.all(`DELETE FROM ${name} WHERE id = ?`, id);
    return;
  }
  const { columns } = record;
  if (columns.some((column) => !table.columns.includes(column)) || columns.length === 0) {
    throw new Refused(`table ${name} has other columns here`);
  }
  const marks = columns.map(() => "?").join(", ");
  const statement = `INSERT OR REPLACE INTO ${name} (${columns.join(", ")}) VALUES (${marks})`;
  for (const row of record.rows) {
    const values: SqlValue[] = row.map(decodeValue);
    if (values.length !== columns.length) throw new Refused(`a row of ${name} has other columns`);
    // What is on hold has its place elsewhere; the rest of the queue goes on.
    if (name === "due" && isHeldKind(values[columns.indexOf("kind")])) continue;
    sql.all(statement, ...values);
  }
}
