/**
 * The one writer of a version's record at the edge. It writes what the database says at that moment, looks again after, and writes
 * again if that has moved on. KV has no order: a write that was never answered may land after the next one, so its place stays
 * closed until it can no longer land, and then the record is written once more.
 */
import { canHaveRecord, recordNameOf, recordOf } from "../issuer/edge-record.ts";
import { judge } from "../issuer/judge.ts";
import type { RecordToWrite } from "../outbound/records.ts";
import { type EdgeRecordRow, KV_PACE_MS } from "../store/edge-records.ts";
import type { KeyRow } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import type { EngineContext } from "./context.ts";

const DAY_MS = 86_400_000;
/**
 * A record goes by itself unless it is written again: one that a restored database knows nothing of does not outlive this. The
 * keyring answers where a record is missing.
 */
const RECORD_LASTS_MS = 30 * DAY_MS;
const REWRITTEN_AFTER_MS = RECORD_LASTS_MS / 2;
/** How long the record of a dead version says so. */
const DEAD_RECORD_LASTS_MS = 7 * DAY_MS;

export interface Written {
  /** What was written is the last that this record says, or it was taken away. */
  isLast: boolean;
  /** KV has taken it. Without an answer, or with an error, nobody knows. */
  ok: boolean;
}

/** Gives a version that was just made a record, if its key asks for that. */
export function publish({ store }: EngineContext, key: KeyRow, version: VersionRow): void {
  if (key.verification.edge && canHaveRecord(version)) store.edgeRecords.want(version.id);
}

/** Writes a record, or takes it away, by what the database says now. */
export async function writeRecord(context: EngineContext, { id }: EdgeRecordRow): Promise<Written> {
  const { record, isLast } = readDatabase(context, id);
  const ok = await context.records.write(recordNameOf(context.identity.code, id), record);
  return { isLast, ok };
}

/**
 * Commits how a write ended.
 * @param wanted what the row asked for when the write began
 */
export function settleRecord(
  { store, now }: EngineContext,
  row: EdgeRecordRow,
  wanted: number,
  { isLast, ok }: Written,
): void {
  // The lease stays: until it is over the write may still land, and then the next one is due.
  if (!ok) return;
  const isCurrent = row.wanted === wanted;
  if (isCurrent && isLast) {
    store.edgeRecords.remove(row);
    return;
  }
  store.edgeRecords.update(row, {
    putAt: now(),
    dueAt: now() + (isCurrent ? REWRITTEN_AFTER_MS : KV_PACE_MS),
    leaseUntil: null,
    claim: row.claim + 1,
  });
}

function readDatabase(
  { store, providerOf, now }: EngineContext,
  versionId: string,
): { record: RecordToWrite | null; isLast: boolean } {
  const version = store.versions.get(versionId);
  const key = version && store.keys.get(version.keyId);
  if (!version || !key?.verification.edge) return { record: null, isLast: true };
  const isLast = judge(version, key, now()) !== "valid";
  const record = recordOf(key, version, providerOf(key).opensApi, now());
  const lastsMs = isLast ? DEAD_RECORD_LASTS_MS : RECORD_LASTS_MS;
  return { record: { text: JSON.stringify(record), lastsSeconds: lastsMs / 1_000 }, isLast };
}
