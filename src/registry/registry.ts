/**
 * The Durable Object that lists the keyrings: name, code, when each next has a rotation due, when it was last visited, and how far
 * its history had come.
 * Small and rarely written: a keyring reports only when its next start comes nearer.
 */
import { z } from "zod";
import { sameBytes } from "../crypto/hash.ts";
import { secureRandom } from "../crypto/random.ts";
import type { Failure } from "../errors/catalogue.ts";
import { newCode } from "../issuer/token.ts";
import { err, ok, type Result } from "../result.ts";
import { applyMigrations } from "../store/migrate.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import { bytesOf, durableObjectSql, type Sql } from "../store/sql.ts";
import { Anchors, DEAD_KEPT_MS } from "./anchors.ts";
import { REGISTRY_MIGRATIONS } from "./migrations.ts";

export interface KeyringEntry extends KeyringIdentity {
  /** ISO 8601 */
  createdAt: string;
  /** ISO 8601, or null when nothing is scheduled. */
  nextRotationAt: string | null;
  /** Id of the master key that wraps its data key, or null until the keyring has told. */
  masterKeyId: string | null;
}

/** Which master key wraps a keyring's data key. */
export interface MasterKeyReport {
  code: string;
  masterKeyId: string | null;
}

/** A keyring that the sweep should visit. */
export interface DueVisit {
  code: string;
  /** When its next start is, as far as the registry knew when it listed it. */
  listedStartAt: number | null;
}

/** What one visit of the sweep found. */
export interface VisitReport extends DueVisit {
  ok: boolean;
  nextStartAt: number | null;
  masterKeyId: string | null;
}

/** A request that may be repeated, for POST /v1/keyrings. */
export interface RepeatableMake {
  key: string;
  bodyHash: Uint8Array;
}

const DAY_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;

/** Public keys with which a report may be signed, PEM by identifier. */
export interface GithubKeys {
  keys: Record<string, string>;
  /** When they were last asked for, whatever the answer. Milliseconds since the epoch. */
  askedAt: number;
  /** Whether they came when they were last asked for. */
  isWhole: boolean;
}

const githubKeysSchema: z.ZodType<GithubKeys> = z.object({
  keys: z.record(z.string(), z.string()),
  askedAt: z.number(),
  isWhole: z.boolean(),
});

/** A query may carry 100 parameters. */
const MAX_CODES = 100;

interface KeyringRow {
  code: string;
  name: string;
  createdAt: number;
  nextStartAt: number | null;
  masterKeyId: string | null;
}

interface Cursor {
  at: number;
  code: string;
}

export class Registry extends Anchors {
  readonly #sql: Sql;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = durableObjectSql(ctx.storage);
    applyMigrations(this.#sql, REGISTRY_MIGRATIONS);
  }

  /** Adds a keyring under a fresh code. The same Idempotency-Key and body find the one made before. */
  add(name: string, repeatable?: RepeatableMake): Result<KeyringEntry & { isNew: boolean }, Failure> {
    return this.#sql.transaction(() => {
      const earlier = repeatable && this.#recall(repeatable);
      if (earlier) return earlier;
      const [holder] = this.#sql.all<{ code: string }>("SELECT code FROM keyring WHERE name = ?", name);
      if (holder) return err({ code: "keyring-exists", holder: holder.code });
      const now = Date.now();
      const code = newCode(secureRandom);
      this.#sql.all(
        "INSERT INTO keyring (code, name, createdAt, nextStartAt, visitedAt) VALUES (?, ?, ?, NULL, ?)",
        code,
        name,
        now,
        now,
      );
      if (repeatable) {
        const { key, bodyHash } = repeatable;
        this.#sql.all("INSERT INTO idempotency VALUES (?, ?, ?, ?)", key, bodyHash, code, now);
      }
      const row = { code, name, createdAt: now, nextStartAt: null, masterKeyId: null };
      return ok({ ...viewKeyring(row), isNew: true });
    });
  }

  /**
   * Lists a keyring under the code that it has already, which is inside every key that it issued. One that is listed so stays.
   * @returns whether it was new here
   */
  adopt({ name, code }: KeyringIdentity): Result<{ isNew: boolean }, Failure> {
    return this.#sql.transaction(() => {
      const refusal = this.findAdoptionProblem({ name, code });
      if (refusal) return err(refusal);
      if (this.find({ code })) return ok({ isNew: false });
      const now = Date.now();
      this.#sql.all(
        "INSERT INTO keyring (code, name, createdAt, nextStartAt, visitedAt) VALUES (?, ?, ?, NULL, ?)",
        code,
        name,
        now,
        now,
      );
      return ok({ isNew: true });
    });
  }

  /** Why a keyring of this code cannot be listed under this name, or null. */
  findAdoptionProblem({ name, code }: KeyringIdentity): Failure | null {
    const holder = this.find({ name });
    if (holder && holder.code !== code) return { code: "keyring-exists", holder: holder.code };
    const listed = this.find({ code });
    return listed && listed.name !== name ? { code: "code-taken", holder: listed.name } : null;
  }

  /** Takes back what `adopt` listed: the keyring was not made after all. */
  disown(code: string): void {
    this.#sql.all("DELETE FROM keyring WHERE code = ? AND anchorSeq IS NULL", code);
  }

  /** Finds a keyring by name or by code. */
  find(by: { name: string } | { code: string }): KeyringIdentity | null {
    const [row] =
      "name" in by
        ? this.#sql.all<KeyringRow>("SELECT * FROM keyring WHERE name = ?", by.name)
        : this.#sql.all<KeyringRow>("SELECT * FROM keyring WHERE code = ?", by.code);
    return row ? { name: row.name, code: row.code } : null;
  }

  /** Keyrings in order of name, after `after`. */
  list(after: string, limit: number): KeyringEntry[] {
    return this.#sql
      .all<KeyringRow>("SELECT * FROM keyring WHERE name > ? ORDER BY name LIMIT ?", after, limit)
      .map(viewKeyring);
  }

  /** A keyring's next scheduled start came nearer, or is known again after what was due has been started. */
  noteStart(code: string, at: number): void {
    this.#sql.all(
      "UPDATE keyring SET nextStartAt = ? WHERE code = ? AND (nextStartAt IS NULL OR nextStartAt > ? OR nextStartAt <= ?)",
      at,
      code,
      at,
      Date.now(),
    );
  }

  /**
   * The next keyrings with something due, from where the last page ended. The cursor is stored, so a sweep that was cut off
   * goes on where it stopped; an empty page ends the round and the next one begins at the front.
   * @param scheduledAt the cron's own time, milliseconds since the epoch
   */
  nextDue(scheduledAt: number, limit: number): DueVisit[] {
    const cursor = this.#cursor();
    const rows = this.#sql.all<{ code: string; listedStartAt: number }>(
      `SELECT code, nextStartAt AS listedStartAt FROM keyring
       WHERE nextStartAt IS NOT NULL AND nextStartAt <= ? AND (nextStartAt, code) > (?, ?)
       ORDER BY nextStartAt, code LIMIT ?`,
      scheduledAt,
      cursor.at,
      cursor.code,
      limit,
    );
    const last = rows.at(-1);
    this.#setCursor(last ? { at: last.listedStartAt, code: last.code } : START);
    return rows;
  }

  /** Keyrings that were not visited for a day, the longest unseen first. A visit takes them off this list. */
  nextUnseen(scheduledAt: number, limit: number): DueVisit[] {
    return this.#sql.all<DueVisit>(
      `SELECT code, nextStartAt AS listedStartAt FROM keyring
       WHERE visitedAt <= ? ORDER BY visitedAt, code LIMIT ?`,
      scheduledAt - DAY_MS,
      limit,
    );
  }

  /**
   * Keeps what the sweep found. One that could not be visited is tried again in an hour, so that it holds up no other. What a
   * keyring reported by itself since it was listed is newer than its answer to the visit: its rotation may be over already.
   */
  noteVisits(visits: readonly VisitReport[], at: number): void {
    this.#sql.transaction(() => {
      for (const { code, ok: visited, listedStartAt, nextStartAt, masterKeyId } of visits) {
        if (visited) {
          this.#sql.all(
            `UPDATE keyring SET visitedAt = ?, nextStartAt = CASE WHEN nextStartAt IS ? THEN ? ELSE nextStartAt END,
               masterKeyId = coalesce(?, masterKeyId)
             WHERE code = ?`,
            at,
            listedStartAt,
            nextStartAt,
            masterKeyId ?? null,
            code,
          );
        } else {
          this.#sql.all("UPDATE keyring SET visitedAt = ? WHERE code = ?", at - DAY_MS + HOUR_MS, code);
        }
      }
    });
  }

  /** Keeps which master key wraps each keyring's data key. */
  noteMasterKeys(reports: readonly MasterKeyReport[]): void {
    this.#sql.transaction(() => {
      for (const { code, masterKeyId } of reports) {
        this.#sql.all(
          "UPDATE keyring SET masterKeyId = ? WHERE code = ? AND masterKeyId IS NOT ?",
          masterKeyId,
          code,
          masterKeyId,
        );
      }
    });
  }

  /** Keyrings, in order of name after `after`, that are not known to be wrapped by this master key. */
  wrappedByOthers(masterKeyId: string, after: string, limit: number): KeyringIdentity[] {
    return this.#sql.all<{ name: string; code: string }>(
      "SELECT name, code FROM keyring WHERE masterKeyId IS NOT ? AND name > ? ORDER BY name LIMIT ?",
      masterKeyId,
      after,
      limit,
    );
  }

  /** How many keyrings there are that are not known to be wrapped by this master key. */
  countWrappedByOthers(masterKeyId: string): number {
    const [row] = this.#sql.all<{ count: number }>(
      "SELECT count(*) AS count FROM keyring WHERE masterKeyId IS NOT ?",
      masterKeyId,
    );
    return row?.count ?? 0;
  }

  /**
   * Begins a sweep: keeps the cron's time, by which keyrings check their clocks.
   * @returns when cron last stayed away for over an hour, or null when it never did
   */
  beginSweep(scheduledAt: number): { from: number; until: number } | null {
    const last = this.lastCronAt();
    if (last !== null && scheduledAt > last + HOUR_MS) {
      this.#set("outage", JSON.stringify({ from: last, until: scheduledAt }));
    }
    if (scheduledAt > (last ?? 0)) this.#set("lastCronAt", scheduledAt);
    const [row] = this.#sql.all<{ value: string }>("SELECT value FROM setting WHERE name = 'outage'");
    return row ? (JSON.parse(row.value) as { from: number; until: number }) : null;
  }

  /** Ends a sweep: forgets requests older than a day, and the dead whom no restore can bring back. */
  endSweep(scheduledAt: number): void {
    this.#sql.all("DELETE FROM idempotency WHERE createdAt < ?", scheduledAt - DAY_MS);
    this.#sql.all("DELETE FROM dead WHERE at < ?", scheduledAt - DEAD_KEPT_MS);
  }

  /** The scheduled time of the newest cron, milliseconds since the epoch, or null before the first. */
  lastCronAt(): number | null {
    return (
      this.#sql.all<{ value: number }>("SELECT value FROM setting WHERE name = 'lastCronAt'")[0]?.value ??
      null
    );
  }

  /** GitHub's public keys as they were last fetched, or null before that. */
  githubKeys(): GithubKeys | null {
    const [row] = this.#sql.all<{ value: string }>("SELECT value FROM setting WHERE name = 'githubKeys'");
    return row ? githubKeysSchema.parse(JSON.parse(row.value)) : null;
  }

  /** Keeps them. */
  keepGithubKeys(keys: GithubKeys): void {
    this.#set("githubKeys", JSON.stringify(keys));
  }

  /** Which of these codes are keyrings, with their names. */
  findCodes(codes: readonly string[]): KeyringIdentity[] {
    const found: KeyringIdentity[] = [];
    for (let from = 0; from < codes.length; from += MAX_CODES) {
      const some = codes.slice(from, from + MAX_CODES);
      const marks = some.map(() => "?").join(", ");
      found.push(
        ...this.#sql.all<{ name: string; code: string }>(
          `SELECT name, code FROM keyring WHERE code IN (${marks})`,
          ...some,
        ),
      );
    }
    return found;
  }

  #recall({ key, bodyHash }: RepeatableMake): Result<KeyringEntry & { isNew: boolean }, Failure> | undefined {
    const [row] = this.#sql.all<{ bodyHash: Uint8Array; code: string; createdAt: number }>(
      "SELECT * FROM idempotency WHERE key = ?",
      key,
    );
    if (!row) return undefined;
    if (row.createdAt + DAY_MS <= Date.now()) {
      this.#sql.all("DELETE FROM idempotency WHERE key = ?", key);
      return undefined;
    }
    if (!sameBytes(bytesOf(row.bodyHash) ?? new Uint8Array(), bodyHash))
      return err({ code: "idempotency-mismatch" });
    const [keyring] = this.#sql.all<KeyringRow>("SELECT * FROM keyring WHERE code = ?", row.code);
    return keyring && ok({ ...viewKeyring(keyring), isNew: false });
  }

  #cursor(): Cursor {
    const [row] = this.#sql.all<{ value: string }>("SELECT value FROM setting WHERE name = 'sweepCursor'");
    return row ? (JSON.parse(row.value) as Cursor) : START;
  }

  #setCursor(cursor: Cursor): void {
    const known = this.#cursor();
    if (known.at !== cursor.at || known.code !== cursor.code)
      this.#set("sweepCursor", JSON.stringify(cursor));
  }

  #set(name: string, value: string | number): void {
    this.#sql.all(
      "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}

const START: Cursor = { at: -1, code: "" };

function viewKeyring(row: KeyringRow): KeyringEntry {
  return {
    name: row.name,
    code: row.code,
    createdAt: new Date(row.createdAt).toISOString(),
    nextRotationAt: row.nextStartAt === null ? null : new Date(row.nextStartAt).toISOString(),
    masterKeyId: row.masterKeyId,
  };
}
