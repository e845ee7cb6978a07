/** /v1/deliveries: acknowledge and send again. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { onKeyring } from "./auth.ts";
import { deliverySchema } from "./rotations.ts";
import { answer, idempotencyHeader, jsonBody, problems, security, timeSchema } from "./schemas.ts";

const idParam = z.object({ id: z.string().max(100) });

const acknowledge = createRoute({
  method: "post",
  path: "/v1/deliveries/{id}/acknowledge",
  summary: "Say that the consumer has switched to what was delivered",
  description:
    "The bearer is the `acknowledgeToken` of the delivery's message, or an access key with keys:rotate. Twice answers the same as once.",
  tags: ["deliveries"],
  security,
  request: { params: idParam },
  responses: { 200: answer("The delivery", deliverySchema), ...problems },
});

const replay = createRoute({
  method: "post",
  path: "/v1/deliveries/{id}/replay",
  summary: "Send a delivery again",
  description:
    "Under the same id, so that a receiver that has it already ignores it, and with all its attempts. Only what the destination should still hold.",
  tags: ["deliveries"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("The delivery", deliverySchema), ...problems },
});

const replayMany = createRoute({
  method: "post",
  path: "/v1/deliveries/replay",
  summary: "Send again all that was tried since a time",
  description:
    "What arrived and what failed, as far as its destination should still hold it. At most 500 deliveries are looked at a call; repeat it with `cursor` while the answer has a `nextCursor`.",
  tags: ["deliveries"],
  security,
  request: {
    headers: idempotencyHeader,
    body: jsonBody(
      z
        .strictObject({
          since: timeSchema,
          destination: z.string().max(100).optional().openapi({ description: "Only there, by id or name." }),
          cursor: z.string().max(200).optional(),
        })
        .openapi("Replay"),
    ),
  },
  responses: {
    200: answer(
      "How many are sent again",
      z.object({ count: z.int(), nextCursor: z.string().nullable() }).openapi("Replayed"),
    ),
    ...problems,
  },
});

export function addDeliveries(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(acknowledge, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.acknowledgeDelivery(call, id)), 200);
  });

  app.openapi(replayMany, async (c) => {
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.replayDeliveries(call, input)), 200);
  });

  app.openapi(replay, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.replayDelivery(call, id)), 200);
  });
}
