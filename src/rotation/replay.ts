/**
 * Sends again what was sent before: the same delivery, under the same id, so that a receiver that has it already ignores it. Inside the
 * caller's transaction; the caller pumps afterwards.
 */
import type { Failure } from "../errors/catalogue.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { EngineContext } from "./context.ts";

/** Deliveries looked at by one call that replays many. */
const MAX_REPLAYED = 500;

/** Whether a delivery is the newest at its place, of a version that lives on. */
export function isPresent({ store }: EngineContext, delivery: DeliveryRow): boolean {
  const { keyId, destinationId } = delivery;
  const stage = store.versions.get(delivery.versionId)?.stage;
  return (
    delivery.state !== "superseded" &&
    (stage === "pending" || stage === "current") &&
    store.deliveries.latestAt(keyId, destinationId)?.id === delivery.id
  );
}

/** Why a delivery cannot be sent again, or undefined. */
export function findReplayRefusal(context: EngineContext, delivery: DeliveryRow): Failure | undefined {
  const { store } = context;
  const { keyId, destinationId } = delivery;
  const isLinked = store.destinations.linksOfKey(keyId).some((link) => link.destinationId === destinationId);
  if (!isLinked || !isPresent(context, delivery)) return { code: "delivery-outdated" };
  return store.versions.get(delivery.versionId)?.sealed ? undefined : { code: "value-not-kept" };
}

/**
 * Makes a delivery due now with all its attempts before it. One that is being sent this moment stays as it is. When it was delivered first
 * is kept: who has claimed its value once need not claim it again.
 */
export function replayDelivery({ store, now }: EngineContext, delivery: DeliveryRow): DeliveryRow {
  if (delivery.leaseUntil !== null && delivery.dueAt !== null) return delivery;
  return store.deliveries.update(delivery, {
    state: "pending",
    attempt: 0,
    acknowledgedAt: null,
    dueAt: now(),
  });
}

export interface ReplayedMany {
  count: number;
  /** The last that was looked at, when there may be more. */
  last: string | null;
}

/**
 * Sends again what was last tried at a time or later, and is still what its place should hold.
 * @param since milliseconds since the epoch
 * @param after id of a delivery: those before it were looked at already
 */
export function replayMany(
  context: EngineContext,
  since: number,
  destinationId: string | undefined,
  after: string,
  mayReplay: (keyId: string) => boolean,
): ReplayedMany {
  const rows = context.store.deliveries.triedSince(since, destinationId, after, MAX_REPLAYED);
  const due = rows.filter((row) => mayReplay(row.keyId) && findReplayRefusal(context, row) === undefined);
  for (const row of due) replayDelivery(context, row);
  return { count: due.length, last: rows.length === MAX_REPLAYED ? (rows.at(-1)?.id ?? null) : null };
}
