/**
 * The only work queue. Each kind of work has a lane, so that what hangs in one holds up no other: rotations, versions on their way
 * out, deliveries, and emergencies of every kind before all of them. These have the alarm; scheduled starts have a lane that cron
 * picks up. The lane comes first in the key, so that the earliest entry of each is one row read.
 */
import type { Sql } from "./sql.ts";

export type WorkKind = "rotation" | "version" | "delivery" | "idempotency" | "policy";
export type DueKind = WorkKind | "start";

export interface DueEntry<Kind extends DueKind = DueKind> {
  kind: Kind;
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
}

export const LANES = { rotations: 0, starts: 1, emergencies: 2, versions: 3, deliveries: 4 } as const;

export type Lane = (typeof LANES)[keyof typeof LANES];

/** What has the alarm, in the order in which it is taken up, and the kinds of work that each lane carries. */
export const WORK_LANES = [
  { lane: LANES.emergencies, kinds: ["version", "rotation", "delivery"] },
  { lane: LANES.versions, kinds: ["version"] },
  { lane: LANES.rotations, kinds: ["rotation", "idempotency", "policy"] },
  { lane: LANES.deliveries, kinds: ["delivery"] },
] as const satisfies readonly { lane: Lane; kinds: readonly WorkKind[] }[];

export type WorkLane = (typeof WORK_LANES)[number];

const LANE_OF = {
  start: LANES.starts,
  rotation: LANES.rotations,
  idempotency: LANES.rotations,
  policy: LANES.rotations,
  version: LANES.versions,
  delivery: LANES.deliveries,
} as const satisfies Record<DueKind, Lane>;

/** The lane of work that is, or is not, an emergency. */
export function laneOf(kind: DueKind, urgent = false): Lane {
  return urgent && kind !== "start" ? LANES.emergencies : LANE_OF[kind];
}

/** A query may carry 100 parameters: two an entry, and where they go. */
const MAX_MOVED = 49;

export class DueQueue {
  readonly #sql: Sql;
  #startsMoved = false;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /**
   * Moves an entry; null is "not in the queue". The owner's row holds `from`, as a look-up by id would read all rows.
   * @param lane where it goes
   * @param fromLane where it is, when that is another lane
   */
  move(
    kind: DueKind,
    id: string,
    from: number | null,
    to: number | null,
    lane: Lane = laneOf(kind),
    fromLane: Lane = lane,
  ): void {
    if (from === to && lane === fromLane) return;
    if (kind === "start") this.#startsMoved = true;
    if (from !== null && to !== null) {
      // The entry is there, so this is an update, and one whose look-up is not counted as a row read.
      this.#sql.all(
        `INSERT INTO due (lane, at, kind, id) VALUES (?, ?, ?, ?)
         ON CONFLICT (lane, at, kind, id) DO UPDATE SET lane = ?, at = ?`,
        fromLane,
        from,
        kind,
        id,
        lane,
        to,
      );
    } else if (from !== null) {
      this.#sql.all(
        "DELETE FROM due WHERE lane = ? AND at = ? AND kind = ? AND id = ?",
        fromLane,
        from,
        kind,
        id,
      );
    } else if (to !== null) {
      this.#sql.all("INSERT INTO due (lane, at, kind, id) VALUES (?, ?, ?, ?)", lane, to, kind, id);
    }
  }

  /** Moves the entries of many rows of a lane to one time. */
  moveAll(
    kind: DueKind,
    lane: Lane,
    rows: readonly { id: string; dueAt: number | null }[],
    to: number,
  ): void {
    const moving = rows.filter(({ dueAt }) => dueAt !== null && dueAt !== to);
    for (let from = 0; from < moving.length; from += MAX_MOVED) {
      const some = moving.slice(from, from + MAX_MOVED);
      const values = some.map(() => `(${lane}, ?, '${kind}', ?)`).join(", ");
      this.#sql.all(
        `INSERT INTO due (lane, at, kind, id) VALUES ${values}
         ON CONFLICT (lane, at, kind, id) DO UPDATE SET at = ?`,
        ...some.flatMap(({ id, dueAt }) => [dueAt, id]),
        to,
      );
    }
  }

  /** Makes an entry that may be there already. */
  ensure(kind: DueKind, id: string, at: number, lane: Lane): void {
    this.#sql.all("INSERT OR IGNORE INTO due (lane, at, kind, id) VALUES (?, ?, ?, ?)", lane, at, kind, id);
  }

  /** Work of one lane that is due, earliest first. */
  workDue(lane: Lane, now: number, limit: number): DueEntry<WorkKind>[] {
    return this.#due<WorkKind>(lane, now, limit);
  }

  /** Scheduled starts that are due, earliest first. */
  startsDue(now: number, limit: number): DueEntry<"start">[] {
    return this.#due<"start">(LANES.starts, now, limit);
  }

  /** Whether scheduled starts may have moved since this was asked last. */
  takeStartsMoved(): boolean {
    const moved = this.#startsMoved;
    this.#startsMoved = false;
    return moved;
  }

  /** When the next entry of a lane is due, or null. */
  earliestAt(lane: Lane): number | null {
    const [row] = this.#sql.all<{ at: number }>(
      "SELECT at FROM due WHERE lane = ? ORDER BY at LIMIT 1",
      lane,
    );
    return row?.at ?? null;
  }

  /** When cron has something to start here, or null. */
  earliestStartAt(): number | null {
    return this.earliestAt(LANES.starts);
  }

  #due<Kind extends DueKind>(lane: number, now: number, limit: number): DueEntry<Kind>[] {
    return this.#sql.all<DueEntry<Kind>>(
      "SELECT kind, id, at FROM due WHERE lane = ? AND at <= ? ORDER BY at LIMIT ?",
      lane,
      now,
      limit,
    );
  }
}
