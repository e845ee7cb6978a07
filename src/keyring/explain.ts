/** What a rotation waits for, and what would let it go on, in words for whoever looks at a red light. Reads only. */
import { destinationOf } from "../destinations/registry.ts";
import { isConfirmed } from "../rotation/sends.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { DestinationRow } from "../store/destinations.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { Store } from "../store/store.ts";

export interface Explanation {
  /** Null when it waits for nothing: it is over, or at work this moment. */
  waitsFor: string | null;
  /** What somebody can do about it; null when nothing is called for. */
  remedy: string | null;
}

const NOTHING: Explanation = { waitsFor: null, remedy: null };

/** Explains a rotation by its rows and those of its destinations. */
export function explainRotation(store: Store, row: RotationRow): Explanation {
  if (!row.live) return row.state === "failed" ? afterFailure(store, row) : NOTHING;
  switch (row.state) {
    case "blocked":
      return { waitsFor: row.problem, remedy: unblock(store, row) };
    case "needs-slot":
      return {
        waitsFor: row.problem,
        remedy: `Every credential that the service allows is taken. Revoke one there that Rekey did not make, then ${retryOf(row)}.`,
      };
    case "needs-human":
      return { waitsFor: row.problem, remedy: decide(row) };
    case "needs-attention":
      return { waitsFor: waiting(store, row) ?? row.problem, remedy: mend(store, row) };
    default:
      return { waitsFor: waiting(store, row), remedy: row.attempt > 0 ? mend(store, row) : null };
  }
}

function retryOf({ id }: RotationRow): string {
  return `POST /v1/rotations/${id}/retry`;
}

function afterFailure(store: Store, row: RotationRow): Explanation {
  const key = store.keys.get(row.keyId);
  const current = store.versions.current(row.keyId)?.number;
  // Whether it still works the service alone knows, where that ends the old one by itself.
  const kept = current === undefined ? "" : `Version ${current} is still current. `;
  const next = key?.dueAt ?? null;
  const when = next === null ? "" : ` The schedule tries again at ${new Date(next).toISOString()}.`;
  return { waitsFor: null, remedy: `${kept}Mend what it names, then rotate the key again.${when}` };
}

/** What a preflight that is not green would need. */
function unblock(store: Store, row: RotationRow): string {
  const unwell = store.destinations
    .linksOfKey(row.keyId)
    .filter(({ required }) => required)
    .map(({ destinationId }) => store.destinations.get(destinationId))
    .filter((one) => one !== undefined && (one.state !== "ready" || one.probeAttempt > 0));
  if (unwell.length > 0) return mendAll(unwell, row);
  return `Nothing was changed at the service. Mend what it names; it is tried again by itself until ${new Date(row.deadlineAt).toISOString()}, or at once by ${retryOf(row)}.`;
}

function mendAll(destinations: readonly (DestinationRow | undefined)[], row: RotationRow): string {
  const names = destinations.map((one) => one?.name).join(", ");
  const first = destinations[0]?.id;
  return `Mend ${names} (POST /v1/destinations/${first}/test asks it now), or make it not required in the key's destinations, then ${retryOf(row)}.`;
}

/** A mint in doubt that no question to the service can settle. */
function decide(row: RotationRow): string {
  const at = row.settleAt === null ? "" : ` before ${new Date(row.settleAt).toISOString()}`;
  return (
    `Look at the service for a credential made${at} that nobody knows. Revoke it there if there is one, then ${retryOf(row)} makes a new one. ` +
    `POST /v1/rotations/${row.id}/abandon gives up, and a lost version stays on record.`
  );
}

/** Whom a delivery or a put-back still waits for. */
function waiting(store: Store, row: RotationRow): string | null {
  switch (row.step) {
    case "preflight":
    case "mint":
    case "test":
      return row.attempt > 0 ? `the service, for the ${ordinal(row.attempt + 1)} time` : null;
    case "settle":
      return "certainty about a call to the service whose answer was lost";
    case "sweep":
      return "a last look at what it may have left at the service";
    case "deliver":
    case "put-back": {
      const value = row.step === "deliver" ? "the new value" : "the old value again";
      const missing = Map.groupBy(open(store, row), (delivery) => missingOf(store, delivery));
      const parts = [...missing].map(([what, deliveries]) => {
        const names = deliveries.map(({ destinationId }) => store.destinations.get(destinationId)?.name);
        return `${names.join(", ")} to ${what} ${value}`;
      });
      return parts.length === 0 ? null : parts.join("; ");
    }
    case "done":
      return null;
  }
}

/** What the place of a delivery has yet to do. */
function missingOf(store: Store, { state, destinationId, lastCall }: DeliveryRow): string {
  if (state === "delivered") return "acknowledge";
  const place = store.destinations.get(destinationId);
  const claims = place && destinationOf(place.type).claims?.(place.config);
  return claims && lastCall?.code === "ok" ? "claim" : "confirm";
}

function mend(store: Store, row: RotationRow): string | null {
  const missing = open(store, row);
  const [first] = missing;
  if (first && missing.every(({ state }) => state === "delivered")) {
    return `Its consumer says that it has switched by POST /v1/deliveries/${first.id}/acknowledge; so may an access key with keys:rotate for it.`;
  }
  const destinations = missing
    .filter(({ state }) => state !== "delivered")
    .map(({ destinationId }) => store.destinations.get(destinationId));
  if (destinations.length > 0) return mendAll(destinations, row);
  return row.problem === null ? null : `It is tried again by itself, or at once by ${retryOf(row)}.`;
}

/** Deliveries of the key's present revision that must be confirmed and are not. */
function open({ keys, deliveries }: Store, row: RotationRow): DeliveryRow[] {
  const key = keys.get(row.keyId);
  if (!key || (row.step !== "deliver" && row.step !== "put-back")) return [];
  return deliveries
    .ofRevision(key.id, key.revision)
    .filter(({ required }) => required || row.step === "put-back")
    .filter((delivery) => delivery.state !== "superseded" && !isConfirmed(delivery));
}

function ordinal(n: number): string {
  return ["", "first", "second", "third"][n] ?? `${n}th`;
}
