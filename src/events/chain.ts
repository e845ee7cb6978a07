/**
 * The history: append-only, without gaps, each entry's hash covering the one before it. Changing or dropping an entry breaks
 * every hash after it. What was pruned left its last hash, from which the rest goes on.
 */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import type { Random } from "../crypto/random.ts";
import { newId } from "../ids.ts";
import type { EventRow, EventTable } from "../store/events.ts";
import type { Store } from "../store/store.ts";
import type { NewEvent } from "./catalogue.ts";

const GENESIS = new Uint8Array(32);
const VERIFY_PAGE = 1_000;

/**
 * Appends an event inside the caller's transaction.
 * @param revision of the event's key
 */
export function appendEvent(
  table: EventTable,
  event: NewEvent,
  now: number,
  random: Random,
  revision: number | null = null,
): EventRow {
  const head = table.head();
  const entry = {
    seq: (head?.seq ?? 0) + 1,
    id: newId("evt", now, random),
    type: event.type,
    at: now,
    actor: event.actor,
    keyId: event.keyId ?? null,
    data: JSON.stringify(event.data ?? {}),
  };
  const row = { ...entry, hash: hashOf(head?.hash ?? GENESIS, entry), revision };
  table.append(row);
  return row;
}

/** What a look at the whole history found: entries that fit, entries before them that were pruned, and since when all are kept. */
export type ChainReport = {
  count: number;
  pruned: number;
  /** Milliseconds since the epoch; null when there is no entry. */
  since: number | null;
} & ({ ok: true } | { ok: false; brokenAt: number });

/** Recomputes every hash that is kept. `brokenAt` is the sequence number of the first entry that does not fit. */
export function verifyChain({ events, settings }: Pick<Store, "events" | "settings">): ChainReport {
  let previous = settings.historyStart() ?? { seq: 0, hash: GENESIS };
  const found = { count: 0, pruned: previous.seq, since: events.after(0, 1)[0]?.at ?? null };
  // Whatever stands where all was pruned is out of place.
  let after = 0;
  for (;;) {
    const rows = events.after(after, VERIFY_PAGE);
    for (const row of rows) {
      const fits = row.seq === previous.seq + 1 && sameBytes(row.hash, hashOf(previous.hash, row));
      if (!fits) return { ...found, ok: false, brokenAt: previous.seq + 1 };
      previous = row;
      found.count += 1;
    }
    after = previous.seq;
    if (rows.length < VERIFY_PAGE) return { ...found, ok: true };
  }
}

/** Whether a history has come to an entry: it is there, or what is kept goes on from it or from a later one. */
export function hasReached(
  { events, settings }: Pick<Store, "events" | "settings">,
  { seq, hash }: { seq: number; hash: Uint8Array },
): boolean {
  const entry = events.at(seq);
  if (entry) return sameBytes(entry.hash, hash);
  const start = settings.historyStart();
  if (!start || seq > start.seq) return false;
  return seq < start.seq || sameBytes(start.hash, hash);
}

function hashOf(previous: Uint8Array, row: Omit<EventRow, "hash">): Uint8Array {
  const text = JSON.stringify([row.seq, row.id, row.type, row.at, row.actor, row.keyId, row.data]);
  return sha256(Buffer.concat([previous, Buffer.from(text, "utf8")]));
}
