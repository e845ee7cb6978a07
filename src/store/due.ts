/**
 * The only work queue. Each kind of work has a lane, so that what hangs in one holds up no other: rotations, versions on their way
 * out, deliveries, records for the edge, subscriptions (with the keyring's own chores), and before all of them reports of leaks, then
 * emergencies of every kind. These have the alarm; scheduled starts have a lane that cron
 * picks up. The lane comes first in the key, so that the earliest entry of each is one row read.
 */
import type { HeldSql, Holder } from "./held-sql.ts";

export type WorkKind =
  | "rotation"
  | "version"
  | "delivery"
  | "idempotency"
  | "policy"
  | "batch"
  | "edge"
  | "claim"
  | "subscription"
  | "chore"
  | "compromise";
export type DueKind = WorkKind | "start";

export interface DueEntry<Kind extends DueKind = DueKind> {
  kind: Kind;
  id: string;
  /** Milliseconds since the epoch. */
  at: number;
}

export const LANES = {
  rotations: 0,
  starts: 1,
  emergencies: 2,
  versions: 3,
  deliveries: 4,
  edge: 6,
  batches: 7,
  subscriptions: 5,
  reports: 8,
} as const;

export type Lane = (typeof LANES)[keyof typeof LANES];

/** What has the alarm, in the order in which it is taken up, and the kinds of work that each lane carries. */
export const WORK_LANES = [
  // What a report leads to is known at once, however full the lane of emergencies is.
  { lane: LANES.reports, kinds: ["compromise"] },
  { lane: LANES.emergencies, kinds: ["version", "rotation", "delivery"] },
  { lane: LANES.versions, kinds: ["version"] },
  // Before the rotations that they start; a lane of their own, so that no other work's entries are read in vain.
  { lane: LANES.batches, kinds: ["batch"] },
  { lane: LANES.rotations, kinds: ["rotation", "idempotency", "policy", "claim"] },
  { lane: LANES.deliveries, kinds: ["delivery"] },
  { lane: LANES.edge, kinds: ["edge"] },
  // Chores first: what they have to say goes out at once.
  { lane: LANES.subscriptions, kinds: ["chore", "subscription"] },
] as const satisfies readonly { lane: Lane; kinds: readonly WorkKind[] }[];

export type WorkLane = (typeof WORK_LANES)[number];

const LANE_OF = {
  start: LANES.starts,
  rotation: LANES.rotations,
  idempotency: LANES.rotations,
  policy: LANES.rotations,
  batch: LANES.batches,
  claim: LANES.rotations,
  version: LANES.versions,
  delivery: LANES.deliveries,
  edge: LANES.edge,
  subscription: LANES.subscriptions,
  chore: LANES.subscriptions,
  compromise: LANES.reports,
} as const satisfies Record<DueKind, Lane>;

/** The lane of work that is, or is not, an emergency. */
export function laneOf(kind: DueKind, urgent = false): Lane {
  return urgent && kind !== "start" ? LANES.emergencies : LANE_OF[kind];
}

/** A query may carry 100 parameters: two an entry, and where they go. */
const MAX_MOVED = 49;

/** Where an entry is and where it goes; null is "not in the queue". */
interface Move {
  kind: DueKind;
  id: string;
  from: number | null;
  fromLane: Lane;
  to: number | null;
  lane: Lane;
}

export class DueQueue implements Holder {
  readonly #sql: HeldSql;
  readonly #held = new Map<string, Move>();
  /** The earliest time of each lane, as far as it is known. */
  readonly #earliest = new Map<Lane, number | null>();
  readonly #isKept: boolean;
  #startsMoved = false;

  /** @param isKept whether the earliest times are kept: only for whoever makes all the writes */
  constructor(sql: HeldSql, isKept: boolean) {
    this.#sql = sql;
    this.#isKept = isKept;
    sql.register(this);
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
    if (from !== null && this.#earliest.get(fromLane) === from) this.#earliest.delete(fromLane);
    const earliest = this.#earliest.get(lane);
    if (to !== null && earliest !== undefined) this.#earliest.set(lane, Math.min(to, earliest ?? to));
    const name = `${kind}:${id}`;
    const before = this.#held.get(name);
    const moved: Move = before ? { ...before, to, lane } : { kind, id, from, fromLane, to, lane };
    if (moved.from === moved.to && (moved.from === null || moved.fromLane === lane)) this.#held.delete(name);
    else this.#held.set(name, moved);
    this.#sql.hold();
  }

  flush(): void {
    const all = [...this.#held.values()];
    this.#held.clear();
    const places = Map.groupBy(all, ({ kind, from, fromLane, to, lane }) => {
      if (from === null) return `into ${lane} ${kind}`;
      return to === null ? `out of ${fromLane} ${kind}` : `${fromLane} ${lane} ${kind} ${to}`;
    });
    for (const moves of places.values()) {
      for (let at = 0; at < moves.length; at += MAX_MOVED) this.#write(moves.slice(at, at + MAX_MOVED));
    }
  }

  discard(): void {
    this.#held.clear();
    this.#earliest.clear();
  }

  /** Writes moves that are alike: all into a lane, all out of one, or all from one to the same time in another. */
  #write(moves: readonly Move[]): void {
    const [first] = moves;
    if (!first) return;
    const { kind, from, fromLane, to, lane } = first;
    if (from !== null && to === null) {
      for (const { id, from: at } of moves) {
        this.#sql.now(
          "DELETE FROM due WHERE lane = ? AND at = ? AND kind = ? AND id = ?",
          fromLane,
          at,
          kind,
          id,
        );
      }
      return;
    }
    const values = moves.map(() => `(${from === null ? lane : fromLane}, ?, '${kind}', ?)`).join(", ");
    const entries = moves.flatMap((move) => [from === null ? move.to : move.from, move.id]);
    // An entry that moves is there, so this is an update, and one whose look-up is not counted as a row read.
    const conflict = "ON CONFLICT (lane, at, kind, id) DO UPDATE SET lane = ?, at = ?";
    if (from === null) this.#sql.now(`INSERT INTO due (lane, at, kind, id) VALUES ${values}`, ...entries);
    else {
      this.#sql.now(
        `INSERT INTO due (lane, at, kind, id) VALUES ${values} ${conflict}`,
        ...entries,
        lane,
        to,
      );
    }
  }

  /** Makes an entry that may be there already. */
  ensure(kind: DueKind, id: string, at: number, lane: Lane): void {
    this.#earliest.delete(lane);
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

  /** How many scheduled starts are due since a time or longer. */
  countStarts(until: number): number {
    const [row] = this.#sql.all<{ count: number }>(
      "SELECT count(*) AS count FROM due WHERE lane = ? AND at <= ?",
      LANES.starts,
      until,
    );
    return row?.count ?? 0;
  }

  /** Whether scheduled starts may have moved since this was asked last. */
  takeStartsMoved(): boolean {
    const moved = this.#startsMoved;
    this.#startsMoved = false;
    return moved;
  }

  /** When the next entry of a lane is due, or null. */
  earliestAt(lane: Lane): number | null {
    const known = this.#earliest.get(lane);
    if (known !== undefined) return known;
    const [row] = this.#sql.all<{ at: number }>(
      "SELECT at FROM due WHERE lane = ? ORDER BY at LIMIT 1",
      lane,
    );
    const at = row?.at ?? null;
    if (this.#isKept) this.#earliest.set(lane, at);
    return at;
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
