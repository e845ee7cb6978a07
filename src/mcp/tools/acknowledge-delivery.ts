/** acknowledge_delivery: a consumer has switched. */
import { z } from "zod";
import { defineTool } from "../tool.ts";
import { deliveryView, reasonParameter } from "../views.ts";

export const acknowledgeDelivery = defineTool({
  name: "acknowledge_delivery",
  title: "Acknowledge a delivery",
  description: `Says that the consumer at one destination uses the new value now.
Use it only when you know that: a rotation may wait for this, and where the policy says so the old value dies soon after. To see what waits, use get_rotation; to give the consumer more time, extend_grace_period.
Cannot be taken back.
Needs scope keys:rotate, and refuses while your access key is in its cooldown.
Comes back with the delivery in state acknowledged.`,
  scope: "keys:rotate",
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input: z.object({
    delivery: z
      .string()
      .min(1)
      .max(100)
      .describe("Id of the delivery (dlv_…), from `deliveries` of get_rotation."),
    reason: reasonParameter.optional(),
  }),
  data: z.object({ delivery: deliveryView }),
  example: { delivery: "dlv_01h455vb4pex5vsknk084sn02q" },
  async run(visitor, { delivery: id, reason }) {
    const delivery = await visitor.ask((keyring, call) => keyring.acknowledgeDelivery(call, id), reason);
    return {
      headline: `Delivery of version ${delivery.version} as "${delivery.as}" is ${delivery.state}.`,
      data: { delivery },
      actions: delivery.rotation
        ? [
            {
              tool: "get_rotation",
              args: { rotation: delivery.rotation },
              reason: "see how the rotation goes on",
            },
          ]
        : [],
    };
  },
});
