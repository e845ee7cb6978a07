/** Table `version`: the values of each key and where each stands. */
import { type DueQueue, LANES } from "./due.ts";
import type { EdgeRecordTable } from "./edge-records.ts";
import type { HeldSql } from "./held-sql.ts";
import type { RowCache } from "./row-cache.ts";
import type { SqlValue } from "./sql.ts";
import { type CallReport, UNCLAIMED, type Urgent, WorkTable } from "./work-table.ts";

/** `lost`: minted, but its value never reached us and nothing names it. */
export type Stage = "pending" | "current" | "previous" | "revoking" | "revoked" | "discarded" | "lost";

/** Why a version stopped being of use. */
export type EndReason = "rotated" | "revoked" | "deleted" | "discarded" | "lost" | "compromised";

export interface VersionRow extends Urgent {
  /** For an issued value the public id inside it. */
  id: string;
  keyId: string;
  number: number;
  stage: Stage;
  /** The rotation that minted it; null for a first version. */
  rotationId: string | null;
  /** How the service names it; for an issued value its id. Null for a lost one that nothing names. */
  reference: string | null;
  /** The fields, sealed; wiped when the version dies, and not kept for an issued key without destinations. */
  sealed: Uint8Array | null;
  /** SHA-256 of the secret, for keys that Rekey verifies. */
  digest: Uint8Array | null;
  /** Keyed hash of a secret that does not name its own version, so that it can be found. */
  fingerprint: Uint8Array | null;
  /** Last four characters. */
  hint: string;
  /** When the service made it: the start of its age. */
  issuedAt: number;
  /** When the service ends it by itself, if it said so. */
  expiresAt: number | null;
  promotedAt: number | null;
  /** When its grace began: what `maxGrace` counts from. */
  retiredAt: number | null;
  /** Since when its grace is held beyond its time, as something in `revokeWhen` is missing. */
  heldAt: number | null;
  graceEndsAt: number | null;
  endReason: EndReason | null;
  /** When the service took the revocation. */
  serviceRevokedAt: number | null;
  /** When it was seen dead. */
  revokedAt: number | null;
  confirmed: boolean;
  attempt: number;
  lastCall: CallReport | null;
  /** The revision of the key's connection under which it was made, where it is to be revoked. */
  connectionRevision: number | null;
  /** When it was reported leaked. */
  compromisedAt: number | null;
  /** When verification last took it, at most a minute behind. */
  lastSeenAt: number | null;
  /** Since when a person is asked to end it, and when that was last said. */
  askedAt: number | null;
  remindedAt: number | null;
}

/** What is so of every version when it is made. */
export const NEW_VERSION = {
  ...UNCLAIMED,
  expiresAt: null,
  promotedAt: null,
  retiredAt: null,
  heldAt: null,
  graceEndsAt: null,
  endReason: null,
  serviceRevokedAt: null,
  revokedAt: null,
  confirmed: false,
  attempt: 0,
  lastCall: null,
  connectionRevision: null,
  compromisedAt: null,
  lastSeenAt: null,
  askedAt: null,
  remindedAt: null,
  urgent: false,
} satisfies Partial<VersionRow>;

/** A query may carry 100 parameters. */
const MAX_AMONG = 100;

export class VersionTable extends WorkTable<VersionRow> {
  readonly #edgeRecords: EdgeRecordTable;

  /** @param edgeRecords hear of each change that they show */
  constructor(sql: HeldSql, cache: RowCache, due: DueQueue, edgeRecords: EdgeRecordTable) {
    super(sql, cache, due, "version", "version", {
      id: "plain",
      keyId: "plain",
      number: "plain",
      stage: "plain",
      rotationId: "plain",
      reference: "plain",
      sealed: "blob",
      digest: "blob",
      fingerprint: "blob",
      hint: "plain",
      issuedAt: "plain",
      expiresAt: "plain",
      promotedAt: "plain",
      retiredAt: "plain",
      heldAt: "plain",
      graceEndsAt: "plain",
      endReason: "plain",
      serviceRevokedAt: "plain",
      revokedAt: "plain",
      confirmed: "boolean",
      attempt: "plain",
      lastCall: "json",
      connectionRevision: "plain",
      compromisedAt: "plain",
      lastSeenAt: "plain",
      askedAt: "plain",
      remindedAt: "plain",
      urgent: "boolean",
      claim: "plain",
      leaseUntil: "plain",
      dueAt: "plain",
    });
    this.#edgeRecords = edgeRecords;
  }

  override update(row: VersionRow, patch: Partial<VersionRow>): VersionRow {
    const next = super.update(row, patch);
    if (standingOf(next) !== standingOf(row)) this.#edgeRecords.touch(row.id);
    if (isDead(row) && !isDead(next)) this.cache.forget(aliveName(row.keyId));
    return next;
  }

  override insert(row: VersionRow): VersionRow {
    this.cache.put(placeOf(row.keyId, row.number), row.id);
    this.cache.append(aliveName(row.keyId), row.id);
    return super.insert(row);
  }

  /** All versions of a key, oldest first. */
  ofKey(keyId: string): VersionRow[] {
    return this.select("WHERE keyId = ? ORDER BY number", keyId);
  }

  byNumber(keyId: string, number: number): VersionRow | undefined {
    return this.getBy(placeOf(keyId, number), "WHERE keyId = ? AND number = ?", keyId, number);
  }

  /** The key's current version, if it has one. */
  current(keyId: string): VersionRow | undefined {
    return this.alive(keyId).find(({ stage }) => stage === "current");
  }

  /** Whether a version of a key leaked that could be used at some time, or later. Reads all of its versions. */
  hasLeaked(keyId: string, at: number): boolean {
    const rest = `WHERE keyId = ? AND compromisedAt IS NOT NULL
      AND (compromisedAt >= ? OR revokedAt IS NULL OR revokedAt >= ?) LIMIT 1`;
    return this.select(rest, keyId, at, at).length > 0;
  }

  /** Versions whose revocation does not succeed, after the common backoff table. */
  countStuck(): number {
    return this.tally("INDEXED BY versionStuck WHERE stage = 'revoking' AND attempt >= 7");
  }

  /** The same, some of them. */
  stuck(limit: number): VersionRow[] {
    return this.select("INDEXED BY versionStuck WHERE stage = 'revoking' AND attempt >= 7 LIMIT ?", limit);
  }

  /** Versions whose grace is held beyond its time, some of them. Reads what the queue has of versions. */
  heldInGrace(limit: number): VersionRow[] {
    const rows = this.sql.all<Record<string, unknown>>(
      `SELECT owner.* FROM due CROSS JOIN version AS owner ON owner.id = due.id
       WHERE due.lane = ? AND due.kind = 'version' AND owner.stage = 'previous' AND owner.heldAt IS NOT NULL LIMIT ?`,
      LANES.versions,
      limit,
    );
    return rows.map((row) => this.decode(row));
  }

  /** Versions that a person is asked to end, the longest first. */
  asked(limit: number): VersionRow[] {
    return this.select("INDEXED BY versionAsked WHERE askedAt IS NOT NULL ORDER BY askedAt LIMIT ?", limit);
  }

  /** How many these are, and how many of them leaked. */
  countAsked(): { all: number; leaked: number } {
    const [row] = this.sql.all<{ all: number; leaked: number }>(
      `SELECT count(*) AS "all", count(compromisedAt) AS leaked
       FROM version INDEXED BY versionAsked WHERE askedAt IS NOT NULL`,
    );
    return row ?? { all: 0, leaked: 0 };
  }

  byFingerprint(fingerprint: Uint8Array): VersionRow[] {
    return this.select("WHERE fingerprint = ?", fingerprint);
  }

  /** Values made by services outside that go by this name there and may still work, some of them. */
  byReference(reference: string, limit: number): VersionRow[] {
    const rest = `INDEXED BY versionReference WHERE reference = ? AND digest IS NULL AND reference IS NOT NULL
      AND stage NOT IN ('revoked', 'discarded', 'lost') LIMIT ?`;
    return this.select(rest, reference, limit);
  }

  /** Versions that have one of these fingerprints, a hundred or so a statement. */
  byFingerprints(fingerprints: readonly Uint8Array[]): VersionRow[] {
    return this.#among("fingerprint", fingerprints);
  }

  /** Versions that have one of these ids. */
  byIds(ids: readonly string[]): VersionRow[] {
    return this.#among("id", ids);
  }

  #among(column: "id" | "fingerprint", values: readonly SqlValue[]): VersionRow[] {
    const found: VersionRow[] = [];
    for (let from = 0; from < values.length; from += MAX_AMONG) {
      const some = values.slice(from, from + MAX_AMONG);
      found.push(...this.select(`WHERE ${column} IN (${some.map(() => "?").join(", ")})`, ...some));
    }
    return found;
  }

  /** Versions of a key that may still work somewhere, oldest first. */
  alive(keyId: string): VersionRow[] {
    const rest = "WHERE keyId = ? AND stage NOT IN ('revoked', 'discarded', 'lost') ORDER BY number";
    return this.selectBy(aliveName(keyId), (version) => !isDead(version), rest, keyId);
  }
}

/** All that verification looks at: that a pending version becomes current, or that a dying one is seen dead, changes nothing. */
function standingOf({ stage, graceEndsAt, endReason }: VersionRow): string {
  switch (stage) {
    case "pending":
    case "current":
      return "current";
    case "previous":
      return `previous ${graceEndsAt}`;
    default:
      return `over ${endReason}`;
  }
}

/** True once there is nothing left to do for a version: seen dead, or lost. */
export function isDead(version: VersionRow): boolean {
  return version.stage === "revoked" || version.stage === "discarded" || version.stage === "lost";
}

function aliveName(keyId: string): string {
  return `aliveOf:${keyId}`;
}

function placeOf(keyId: string, number: number): string {
  return `versionOf:${keyId}/${number}`;
}
