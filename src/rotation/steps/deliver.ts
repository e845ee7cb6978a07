/** Step 4, for one destination: it has to answer once before it is sent anything, then it gets the value. */

import type { SendResult } from "../../destinations/destination.ts";
import { destinationOf } from "../../destinations/registry.ts";
import type { DeliveryRow } from "../../store/deliveries.ts";
import type { DestinationRow } from "../../store/destinations.ts";
import type { EngineContext } from "../context.ts";
import { destinationContext } from "../probe.ts";
import { openFields } from "../values.ts";

export type DeliverResult =
  /** The value was sent; `result` says how that ended. `to` is the destination as it was then. */
  | { kind: "sent"; to: DestinationRow; result: SendResult }
  /** Not sent: the destination has not answered a probe yet. */
  | { kind: "unproven"; to: DestinationRow; result: SendResult }
  /** Nothing to send, or nobody to send it to. */
  | { kind: "moot" };

export async function deliver(context: EngineContext, delivery: DeliveryRow): Promise<DeliverResult> {
  const { store } = context;
  const row = store.destinations.get(delivery.destinationId);
  const version = store.versions.get(delivery.versionId);
  const fields = version && openFields(context, version);
  if (!row || !version || !fields) return { kind: "moot" };
  const type = destinationOf(row.type);
  if (row.state === "unproven" || row.state === "disabled") {
    const result = await type.probe(destinationContext(context, row));
    if (result.kind !== "held") return { kind: "unproven", to: row, result };
  }
  const result = await type.put(destinationContext(context, row), {
    deliveryId: delivery.id,
    keyId: delivery.keyId,
    name: delivery.name,
    version: delivery.number,
    revision: delivery.revision,
    fields,
    createdAt: delivery.createdAt,
  });
  return { kind: "sent", to: row, result };
}
