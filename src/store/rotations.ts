/** Table `rotation`. A partial unique index keeps it to one live rotation a key. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { type CallReport, UNCLAIMED, type Urgent, WorkTable } from "./work-table.ts";

/**
 * What is being done, in order. `settle` only while a mint is in doubt, `put-back` only when the new value could not be delivered
 * in time, `sweep` only when something minted may still turn up.
 */
export type RotationStep =
  | "preflight"
  | "mint"
  | "settle"
  | "test"
  | "deliver"
  | "put-back"
  | "sweep"
  | "done";

/** `blocked` and the `needs-…` are states of a live rotation; the last three are its ends. */
export type RotationState =
  | "running"
  | "blocked"
  | "needs-slot"
  | "needs-attention"
  | "needs-human"
  | "succeeded"
  | "failed"
  | "cancelled";

/** How a rotation is to end once what is in doubt is settled. */
export interface Ending {
  state: "succeeded" | "failed" | "cancelled";
  problem: string | null;
}

/** What tests of the old value have said in a row, while a mint without overlap is in doubt. */
export interface Tally {
  verdict: "valid" | "rejected";
  at: number;
}

/** `agent`: an agent asked for it by a tool. */
export type Trigger = "schedule" | "manual" | "agent" | "compromise";

export interface RotationRow extends Urgent {
  id: string;
  keyId: string;
  trigger: Trigger;
  /** Escalated: the value that it replaces leaked. */
  urgent: boolean;
  reason: string | null;
  /** Id of the access key that asked, `root` or `cron`. */
  requestedBy: string;
  /** Duration that overrides the policy's grace. */
  grace: string | null;
  live: boolean;
  state: RotationState;
  step: RotationStep;
  fromVersion: number | null;
  toVersion: number | null;
  /** Tries of the present step that did not succeed. */
  attempt: number;
  /** What it waits for or why it ended, in words. */
  problem: string | null;
  lastCall: CallReport | null;
  startedAt: number;
  deadlineAt: number;
  endedAt: number | null;
  /** Attempts to mint so far: each has a marker and an idempotency key of its own. */
  mints: number;
  /** Attempts whose result was in doubt. */
  doubts: number;
  /** When the present attempt to mint began; null once its result is recorded. */
  intentAt: number | null;
  /** When no call to mint can be running any more. */
  settleAt: number | null;
  /** When the service ends the old value, once its clock runs. */
  oldEndsAt: number | null;
  /** References that the service listed before the mint, to tell ours from what was there. */
  seen: string[] | null;
  ending: Ending | null;
  tally: Tally | null;
  /** Its value was handed in by a person: nothing is minted. */
  byHand: boolean;
  /**
   * Set when it makes an earlier version current again and mints nothing: when that version's grace would have ended, for its way back
   * should this not succeed.
   */
  rollbackGraceEndsAt: number | null;
  /** Markers of a rotation that it took over from, looked for once more at its own end. */
  sought: string[] | null;
  /** The revision of the key's connection that it keeps to. */
  connectionRevision: number | null;
  /** The batch that started it, or that joined it. */
  batchId: string | null;
}

/** What is so of every rotation when it is made. */
export const NEW_ROTATION = {
  ...UNCLAIMED,
  toVersion: null,
  lastCall: null,
  endedAt: null,
  mints: 0,
  doubts: 0,
  intentAt: null,
  settleAt: null,
  oldEndsAt: null,
  seen: null,
  byHand: false,
  rollbackGraceEndsAt: null,
  sought: null,
  urgent: false,
  batchId: null,
} satisfies Partial<RotationRow>;

/** As far back as one looks for the newest emergency. */
const NEWEST = 20;

export class RotationTable extends WorkTable<RotationRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "rotation", "rotation", {
      id: "plain",
      keyId: "plain",
      trigger: "plain",
      reason: "plain",
      requestedBy: "plain",
      grace: "plain",
      live: "boolean",
      state: "plain",
      step: "plain",
      fromVersion: "plain",
      toVersion: "plain",
      attempt: "plain",
      problem: "plain",
      lastCall: "json",
      startedAt: "plain",
      deadlineAt: "plain",
      endedAt: "plain",
      mints: "plain",
      doubts: "plain",
      intentAt: "plain",
      settleAt: "plain",
      oldEndsAt: "plain",
      seen: "json",
      ending: "json",
      tally: "json",
      byHand: "boolean",
      rollbackGraceEndsAt: "plain",
      sought: "json",
      connectionRevision: "plain",
      batchId: "plain",
      urgent: "boolean",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  override insert(row: RotationRow): RotationRow {
    if (row.live) this.cache.put(liveName(row.keyId), row.id);
    return super.insert(row);
  }

  override update(row: RotationRow, patch: Partial<RotationRow>): RotationRow {
    if (patch.live !== undefined && patch.live !== row.live)
      this.cache.put(liveName(row.keyId), patch.live ? row.id : undefined);
    return super.update(row, patch);
  }

  /** The key's live rotation, if there is one. */
  live(keyId: string): RotationRow | undefined {
    return this.getBy(liveName(keyId), "WHERE keyId = ? AND live = 1", keyId);
  }

  /** The newest rotation of a key that replaces, or replaced, what leaked. Reads its newest ones only. */
  newestEmergency(keyId: string): RotationRow | undefined {
    return this.list(keyId, "", NEWEST).find(({ trigger, urgent }) => trigger === "compromise" || urgent);
  }

  /** How many rotations are live. Reads as many index rows. */
  countLive(): number {
    return this.tally("WHERE live = 1");
  }

  /** How many of them get on by themselves. */
  countMoving(): number {
    return this.tally("WHERE live = 1 AND state IN ('running', 'blocked')");
  }

  /** How many rotations of any other batch have got on since a time, or began later. Reads as many index rows as are live. */
  countMovingOfOthers(batchId: string, since: number): number {
    return this.tally(
      "WHERE live = 1 AND state = 'running' AND batchId IS NOT NULL AND batchId <> ? AND startedAt > ?",
      batchId,
      since,
    );
  }

  /** Live rotations of the keys on a connection. */
  liveOnConnection(connectionId: string): RotationRow[] {
    return this.select(
      "WHERE live = 1 AND keyId IN (SELECT id FROM key WHERE connectionId = ?)",
      connectionId,
    );
  }

  /** Live rotations of a batch. */
  liveOfBatch(batchId: string): RotationRow[] {
    return this.select("INDEXED BY rotationBatch WHERE batchId = ? AND live = 1", batchId);
  }

  /** Live rotations that do not go on by themselves. */
  held(): Pick<RotationRow, "state" | "deadlineAt">[] {
    return this.sql.all(
      "SELECT state, deadlineAt FROM rotation INDEXED BY rotationHeld WHERE live = 1 AND state <> 'running'",
    );
  }

  /** Live rotations in one state that does not go on by itself, the nearest deadline first. */
  heldAs(state: RotationState, limit: number): RotationRow[] {
    const rest = `INDEXED BY rotationHeld WHERE live = 1 AND state <> 'running' AND state = ?
      ORDER BY deadlineAt LIMIT ?`;
    return this.select(rest, state, limit);
  }

  /** A page, newest first. `before` is an id, or empty for the first page. */
  list(keyId: string | undefined, before: string, limit: number): RotationRow[] {
    const from = before === "" ? "~" : before;
    return keyId === undefined
      ? this.select("WHERE id < ? ORDER BY id DESC LIMIT ?", from, limit)
      : this.select("WHERE keyId = ? AND id < ? ORDER BY id DESC LIMIT ?", keyId, from, limit);
  }

  /** The same of a batch. */
  listOfBatch(batchId: string, keyId: string | undefined, before: string, limit: number): RotationRow[] {
    const ofKey = keyId === undefined ? "" : "AND keyId = ?";
    return this.select(
      `INDEXED BY rotationBatch WHERE batchId = ? AND live IN (0, 1) AND id < ? ${ofKey} ORDER BY id DESC LIMIT ?`,
      batchId,
      before === "" ? "~" : before,
      ...(keyId === undefined ? [] : [keyId]),
      limit,
    );
  }
}

function liveName(keyId: string): string {
  return `liveOf:${keyId}`;
}
