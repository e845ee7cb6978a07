/**
 * The history: append-only, without gaps, each entry's hash covering the one before it. Changing or dropping an entry breaks
 * every hash after it.
 */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import type { Random } from "../crypto/random.ts";
import { newId } from "../ids.ts";
import type { EventRow, EventTable } from "../store/events.ts";
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

export type ChainReport = { ok: true; count: number } | { ok: false; count: number; brokenAt: number };

/** Recomputes every hash. `brokenAt` is the sequence number of the first entry that does not fit. */
export function verifyChain(table: EventTable): ChainReport {
  let previous: { seq: number; hash: Uint8Array } = { seq: 0, hash: GENESIS };
  let count = 0;
  for (;;) {
    const rows = table.after(previous.seq, VERIFY_PAGE);
    for (const row of rows) {
      const fits = row.seq === previous.seq + 1 && sameBytes(row.hash, hashOf(previous.hash, row));
      if (!fits) return { ok: false, count, brokenAt: previous.seq + 1 };
      previous = row;
      count += 1;
    }
    if (rows.length < VERIFY_PAGE) return { ok: true, count };
  }
}

function hashOf(previous: Uint8Array, row: Omit<EventRow, "hash">): Uint8Array {
  const text = JSON.stringify([row.seq, row.id, row.type, row.at, row.actor, row.keyId, row.data]);
  return sha256(Buffer.concat([previous, Buffer.from(text, "utf8")]));
}
