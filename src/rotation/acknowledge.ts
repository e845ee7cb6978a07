/** A consumer says that it has switched to what a delivery brought. Inside the caller's transaction. */
import type { Failure } from "../errors/catalogue.ts";
import { err, ok, type Result } from "../result.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import { type EngineContext, record } from "./context.ts";
import { checkDeliveries } from "./outcomes.ts";

/**
 * Keeps the acknowledgement; a rotation that waited for it goes on in the same commit. Twice is the same as once.
 * @param actor id of the access key or destination, or `root`
 */
export function acknowledgeDelivery(
  context: EngineContext,
  delivery: DeliveryRow,
  actor: string,
): Result<DeliveryRow, Failure> {
  if (delivery.state === "acknowledged") return ok(delivery);
  if (delivery.state === "superseded") return err({ code: "delivery-superseded" });
  if (delivery.attemptedAt === null) return err({ code: "not-delivered" });
  const now = context.now();
  // A worker may still wait for the answer to the call that brought it: its lease stays until it has.
  const row = context.store.deliveries.update(delivery, {
    state: "acknowledged",
    acknowledgedAt: now,
    deliveredAt: delivery.deliveredAt ?? now,
    dueAt: null,
  });
  record(context, {
    type: "delivery.acknowledged",
    actor,
    keyId: row.keyId,
    data: {
      deliveryId: row.id,
      destinationId: row.destinationId,
      version: row.number,
      revision: row.revision,
    },
  });
  checkDeliveries(context, row.keyId);
  return ok(row);
}
