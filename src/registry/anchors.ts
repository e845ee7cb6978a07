/** How far the history of each keyring had come and which of its versions are dead: what no restore of a keyring's database takes back. */
import { DurableObject } from "cloudflare:workers";
import { bytesOf, durableObjectSql, type Sql } from "../store/sql.ts";

const DAY_MS = 24 * 3_600_000;

/** As long as a database can be restored (https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/), and a day. */
export const DEAD_KEPT_MS = 31 * DAY_MS;

/** How far a keyring's history had come: number and hash of its newest entry. */
export interface Anchor {
  seq: number;
  hash: Uint8Array;
}

export interface Standing {
  anchor: Anchor | null;
  /** Milliseconds since the epoch. */
  nextStartAt: number | null;
}

/** A version that is dead for good, in the order in which the registry heard of it. */
export interface DeadVersion {
  at: number;
  versionId: string;
}

export class Anchors extends DurableObject<Env> {
  readonly #sql: Sql;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = durableObjectSql(ctx.storage);
  }

  /** Keeps how far a keyring's history has come and which of its versions are dead. Late news sets nothing back. */
  anchor(code: string, { seq, hash }: Anchor, dead: readonly string[]): void {
    this.#sql.transaction(() => {
      this.#sql.all(
        "UPDATE keyring SET anchorSeq = ?, anchorHash = ? WHERE code = ? AND coalesce(anchorSeq, 0) < ?",
        seq,
        hash,
        code,
        seq,
      );
      for (const versionId of dead) {
        this.#sql.all(
          "INSERT OR IGNORE INTO dead (at, code, versionId) VALUES (?, ?, ?)",
          Date.now(),
          code,
          versionId,
        );
      }
    });
  }

  /** What is known here of a keyring: its anchor, or null when it has none yet, and its next scheduled start. */
  standingOf(code: string): Standing {
    const [row] = this.#sql.all<{
      seq: number | null;
      hash: Uint8Array | null;
      nextStartAt: number | null;
    }>("SELECT anchorSeq AS seq, anchorHash AS hash, nextStartAt FROM keyring WHERE code = ?", code);
    const hash = bytesOf(row?.hash);
    const anchor = row?.seq && hash ? { seq: row.seq, hash } : null;
    return { anchor, nextStartAt: row?.nextStartAt ?? null };
  }

  /** Dead versions of a keyring after a place in the list. */
  deadOf(code: string, after: DeadVersion, limit: number): DeadVersion[] {
    return this.#sql.all<DeadVersion & Record<string, SqlStorageValue>>(
      "SELECT at, versionId FROM dead WHERE (at, versionId) > (?, ?) AND code = ? ORDER BY at, versionId LIMIT ?",
      after.at,
      after.versionId,
      code,
      limit,
    );
  }

  /** Root accepts a history that is behind its anchor: it goes on from here. */
  setAnchor(code: string, { seq, hash }: Anchor): void {
    this.#sql.all("UPDATE keyring SET anchorSeq = ?, anchorHash = ? WHERE code = ?", seq, hash, code);
  }
}
