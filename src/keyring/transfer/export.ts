/**
 * A keyring as it stands at one moment, read in many turns so that nobody has to wait: tables page by page, while rows that change meanwhile
 * are noted; these follow, and what is left of them comes with the small tables and the end of the history in one last turn.
 */
import type { Sql } from "../../store/sql.ts";
import { Store } from "../../store/store.ts";
import type { FileRecord, Seals } from "./format.ts";
import { listTables, put, type Row, readPage, type TableShape } from "./tables.ts";

/** Rows of one part. A row is at most as long as a request may be, so a part stays small. */
const PAGE = 200;
/** Ids in one statement, which may carry 100 parameters. */
const MAX_IDS = 90;
/** Parts of one turn: few enough to be short, many enough to keep within the platform's count of calls. */
const PARTS_A_TURN = 10;
/** With more rows still changing between two turns the last turn would be long. */
const MAX_CHANGED_AT_END = 2_000;
/** Parts of rows that change as fast as they are read. */
const MAX_CATCHING_UP = 1_000;

/** Made anew by whoever reads the file, or of no use to it. */
const LEFT_OUT = new Set(["schemaVersion", "idempotency", "importLine", "keyCount"]);
/** Settings that say who a keyring is and how it is sealed. */
const OWN_SETTINGS = new Set(["name", "code", "masterKeyId", "dataKey", "importedFile", "importedAnswer"]);

export interface Slice {
  /** Lines of the file, without their ends. */
  lines: string[];
  isDone: boolean;
}

export class KeyringExport {
  readonly #sql: Sql;
  readonly #seals: Seals;
  readonly #dataKey: Uint8Array;
  readonly #tables: TableShape[];
  readonly #history: TableShape | undefined;
  /** Read page by page; each of their rows that is written meanwhile is noted. */
  readonly #paged: TableShape[];
  readonly #changed = new Set<string>();
  readonly #stop: () => void;
  #after: Row | undefined;
  #lastEvent: Row | undefined;
  #part = 0;
  #caughtUp = 0;

  constructor(sql: Sql, store: Store, seals: Seals, dataKey: Uint8Array) {
    this.#sql = sql;
    this.#seals = seals;
    this.#dataKey = dataKey;
    this.#tables = listTables(sql).filter(({ name }) => !LEFT_OUT.has(name));
    this.#history = this.#tables.find(({ name }) => name === "event");
    this.#paged = this.#tables.filter(({ keys }) => keys.length === 1 && keys[0] === "id");
    this.#stop = store.watchWrites((row) => this.#changed.add(row));
  }

  /** The next lines of the file, or undefined when the keyring changes as fast as it is read. */
  next(): Slice | undefined {
    const lines: string[] = [];
    while (lines.length < PARTS_A_TURN) {
      const records = this.#nextPage() ?? this.#nextEvents() ?? this.#catchUp();
      if (!records) return { lines: [...lines, ...this.#lastLines()], isDone: true };
      if (this.#caughtUp > MAX_CATCHING_UP) return undefined;
      lines.push(this.#line(records));
    }
    return { lines, isDone: false };
  }

  /** Ends it, done or not. */
  close(): void {
    this.#stop();
    this.#changed.clear();
  }

  #nextPage(): FileRecord[] | undefined {
    for (let table = this.#paged[0]; table; table = this.#paged[0]) {
      const rows = readPage(this.#sql, table, this.#after, PAGE);
      this.#after = rows.at(-1);
      if (rows.length > 0) return [put(table, rows)];
      this.#paged.shift();
    }
    return undefined;
  }

  /** Whole pages of the history only, which is but added to: what is left comes in the last turn. */
  #nextEvents(): FileRecord[] | undefined {
    const rows = this.#history ? readPage(this.#sql, this.#history, this.#lastEvent, PAGE) : [];
    if (!this.#history || rows.length < PAGE) return undefined;
    this.#lastEvent = rows.at(-1);
    return [put(this.#history, rows)];
  }

  #catchUp(): FileRecord[] | undefined {
    if (this.#changed.size <= MAX_CHANGED_AT_END) return undefined;
    this.#caughtUp += 1;
    return this.#takeChanged();
  }

  /** Some of the rows that changed since they were read, as they are now. */
  #takeChanged(): FileRecord[] {
    const rows = [...this.#changed].slice(0, MAX_IDS);
    for (const row of rows) this.#changed.delete(row);
    return this.#tables.flatMap((table) => {
      const prefix = `${table.name}:`;
      const ids = rows.filter((row) => row.startsWith(prefix)).map((row) => row.slice(prefix.length));
      if (ids.length === 0) return [];
      const marks = ids.map(() => "?").join(", ");
      const found = this.#sql.all<Row>(`SELECT * FROM ${table.name} WHERE id IN (${marks})`, ...ids);
      const gone = ids.filter((id) => !found.some((row) => row.id === id));
      return [
        ...(gone.length > 0 ? [{ drop: table.name, ids: gone }] : []),
        ...(found.length > 0 ? [put(table, found)] : []),
      ];
    });
  }

  /** All that is left, as it is in this very turn: the moment that the file shows. */
  #lastLines(): string[] {
    const lines: string[] = [];
    while (this.#changed.size > 0) lines.push(this.#line(this.#takeChanged()));
    for (const table of this.#tables.filter(({ keys }) => keys.length !== 1 || keys[0] !== "id")) {
      let after = table === this.#history ? this.#lastEvent : undefined;
      for (;;) {
        const rows = readPage(this.#sql, table, after, PAGE);
        if (rows.length === 0) break;
        after = rows.at(-1);
        const kept = rows.filter((row) => isKept(table.name, row));
        if (kept.length > 0) lines.push(this.#line([put(table, kept)]));
      }
    }
    lines.push(this.#line([this.#end()], true));
    return lines;
  }

  #end(): FileRecord {
    const head = new Store(this.#sql).events.head();
    const counts = this.#tables
      .filter(({ name }) => name !== "setting" && name !== "due")
      .map(({ name }) => {
        const [row] = this.#sql.all<{ count: number }>(`SELECT count(*) AS count FROM ${name}`);
        return [name, row?.count ?? 0];
      });
    return {
      end: {
        dataKey: Buffer.from(this.#dataKey).toString("base64"),
        head: {
          seq: head?.seq ?? 0,
          hash: Buffer.from(head?.hash ?? []).toString("hex"),
        },
        counts: Object.fromEntries(counts),
      },
    };
  }

  #line(records: FileRecord[], isLast = false): string {
    this.#part += 1;
    return this.#seals.seal(this.#part, records, isLast);
  }
}

/** What a row of the queue belongs to is in the file, too; requests that may be repeated are not. */
function isKept(table: string, row: Row): boolean {
  if (table === "setting") return !OWN_SETTINGS.has(String(row.name));
  return table !== "due" || row.kind !== "idempotency";
}
