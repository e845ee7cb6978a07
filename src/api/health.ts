/** /healthz: whether the Worker has what it needs to serve. Asks for no credential, and reads no keyring. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { readConfig } from "../env.ts";
import { answer } from "./schemas.ts";

const read = createRoute({
  method: "get",
  path: "/healthz",
  operationId: "getLiveness",
  summary: "See whether the Worker is there and configured",
  tags: ["status"],
  security: [],
  responses: {
    200: answer("It is", z.object({ ok: z.boolean() }).openapi("Live")),
    503: answer(
      "Something that it needs is not set",
      z
        .object({
          ok: z.boolean(),
          missing: z.array(z.string()).openapi({ description: "What, and how to set it." }),
        })
        .openapi("NotConfigured"),
    ),
  },
});

export function addHealth(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(read, (c) => {
    const config = readConfig(c.env);
    return config.ok ? c.json({ ok: true }, 200) : c.json({ ok: false, missing: config.error }, 503);
  });
}
