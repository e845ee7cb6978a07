/** What an event does to those who are told of events, in the transaction that appends it. */
import { isWanted } from "../events/filter.ts";
import type { EventRow } from "../store/events.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Store } from "../store/store.ts";

/**
 * Makes the subscriptions due that an event is for. One that is idle was told all before, so its cursor moves up to the event; one that
 * is not idle comes to it by itself.
 */
export function wakeSubscribers(store: Store, event: EventRow, key: KeyRow | undefined, now: number): void {
  const { subscriptions } = store;
  const idle = subscriptions.idle();
  if (idle.length === 0 || store.isOnHold()) return;
  for (const row of idle) {
    if (!isWanted(row, event, key?.labels)) continue;
    subscriptions.update(row, { sentSeq: event.seq - 1, dueAt: now });
  }
}
