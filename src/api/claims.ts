/** /v1/claims: a value for who was promised it, once. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { onKeyring } from "./auth.ts";
import { answer, jsonBody, problems, security } from "./schemas.ts";

const claim = createRoute({
  method: "post",
  path: "/v1/claims",
  operationId: "openClaim",
  summary: "Fetch the value that a claim stands for",
  description:
    "Within ten minutes, once; again within 60 seconds, for an answer that was lost. The bearer is the `claimToken` of the destination that got the claim, or the access key that asked to reveal.",
  tags: ["claims"],
  security,
  request: { body: jsonBody(z.strictObject({ claim: z.string().min(1).max(512) }).openapi("Claim")) },
  responses: {
    200: answer(
      "The value",
      z
        .object({
          fields: z.record(z.string(), z.string()),
          keyId: z.string(),
          keyName: z.string(),
          version: z.int(),
          revision: z.int().openapi({ description: "Order by this: a higher one wins." }),
        })
        .openapi("ClaimedValue"),
    ),
    ...problems,
  },
});

export function addClaims(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(claim, async (c) => {
    const { claim } = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.claimValue(call, claim)), 200);
  });
}
