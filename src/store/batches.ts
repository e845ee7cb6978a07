/** Table `batch`: rotations of many keys that were asked for at once. A row has all that it takes to go on after a crash. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { KeySelection } from "./keys.ts";
import type { RowCache } from "./row-cache.ts";
import { WorkTable } from "./work-table.ts";

export type BatchState = "running" | "paused" | "cancelled" | "done";

/**
 * The keys of one account at one service, in order of their ids. Each share goes on by itself, so that an account that is slow holds up no
 * other.
 */
export interface Share {
  provider: string;
  /** Null for keys that need none. */
  connectionId: string | null;
  /** How many there were when the batch was made. */
  total: number;
  /** How many of them were looked at, those included that open a connection. */
  looked: number;
  /** The last one that was looked at. */
  after: string;
  /** The last one that there is: keys made later are no part of the batch. */
  last: string;
}

/** Keys that were left out for one reason. */
export interface Skipped {
  count: number;
  /** Ids of the first of them. */
  keys: string[];
}

export interface BatchRow {
  id: string;
  selection: KeySelection;
  /** Duration that overrides each key's own grace. */
  grace: string | null;
  reason: string;
  /** Id of the access key that asked, or `root`. */
  requestedBy: string;
  state: BatchState;
  shares: Share[];
  /** Ids of its keys that open a connection: they come before all others of their share. */
  openers: string[];
  /** Those of them that were not looked at yet. */
  waiting: string[];
  /** Keys in all. In the end `started + joined` and those skipped. */
  total: number;
  started: number;
  /** Keys that were being rotated already: their rotations count as its own from then on. */
  joined: number;
  /** Of the rotations that it started or joined, those that ended. */
  succeeded: number;
  failed: number;
  /** Failed ones since the last that succeeded. */
  failedInRow: number;
  /** By the code of what refused them. */
  skipped: Record<string, Skipped>;
  /** From where its own pace is measured: when it last began to run, and how many had ended then. */
  paceFrom: { at: number; ended: number };
  /** Why it started no more when it last looked, in words; null when nothing held it up. */
  waitsFor: string | null;
  /** Why it was paused or cancelled by Rekey itself, in words. */
  problem: string | null;
  createdAt: number;
  endedAt: number | null;
  /** When it looks again, at the latest: it is woken by each end of its rotations. Null when it does not run. */
  dueAt: number | null;
}

/** What a batch waits for that has fewer places than it may have, as other batches hold them. */
export const WAITS_FOR_OTHERS = "rotations of other batches that are live";

export class BatchTable extends WorkTable<BatchRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "batch", "batch", {
      id: "plain",
      selection: "json",
      grace: "plain",
      reason: "plain",
      requestedBy: "plain",
      state: "plain",
      shares: "json",
      openers: "json",
      waiting: "json",
      total: "plain",
      started: "plain",
      joined: "plain",
      succeeded: "plain",
      failed: "plain",
      failedInRow: "plain",
      skipped: "json",
      paceFrom: "json",
      waitsFor: "plain",
      problem: "plain",
      createdAt: "plain",
      endedAt: "plain",
      dueAt: "plain",
    });
  }

  /** A page, newest first. `before` is an id, or empty for the first page. */
  list(before: string, limit: number): BatchRow[] {
    return this.select("WHERE id < ? ORDER BY id DESC LIMIT ?", before === "" ? "~" : before, limit);
  }

  /** Those that run or are paused, oldest first. */
  open(limit: number): BatchRow[] {
    return this.select(
      "INDEXED BY batchOpen WHERE state IN ('running', 'paused') ORDER BY id LIMIT ?",
      limit,
    );
  }

  /** Those that wait for places of others, oldest first. Reads those that are open. */
  waitingForOthers(limit: number): BatchRow[] {
    return this.select(
      "INDEXED BY batchOpen WHERE state IN ('running', 'paused') AND waitsFor = ? ORDER BY id LIMIT ?",
      WAITS_FOR_OTHERS,
      limit,
    );
  }
}
