/** Table `subscription`: who is told of events. A cursor says how far each has been told, so that an event costs it no row. */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import { type CallReport, type Claimable, UNCLAIMED, WorkTable } from "./work-table.ts";

/** `unproven`: never answered yet. `failing`: its attempts are used up, it is asked once a day. `disabled`: it told us to stop (HTTP 410). */
export type SubscriptionState = "unproven" | "ready" | "failing" | "disabled";

export type SubscriptionFormat = "standard" | "slack" | "discord";

export interface SubscriptionRow extends Claimable {
  id: string;
  name: string;
  format: SubscriptionFormat;
  /** Host and last characters of its address, for people. */
  host: string;
  hint: string;
  /** Exact types of events, or prefixes such as `key.*`; empty for all. */
  types: string[];
  /** Only events of keys that carry all of these. */
  labels: Record<string, string>;
  /** Its address and signing secrets, sealed. */
  sealed: Uint8Array | null;
  /** Rises with each new address or secret. */
  revision: number;
  state: SubscriptionState;
  /** All of the history up to this number was told, or is none of its business. */
  sentSeq: number;
  /** Failed attempts in a row: of the ping while it is not `ready`, else of the event that comes next. */
  attempt: number;
  /** The event whose attempts were used up, or 0. */
  failedSeq: number;
  /** Numbers of the newest events that were given up for it. */
  skipped: number[];
  /** Since when it is failing or disabled; null while it is neither. */
  unwellSince: number | null;
  /** Events up to this number that it was not told are gone since then, or 0. */
  missedSeq: number;
  provenAt: number | null;
  lastCall: CallReport | null;
  createdAt: number;
  createdBy: string;
}

/** What is so of every subscription when it is made. */
export const NEW_SUBSCRIPTION = {
  ...UNCLAIMED,
  revision: 1,
  state: "unproven",
  attempt: 0,
  failedSeq: 0,
  skipped: [],
  unwellSince: null,
  missedSeq: 0,
  provenAt: null,
  lastCall: null,
} satisfies Partial<SubscriptionRow>;

const IDLE = "idleSubscriptions";

export class SubscriptionTable extends WorkTable<SubscriptionRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "subscription", "subscription", {
      id: "plain",
      name: "plain",
      format: "plain",
      host: "plain",
      hint: "plain",
      types: "json",
      labels: "json",
      sealed: "blob",
      revision: "plain",
      state: "plain",
      sentSeq: "plain",
      attempt: "plain",
      failedSeq: "plain",
      skipped: "json",
      unwellSince: "plain",
      missedSeq: "plain",
      provenAt: "plain",
      lastCall: "json",
      createdAt: "plain",
      createdBy: "plain",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  override insert(row: SubscriptionRow): SubscriptionRow {
    this.cache.forget(IDLE);
    return super.insert(row);
  }

  override update(row: SubscriptionRow, patch: Partial<SubscriptionRow>): SubscriptionRow {
    this.cache.forget(IDLE);
    return super.update(row, patch);
  }

  override remove(row: SubscriptionRow): void {
    this.cache.forget(IDLE);
    super.remove(row);
  }

  /** A subscription by id or name. */
  find(idOrName: string): SubscriptionRow | undefined {
    return this.get(idOrName) ?? this.select("WHERE name = ?", idOrName)[0];
  }

  /** A page in order of id. */
  list(after: string, limit: number): SubscriptionRow[] {
    return this.select("WHERE id > ? ORDER BY id LIMIT ?", after, limit);
  }

  /** Those who were told all there is so far, and may be told more. */
  idle(): SubscriptionRow[] {
    return this.cache.get(IDLE, () => this.select("WHERE dueAt IS NULL AND state <> 'disabled'"));
  }

  /** Those who were not told all there is so far, as far as is known: of one that is idle nothing is left to tell. */
  behind(): SubscriptionRow[] {
    return this.select("WHERE dueAt IS NOT NULL OR state = 'disabled'");
  }

  count(): number {
    return this.tally("");
  }

  /** Those that do not answer any more. */
  countUnwell(): number {
    return this.tally("WHERE state IN ('failing', 'disabled')");
  }

  /** Some of them. */
  unwell(limit: number): SubscriptionRow[] {
    return this.select("WHERE state IN ('failing', 'disabled') ORDER BY id LIMIT ?", limit);
  }
}
