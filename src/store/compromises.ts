/**
 * Tables `compromise` and `leak`: a report that something leaked, and each thing of ours that it named. What leaked is never kept, only
 * which version or secret it was, and of a secret a hash.
 */
import type { DueQueue } from "./due.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import type { SignalSource } from "./signals.ts";
import { Table } from "./table.ts";
import type { Stage } from "./versions.ts";
import { type CallReport, type Claimable, WorkTable } from "./work-table.ts";

/** Where a report came from: a signal, or somebody by `POST /v1/compromises`. */
export type ReportSource = "github" | "github-alert" | "gitguardian" | "standard" | "api";

/** Whose secrets sign reports of this kind; undefined for what people report. */
export function signalOf(source: ReportSource): SignalSource | undefined {
  if (source === "api") return undefined;
  return source === "github-alert" ? "github" : source;
}

/** An alert that does not say what leaked: its service has to be asked. */
export interface AlertRef {
  /** Null while none was named. */
  connectionId: string | null;
  /** `owner/name` */
  repository: string;
  number: number;
}

export interface CompromiseRow extends Claimable {
  id: string;
  source: ReportSource;
  /** Id of the access key that reported it, `root`, or `signal`. */
  reporter: string;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  /** Keyed hash of a signed body, so that the same one again is known. */
  digest: Uint8Array | null;
  /** How many things it named. */
  reports: number;
  /** How many of them, or of what they stand for, are ours. */
  leaks: number;
  /** How many of those have been acted on, in order. */
  actedTo: number;
  /** What is to be asked first; null once that is known, or when nothing has to be. */
  alert: AlertRef | null;
  /** Tries to ask that did not succeed. */
  attempt: number;
  /** Why what leaked could not be learnt. */
  problem: string | null;
  lastCall: CallReport | null;
}

/** A version, or another secret of the keyring's: what it is of, by id (or name, of a signal's source). */
export type LeakKind = "version" | "connection" | "destination" | "claim-token" | "subscription" | "signal";

export type LeakAction =
  | "revoked"
  | "discarded"
  | "escalated"
  | "started"
  | "retried"
  | "notified"
  /** A person is, as only a person can go on. */
  | "asked"
  /** Only its key was named, and that had an emergency rotation a moment ago. */
  | "held-back"
  /** It was dead already. */
  | "none";

export interface LeakRow {
  /** The report's id and its place in it. */
  id: string;
  kind: LeakKind;
  /** Id of the version, connection, destination or subscription, or the source of signals. */
  subject: string;
  keyId: string | null;
  /** Number of the version. */
  number: number | null;
  /** Where the version stood. */
  stage: Stage | null;
  /** Keyed hash of a secret that is no version's (SHA-256 of a claim token), so that it is seen whether it counts still. */
  print: Uint8Array | null;
  /** Where it was seen, in the reporter's words. */
  source: string | null;
  url: string | null;
  /** Null until it was acted on. */
  action: LeakAction | null;
  rotationId: string | null;
  actedAt: number | null;
}

const DIGITS = 6;
const OLDEST = "oldestCompromise";

export class CompromiseTable extends WorkTable<CompromiseRow> {
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue) {
    super(sql, cache, due, "compromise", "compromise", {
      id: "plain",
      source: "plain",
      reporter: "plain",
      receivedAt: "plain",
      digest: "blob",
      reports: "plain",
      leaks: "plain",
      actedTo: "plain",
      alert: "json",
      attempt: "plain",
      problem: "plain",
      lastCall: "json",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
  }

  /** The report of a signed body. */
  byDigest(digest: Uint8Array): CompromiseRow | undefined {
    return this.select("WHERE digest = ?", digest)[0];
  }

  /** Those whose alert was not read yet. */
  unread(): CompromiseRow[] {
    return this.select("WHERE alert IS NOT NULL");
  }

  /** A page, newest first. `before` is an id, or empty for the first page. */
  list(before: string, limit: number, isMatched: boolean | undefined): CompromiseRow[] {
    const only = isMatched === undefined ? "" : isMatched ? "AND leaks > 0" : "AND leaks = 0";
    return this.select(`WHERE id < ? ${only} ORDER BY id DESC LIMIT ?`, before === "" ? "~" : before, limit);
  }

  override insert(row: CompromiseRow): CompromiseRow {
    this.cache.forget(OLDEST);
    return super.insert(row);
  }

  /** When the oldest report came, and the oldest of those that named nothing of ours. Remembered: each visit of cron asks. */
  oldest(): { any: number | undefined; unmatched: number | undefined } {
    return this.cache.get(OLDEST, () => ({
      any: this.select("ORDER BY id LIMIT 1")[0]?.receivedAt,
      unmatched: this.select("WHERE leaks = 0 ORDER BY id LIMIT 1")[0]?.receivedAt,
    }));
  }

  /** Reports of before a time, and those before another that named nothing of ours; none with anything left to do. */
  outlived(before: number, unmatchedBefore: number, limit: number): CompromiseRow[] {
    return this.select(
      "WHERE dueAt IS NULL AND (receivedAt < ? OR (leaks = 0 AND receivedAt < ?)) ORDER BY id LIMIT ?",
      before,
      unmatchedBefore,
      limit,
    );
  }

  override remove(row: CompromiseRow): void {
    this.cache.forget(OLDEST);
    super.remove(row);
  }
}

/** More than a report has. */
const ALL = 1_000_000;

export class LeakTable extends Table<LeakRow> {
  constructor(sql: HeldSql, cache: RowCache) {
    super(sql, cache, "leak", {
      id: "plain",
      kind: "plain",
      subject: "plain",
      keyId: "plain",
      number: "plain",
      stage: "plain",
      print: "blob",
      source: "plain",
      url: "plain",
      action: "plain",
      rotationId: "plain",
      actedAt: "plain",
    });
  }

  /** How many leaked versions of a report are not dead, and when the last of the others was seen so. */
  standingOf(compromiseId: string): { open: number; lastDeadAt: number | null } {
    const [row] = this.sql.all<{ open: number; lastDeadAt: number | null }>(
      `SELECT count(*) FILTER (WHERE version.stage NOT IN ('revoked', 'discarded', 'lost')) AS open,
         max(version.revokedAt) AS lastDeadAt
       FROM leak JOIN version ON version.id = leak.subject
       WHERE leak.id >= ? AND leak.id < ? AND leak.kind = 'version'`,
      leakId(compromiseId, 0),
      `${compromiseId}/~`,
    );
    return row ?? { open: 0, lastDeadAt: null };
  }

  /** Leaks of a report that are of no version. */
  secretsOf(compromiseId: string): LeakRow[] {
    return this.select(
      "WHERE id >= ? AND id < ? AND kind <> 'version' ORDER BY id",
      leakId(compromiseId, 0),
      `${compromiseId}/~`,
    );
  }

  /** Whether it was said before that nothing is done about a version. */
  isNotified(subject: string): boolean {
    return this.select("WHERE subject = ? AND action = 'notified' LIMIT 1", subject).length > 0;
  }

  /** Forgets all leaks of a report. */
  removeOf(compromiseId: string): void {
    for (const { id } of this.of(compromiseId, 0, ALL)) this.delete(id);
  }

  /** Leaks of a report in order, from a place on. */
  of(compromiseId: string, from: number, limit: number): LeakRow[] {
    return this.select(
      "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
      leakId(compromiseId, from),
      `${compromiseId}/~`,
      limit,
    );
  }
}

/** The id of a report's n-th leak. */
export function leakId(compromiseId: string, place: number): string {
  return `${compromiseId}/${String(place).padStart(DIGITS, "0")}`;
}
