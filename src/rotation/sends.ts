/** Who should hold which value: makes deliveries, supersedes older ones, and says when all required ones are held. Commits only. */

import { destinationOf } from "../destinations/registry.ts";
import { newId } from "../ids.ts";
import { type DeliveryRow, NEW_DELIVERY } from "../store/deliveries.ts";
import type { KeyDestinationRow } from "../store/destinations.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import type { EngineContext } from "./context.ts";

/**
 * Raises the key's revision and sends a version to the given destinations; what was still on its way is superseded.
 * @returns the key as it is now
 */
export function sendVersion(
  context: EngineContext,
  key: KeyRow,
  version: VersionRow,
  links: readonly KeyDestinationRow[],
  rotation: Pick<RotationRow, "id" | "urgent"> | null,
): KeyRow {
  const { store } = context;
  for (const delivery of store.deliveries.unsettled(key.id)) supersede(context, delivery);
  const raised = store.keys.update(key, { revision: key.revision + 1 });
  for (const link of links) addDelivery(context, raised, version, link, rotation);
  return raised;
}

/** One delivery at the key's present revision, due now. It takes the place of one that is still to be made there. */
export function addDelivery(
  context: EngineContext,
  key: KeyRow,
  version: VersionRow,
  link: KeyDestinationRow,
  rotation: Pick<RotationRow, "id" | "urgent"> | null,
): void {
  const { store, now, random } = context;
  const { id: rotationId = null, urgent = false } = rotation ?? {};
  for (const other of store.deliveries.unsettled(key.id)) {
    if (other.destinationId === link.destinationId) supersede(context, other);
  }
  store.deliveries.insert({
    ...NEW_DELIVERY,
    id: newId("dlv", now(), random),
    keyId: key.id,
    versionId: version.id,
    number: version.number,
    rotationId,
    destinationId: link.destinationId,
    revision: key.revision,
    required: link.required,
    mustAcknowledge: link.mustAcknowledge,
    name: link.name,
    urgent,
    createdAt: now(),
    dueAt: now(),
  });
}

/**
 * Sends the current version again to places whose delivery of it was superseded for the sake of another version that never came.
 */
export function resumeCurrent(context: EngineContext, keyId: string): void {
  const { store } = context;
  const key = store.keys.get(keyId);
  const current = store.versions.current(keyId);
  if (!key || !current) return;
  const sent = store.deliveries.ofVersion(keyId, current.number);
  const missed = store.destinations.linksOfKey(keyId).filter(({ destinationId }) => {
    const here = sent.filter((delivery) => delivery.destinationId === destinationId);
    return here.length > 0 && here.every(({ state }) => state === "superseded");
  });
  if (missed.length === 0) return;
  const raised = store.keys.update(key, { revision: key.revision + 1 });
  for (const link of missed) addDelivery(context, raised, current, link, null);
}

/** Takes a delivery out of the race. Its lease stays: a call under way may still land, and the next one waits for it. */
export function supersede({ store }: EngineContext, delivery: DeliveryRow): void {
  store.deliveries.update(delivery, { state: "superseded", dueAt: null, claim: delivery.claim + 1 });
}

/**
 * True when nothing that must be confirmed at the key's present revision is still open: on the way forward what is required,
 * on the way back whatever may hold another value.
 */
export function allHeld(context: EngineContext, key: KeyRow, rotation: RotationRow): boolean {
  const { store } = context;
  const astray = rotation.step === "put-back" ? placesAstray(context, rotation) : undefined;
  return store.deliveries
    .ofRevision(key.id, key.revision)
    .filter((delivery) => (astray ? astray.has(delivery.destinationId) : delivery.required))
    .every((delivery) => isConfirmed(delivery) || delivery.state === "superseded");
}

/** Whether a place is known to hold what it was sent: it answered and, where that is asked for, said that it has switched. */
export function isConfirmed({ state, mustAcknowledge }: DeliveryRow): boolean {
  return state === "acknowledged" || (state === "delivered" && !mustAcknowledge);
}

/** Ids of the destinations that may hold a value which a rotation made, and not the one that it began with. */
export function placesAstray({ store }: EngineContext, { id, keyId, fromVersion }: RotationRow): Set<string> {
  const astray = new Set<string>();
  for (const row of store.deliveries.ofRotation(keyId, id)) {
    if (row.number !== fromVersion && row.attemptedAt !== null) astray.add(row.destinationId);
    if (row.number === fromVersion && isConfirmed(row)) astray.delete(row.destinationId);
  }
  return astray;
}

/** The longest time that any destination of a key takes to show a new value to all its readers. */
export function slowestPropagationMs({ store }: EngineContext, keyId: string): number {
  const times = store.destinations
    .linksOfKey(keyId)
    .map((link) => store.destinations.get(link.destinationId))
    .map((row) => (row ? destinationOf(row.type).propagationMs(row.config) : 0));
  return Math.max(0, ...times);
}
