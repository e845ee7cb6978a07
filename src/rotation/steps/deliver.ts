/** Step 4, for one destination: it is sent nothing but a probe until it has answered one, then it gets the value. */

import type { SendResult } from "../../destinations/destination.ts";
import { destinationOf } from "../../destinations/registry.ts";
import type { DeliveryRow } from "../../store/deliveries.ts";
import type { DestinationRow } from "../../store/destinations.ts";
import type { VersionRow } from "../../store/versions.ts";
import type { EngineContext } from "../context.ts";
import { acknowledgeTokenOf } from "../message-tokens.ts";
import { destinationContext } from "../probe.ts";
import { claimUrlAt, openClaim } from "../value-claims.ts";
import { openFields } from "../values.ts";
import { isSurelyOver } from "../witness.ts";

export type DeliverResult =
  /** The value was sent; `result` says how that ended. `to` is the destination as it was then. */
  | { kind: "sent"; to: DestinationRow; result: SendResult }
  /** Nothing sent yet: it was asked first whether it answers. */
  | { kind: "probed"; to: DestinationRow; result: SendResult }
  /** Nothing sent: it told us to stop, so nobody asks it until a person tests or changes it. */
  | { kind: "disabled" }
  /** Nothing sent: another value may still arrive there, by any clock but this one. */
  | { kind: "held-back" }
  /** Nothing sent: it is new, and receives values from then on (milliseconds since the epoch). */
  | { kind: "not-open"; until: number }
  /** Nothing to send, or nobody to send it to. */
  | { kind: "moot" };

/** Whether a destination has answered, so that it may be sent a value. */
export function mayReceive({ state }: DestinationRow): boolean {
  return state === "ready" || state === "failing";
}

/** Whether a value that was sent got no answer, so that it may arrive after all, at a time nobody knows. */
export function mayStillLand(sent: DeliverResult): boolean {
  if (sent.kind !== "sent" || sent.result.kind !== "failed") return false;
  return sent.result.report.status === undefined && sent.result.isUnsent !== true;
}

export async function deliver(context: EngineContext, delivery: DeliveryRow): Promise<DeliverResult> {
  const { store } = context;
  const row = store.destinations.get(delivery.destinationId);
  const version = store.versions.get(delivery.versionId);
  const fields = version && openFields(context, version);
  if (!row || !version || !fields) return { kind: "moot" };
  if (row.state === "disabled") return { kind: "disabled" };
  const type = destinationOf(row.type);
  if (!mayReceive(row)) {
    return {
      kind: "probed",
      to: row,
      result: await type.probe(destinationContext(context, row, delivery.urgent)),
    };
  }
  if (row.opensAt !== null && row.opensAt > context.now()) return { kind: "not-open", until: row.opensAt };
  const landsBy = store.deliveries.landingAt([delivery]).get(delivery.id) ?? 0;
  if (landsBy > 0 && !(await isSurelyOver(context, landsBy))) return { kind: "held-back" };
  const claim = type.claims?.(row.config) ? openFor(context, delivery, version) : undefined;
  const result = await type.put(destinationContext(context, row, delivery.urgent), {
    deliveryId: delivery.id,
    keyId: delivery.keyId,
    name: delivery.name,
    version: delivery.number,
    revision: delivery.revision,
    attempt: delivery.attempt,
    fields,
    ...(claim && { claim }),
    acknowledgeToken: acknowledgeTokenOf(context, delivery.id),
    createdAt: delivery.createdAt,
  });
  return { kind: "sent", to: row, result };
}

/** A fresh claim for each try: one that may have got lost with its message is void. */
function openFor(context: EngineContext, { id, destinationId }: DeliveryRow, version: VersionRow) {
  const { store } = context;
  const { claim } = store.transaction(() => openClaim(context, version, id, destinationId));
  const origin = context.publicUrl ?? store.settings.baseUrl();
  return { claim, url: origin === undefined ? undefined : claimUrlAt(origin) };
}
