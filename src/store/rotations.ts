/** Table `rotation`. A partial unique index keeps it to one live rotation a key. */
import type { DueQueue } from "./due.ts";
import type { Sql } from "./sql.ts";
import { type CallReport, type Claimable, WorkTable } from "./work-table.ts";

/** What is being done, in order; `put-back` only when the new value could not be delivered in time. */
export type RotationStep = "preflight" | "mint" | "test" | "deliver" | "put-back" | "done";

/** `blocked` and `needs-attention` are states of a live rotation; the last three are its ends. */
export type RotationState = "running" | "blocked" | "needs-attention" | "succeeded" | "failed" | "cancelled";

export type Trigger = "schedule" | "manual";

export interface RotationRow extends Claimable {
  id: string;
  keyId: string;
  trigger: Trigger;
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
}

export class RotationTable extends WorkTable<RotationRow> {
  constructor(sql: Sql, due: DueQueue) {
    super(sql, due, "rotation", "rotation", {
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
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  /** The key's live rotation, if there is one. */
  live(keyId: string): RotationRow | undefined {
    return this.select("WHERE keyId = ? AND live = 1", keyId)[0];
  }

  /** A page, newest first. `before` is an id, or empty for the first page. */
  list(keyId: string | undefined, before: string, limit: number): RotationRow[] {
    const from = before === "" ? "~" : before;
    return keyId === undefined
      ? this.select("WHERE id < ? ORDER BY id DESC LIMIT ?", from, limit)
      : this.select("WHERE keyId = ? AND id < ? ORDER BY id DESC LIMIT ?", keyId, from, limit);
  }
}
