/** POST /v1/verify: is this key valid, and for what? */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context, TypedResponse } from "hono";
import { VERIFY_CODES, type VerifyAnswer } from "../keyring/verdict.ts";
import { onKeyring, readCredential } from "./auth.ts";
import { verifyAtEdge } from "./edge.ts";
import { answer, jsonBody, optionalTimeOutSchema, problems, security, timeOutSchema } from "./schemas.ts";

const verdictSchema = z
  .object({
    code: z.enum(VERIFY_CODES),
    keyId: z.string().nullable(),
    version: z.int().nullable(),
    scopes: z.array(z.string()).nullable(),
    missingScopes: z
      .array(z.string())
      .nullable()
      .openapi({ description: "Those that were asked for and are not held, for `insufficient-scope`." }),
    role: z.string().nullable(),
    subject: z.string().nullable(),
    graceEndsAt: optionalTimeOutSchema.openapi({
      description: "Set for an old version: switch before then.",
    }),
    expiresAt: optionalTimeOutSchema,
    cooldownUntil: optionalTimeOutSchema.openapi({
      description: "The key was rotated by hand a moment ago: hold what a thief would want until then.",
    }),
    remaining: z
      .int()
      .nullable()
      .openapi({ description: "How many more valid answers the key's limits leave; null without a limit." }),
    retryAfter: z
      .string()
      .nullable()
      .openapi({ example: "37s", description: "For `rate-limited`; null when waiting does not help." }),
    mode: z.enum(["immediate", "edge"]).openapi({ description: "Who looked." }),
    checkedAt: timeOutSchema,
    recordedAt: optionalTimeOutSchema.openapi({
      description: "When the record was written that the edge looked at.",
    }),
    staleness: z
      .string()
      .nullable()
      .openapi({ description: "How far the answer may lag behind, in words; null when it does not." }),
  })
  .openapi("Verdict");

const verify = createRoute({
  method: "post",
  path: "/v1/verify",
  operationId: "verifyKey",
  summary: "Verify a key that Rekey issued or adopted",
  tags: ["verify"],
  security,
  request: {
    body: jsonBody(
      z
        .strictObject({
          key: z.string().min(1).max(16_384),
          scopes: z
            .array(z.string().min(1).max(100))
            .max(100)
            .optional()
            .openapi({ description: "All of these must be held." }),
          mode: z.enum(["immediate", "edge"]).default("immediate").openapi({
            description:
              "`immediate` asks the keyring: a revocation takes effect at once. `edge` answers from a record in KV where both keys have one (`edge: true`), and asks the keyring otherwise.",
          }),
        })
        .openapi("Verify"),
    ),
  },
  responses: { 200: answer("The verdict, in `code`", verdictSchema), ...problems },
});

/** A JSON answer whose text was made where its parts are. */
function sendText<Body>(c: Context, text: string): Response & TypedResponse<Body, 200, "json"> {
  return c.body(text, 200, { "content-type": "application/json" }) as unknown as Response &
    TypedResponse<Body, 200, "json">;
}

export function addVerify(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(verify, async (c) => {
    const { key, scopes = [], mode } = c.req.valid("json");
    const credential = readCredential(c);
    const atEdge =
      mode === "edge" && credential.kind === "access"
        ? await verifyAtEdge(c.env, { caller: credential.token, key, scopes }, Date.now())
        : undefined;
    const text = atEdge
      ? JSON.stringify(atEdge)
      : await onKeyring(c, (keyring, { route }) =>
          keyring.verify(credential.kind === "access" ? credential.token : null, route, key, scopes),
        );
    return sendText<VerifyAnswer>(c, text);
  });
}
