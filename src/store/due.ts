/**
 * The only work queue. Lane 0 is what is under way and has the alarm; lane 1 is scheduled starts, which cron picks up; lane 2 is
 * emergencies, which have the alarm, too, and never queue behind lane 0. The lane comes first in the key, so that the earliest
 * entry of each is one row read.
 */
import type { Sql } from "./sql.ts";

export type WorkKind = "rotation" | "version" | "delivery" | "idempotency";
export type DueKind = WorkKind | "start";

export interface DueEntry<Kind extends DueKind = DueKind> {
  kind: Kind;
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
}

const UNDER_WAY = 0;
const SCHEDULED = 1;
const EMERGENCY = 2;

/** The lane of work that is, or is not, an emergency. */
export function laneOf(kind: DueKind, urgent: boolean): number {
  if (kind === "start") return SCHEDULED;
  return urgent ? EMERGENCY : UNDER_WAY;
}

export class DueQueue {
  readonly #sql: Sql;

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
    lane = laneOf(kind, false),
    fromLane = lane,
  ): void {
    if (from === to && lane === fromLane) return;
    const place = [fromLane, from, kind, id];
    if (from !== null && to !== null) {
      // An update counts as one row written, deleting and inserting as two.
      const moved = this.#sql.all(
        "UPDATE due SET lane = ?, at = ? WHERE lane = ? AND at = ? AND kind = ? AND id = ? RETURNING id",
        lane,
        to,
        ...place,
      );
      if (moved.length > 0) return;
    } else if (from !== null) {
      this.#sql.all("DELETE FROM due WHERE lane = ? AND at = ? AND kind = ? AND id = ?", ...place);
    }
    if (to !== null) {
      this.#sql.all("INSERT INTO due (lane, at, kind, id) VALUES (?, ?, ?, ?)", lane, to, kind, id);
    }
  }

  /** Work under way that is due, earliest first. */
  workDue(now: number, limit: number): DueEntry<WorkKind>[] {
    return this.#due<WorkKind>(UNDER_WAY, now, limit);
  }

  /** Emergencies that are due, earliest first. */
  emergenciesDue(now: number, limit: number): DueEntry<WorkKind>[] {
    return this.#due<WorkKind>(EMERGENCY, now, limit);
  }

  /** Scheduled starts that are due, earliest first. */
  startsDue(now: number, limit: number): DueEntry<"start">[] {
    return this.#due<"start">(SCHEDULED, now, limit);
  }

  /** When the next work under way is due, or null. */
  earliestWorkAt(): number | null {
    return this.#earliest(UNDER_WAY);
  }

  /** When the next emergency is due, or null. */
  earliestEmergencyAt(): number | null {
    return this.#earliest(EMERGENCY);
  }

  /** When cron has something to start here, or null. */
  earliestStartAt(): number | null {
    return this.#earliest(SCHEDULED);
  }

  #due<Kind extends DueKind>(lane: number, now: number, limit: number): DueEntry<Kind>[] {
    return this.#sql.all<DueEntry<Kind>>(
      "SELECT kind, id, at FROM due WHERE lane = ? AND at <= ? ORDER BY at LIMIT ?",
      lane,
      now,
      limit,
    );
  }

  #earliest(lane: number): number | null {
    const [row] = this.#sql.all<{ at: number }>(
      "SELECT at FROM due WHERE lane = ? ORDER BY at LIMIT 1",
      lane,
    );
    return row?.at ?? null;
  }
}
