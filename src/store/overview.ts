/**
 * The keyring counted and sampled as a whole, at a cost that does not grow with its keys: from counters that triggers keep, from the
 * queue, which holds only what is under way, and from ranges of ids, or of their random parts, with a limit.
 */
import { LANES } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { KeyState } from "./keys.ts";
import type { RotationState } from "./rotations.ts";
import type { Sql } from "./sql.ts";

/** Keys by state; `paused` counts those of them that would rotate otherwise. */
export type KeyCounts = Record<KeyState | "paused", number>;

/** Rotations that one look at the last day reads. */
const MAX_ROTATIONS = 10_000;
/** Deliveries that one look at the last hour reads. */
const MAX_DELIVERIES = 1_000;
/** Current versions that are looked at for their age. */
export const MAX_AGES = 1_000;

export class Overview {
  readonly #sql: HeldSql;

  constructor(sql: HeldSql) {
    this.#sql = sql;
  }

  keyCounts(): KeyCounts {
    const none = { pending: 0, active: 0, lost: 0, revoked: 0, deleting: 0, deleted: 0, paused: 0 };
    const rows = this.#sql.all<{ what: string; count: number }>("SELECT what, count FROM keyCount");
    return { ...none, ...Object.fromEntries(rows.map(({ what, count }) => [what, count])) };
  }

  /** Versions on their way out: each of them has its entry in the queue, or is on hold. `held` are those in a grace beyond its time. */
  countRetiring(): { inGrace: number; held: number; revoking: number } {
    const name =
      "CASE WHEN owner.stage = 'previous' AND owner.heldAt IS NOT NULL THEN 'held' ELSE owner.stage END";
    const rows = this.#underWay<"previous" | "held" | "revoking">("version", name);
    const held = rows.get("held") ?? 0;
    return { inGrace: held + (rows.get("previous") ?? 0), held, revoking: rows.get("revoking") ?? 0 };
  }

  /** Deliveries on their way. */
  countPendingDeliveries(): number {
    return this.#underWay<"pending">("delivery", "owner.state").get("pending") ?? 0;
  }

  /** Entries of the queue that wait for an imported keyring to be released: whether there are any. */
  hasHeld(): boolean {
    return this.#sql.all("SELECT 1 FROM held LIMIT 1").length > 0;
  }

  /** How rotations ended that began with this id or later, the newest of them. */
  endedSince(fromId: string): Map<RotationState, number> {
    const rows = this.#sql.all<{ name: RotationState; count: number }>(
      `SELECT state AS name, count(*) AS count FROM
         (SELECT state, live FROM rotation WHERE id >= ? ORDER BY id DESC LIMIT ?)
       WHERE live = 0 GROUP BY state`,
      fromId,
      MAX_ROTATIONS,
    );
    return new Map(rows.map(({ name, count }) => [name, count]));
  }

  /** Milliseconds from making a delivery to its arrival, of those made with this id or later, the newest of them. */
  lagsSince(fromId: string): number[] {
    const rows = this.#sql.all<{ lag: number }>(
      `SELECT deliveredAt - createdAt AS lag FROM
         (SELECT deliveredAt, createdAt FROM delivery WHERE id >= ? ORDER BY id DESC LIMIT ?)
       WHERE deliveredAt IS NOT NULL`,
      fromId,
      MAX_DELIVERIES,
    );
    return rows.map(({ lag }) => lag);
  }

  /** When the current version of each key was issued. Reads all keys. */
  currentIssuedAt(): number[] {
    const rows = this.#sql.all<{ at: number | null }>(
      `SELECT (SELECT issuedAt FROM version WHERE keyId = key.id AND stage = 'current' ORDER BY number DESC LIMIT 1) AS at
       FROM key WHERE state = 'active'`,
    );
    return rows.flatMap(({ at }) => (at === null ? [] : [at]));
  }

  /**
   * The same of a sixth of them, picked by the last digit of their ids, up to `MAX_AGES`.
   * @param after random digits: those whose random part comes after them, and from the first on when there are no more
   */
  sampleIssuedAt(after: string): number[] {
    const found = this.#sampled("> ?", after, MAX_AGES);
    return found.length < MAX_AGES
      ? [...found, ...this.#sampled("<= ?", after, MAX_AGES - found.length)]
      : found;
  }

  #sampled(where: string, digits: string, most: number): number[] {
    const rows = this.#sql.all<{ at: number }>(
      `SELECT issuedAt AS at FROM version INDEXED BY versionSample
       WHERE stage = 'current' AND substr(id, 17) < 'A' AND substr(id, 8) ${where} ORDER BY substr(id, 8) LIMIT ?`,
      digits,
      most,
    );
    return rows.map(({ at }) => at);
  }

  /** Rows of a table that are in the queue or on hold, counted by an expression over their `owner`. */
  #underWay<Name extends string>(kind: "version" | "delivery", by: string): Map<Name, number> {
    const lane = kind === "version" ? LANES.versions : LANES.deliveries;
    const rows = this.#sql.all<{ name: Name; count: number }>(
      `SELECT name, count(*) AS count FROM (
         SELECT ${by} AS name FROM due CROSS JOIN ${kind} AS owner ON owner.id = due.id
         WHERE due.lane IN (?, ?) AND due.kind = ?
         UNION ALL
         SELECT ${by} FROM held CROSS JOIN ${kind} AS owner ON owner.id = held.id AND owner.dueAt IS NULL
         WHERE held.kind = ?)
       GROUP BY name`,
      lane,
      LANES.emergencies,
      kind,
      kind,
    );
    return new Map(rows.map(({ name, count }) => [name, count]));
  }
}

/** Counts the keys anew, where rows were replaced without the triggers hearing of it. */
export function recountKeys(sql: Sql): void {
  sql.all(
    `UPDATE keyCount SET count = 0;
     INSERT OR REPLACE INTO keyCount SELECT state, count(*) FROM key GROUP BY state;
     INSERT OR REPLACE INTO keyCount SELECT 'paused', count(*) FROM key
       WHERE state IN ('pending', 'active') AND (paused = 1 OR json_extract(policy, '$.paused') = 1);`,
  );
}
