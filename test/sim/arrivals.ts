/** Promise 6, at the end of a run: whatever was sent arrived, or it can be seen that it did not. */
import { kvNameOf } from "../../src/destinations/kv.ts";
import type { DeliveryRow } from "../../src/store/deliveries.ts";
import type { VersionRow } from "../../src/store/versions.ts";
import type { Simulator } from "./simulator.ts";
import type { World } from "./world.ts";

/** Whether a value is that of a version, by who made it. */
export type IsValueOf = (version: VersionRow, value: string) => boolean;

/**
 * Says what neither arrived nor is seen to be missing.
 * @param hasDelivery whether a version was given to its key by a delivery, and not by hand before Rekey knew of it
 */
export function sendsArrived(
  simulator: Simulator,
  world: World,
  keyId: string,
  isValueOf: IsValueOf,
  hasDelivery: (version: VersionRow) => boolean,
): string[] {
  const { store } = simulator;
  const sent = store.deliveries.list(keyId, "", 1_000);
  const versions = new Map(store.versions.ofKey(keyId).map((version) => [version.id, version]));
  const lost = sent.flatMap((delivery) => {
    const version = versions.get(delivery.versionId);
    const why = version && whyMissing(simulator, world, delivery, version, sent, isValueOf);
    return why ? [`promise 6: version ${delivery.number} for ${delivery.destinationId}: ${why}`] : [];
  });
  const current = store.versions.current(keyId);
  if (!current || !hasDelivery(current) || store.rotations.live(keyId)) return lost;
  const unsent = store.destinations
    .linksOfKey(keyId)
    .filter(
      (link) =>
        !sent.some(
          ({ versionId, destinationId, state }) =>
            versionId === current.id && destinationId === link.destinationId && state !== "superseded",
        ),
    );
  return [...lost, ...unsent.map(({ target }) => `promise 6: ${target} was never sent the current version`)];
}

function whyMissing(
  simulator: Simulator,
  world: World,
  delivery: DeliveryRow,
  version: VersionRow,
  all: readonly DeliveryRow[],
  isValueOf: IsValueOf,
): string | undefined {
  const destination = simulator.store.destinations.get(delivery.destinationId);
  const isNewer = (other: DeliveryRow) =>
    other.destinationId === delivery.destinationId && other.revision > delivery.revision;
  switch (delivery.state) {
    case "delivered": {
      const name = destination?.type === "kv" ? kvNameOf("default", delivery.name) : delivery.id;
      const values = [...(world.arrived.get(name) ?? [])];
      const carries = destination?.config.secretMode !== "none";
      const isThere = carries ? values.some((value) => isValueOf(version, value)) : values.length > 0;
      return isThere ? undefined : "delivered and never arrived";
    }
    case "pending":
      return delivery.dueAt === null ? "pending and never due" : undefined;
    case "failing": {
      const events = simulator.store.events.page({ type: "delivery.failing" }, Infinity, 1_000).rows;
      const isTold = events.some(({ data }) => data.includes(delivery.destinationId));
      return isTold ? undefined : "failing and nobody was told";
    }
    case "superseded": {
      const isOver = version.stage !== "current" && version.stage !== "pending";
      // One that leaked may be on its way out with a rotation that has not minted yet.
      const isLeaving = version.compromisedAt !== null && simulator.store.rotations.live(delivery.keyId);
      return isOver || isLeaving || all.some(isNewer) ? undefined : "superseded by nothing";
    }
  }
}
