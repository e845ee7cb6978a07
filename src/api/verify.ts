/** POST /v1/verify: is this key valid, and for what? */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { onKeyring } from "./auth.ts";
import { answer, jsonBody, optionalTimeOutSchema, problems, security } from "./schemas.ts";

const verify = createRoute({
  method: "post",
  path: "/v1/verify",
  summary: "Verify a key that Rekey issued or adopted",
  tags: ["verify"],
  security,
  request: {
    body: jsonBody(
      z
        .strictObject({
          key: z.string().min(1).max(16_384),
          scopes: z.array(z.string().min(1).max(100)).max(100).optional(),
          mode: z
            .enum(["immediate"])
            .optional()
            .openapi({ description: "Asks the keyring: a revocation takes effect at once." }),
        })
        .openapi("Verify"),
    ),
  },
  responses: {
    200: answer(
      "The verdict, in `code`",
      z
        .object({
          code: z.enum([
            "valid",
            "unknown",
            "malformed",
            "expired",
            "revoked",
            "grace-ended",
            "insufficient-scope",
          ]),
          keyId: z.string().nullable(),
          version: z.int().nullable(),
          scopes: z.array(z.string()).nullable(),
          subject: z.string().nullable(),
          graceEndsAt: optionalTimeOutSchema.openapi({
            description: "Set for an old version: switch before then.",
          }),
          cooldownUntil: optionalTimeOutSchema,
        })
        .openapi("Verdict"),
    ),
    ...problems,
  },
});

export function addVerify(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(verify, async (c) => {
    const { key, scopes } = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.verify(call, { key, scopes })), 200);
  });
}
