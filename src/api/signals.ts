/** /v1/signals: which sources may report leaks, and what their reports are signed with. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { forgetSecrets } from "../keyring/signal-cache.ts";
import { SIGNAL_SOURCES, SOURCE_TRAITS } from "../store/signals.ts";
import { onKeyring } from "./auth.ts";
import { Problem } from "./problem.ts";
import { answer, jsonBody, optionalTimeOutSchema, problems, security, timeOutSchema } from "./schemas.ts";

const signalSchema = z
  .object({
    source: z.enum(SIGNAL_SOURCES),
    url: z.string().openapi({ description: "Where its reports are sent." }),
    connection: z.string().nullable().openapi({
      description: "Id of the connection over which an alert's value is fetched.",
    }),
    hint: z.string().openapi({ description: "The last four characters of its secret." }),
    oldSecretUntil: optionalTimeOutSchema.openapi({
      description: "Until then reports that are signed with the secret before this one are believed, too.",
    }),
    heardAt: optionalTimeOutSchema.openapi({
      description: "When a report was last believed, at most an hour behind.",
    }),
    createdAt: timeOutSchema,
    createdBy: z.string(),
  })
  .openapi("Signal");

const setSchema = signalSchema
  .extend({
    secret: z.string().optional().openapi({ description: "The secret that was made, shown this once." }),
  })
  .openapi("SetSignal");

const sourceParam = z.object({ source: z.enum(SIGNAL_SOURCES) });

const inputSchema = z
  .strictObject({
    secret: z
      .string()
      .min(16)
      .max(200)
      .regex(/^[\x21-\x7e]+$/, { message: "must be visible ASCII characters" })
      .optional()
      .openapi({ description: "The one that the source has. Without it one is made and shown." }),
    connection: z.string().min(1).max(100).nullable().optional().openapi({
      description:
        "For `github`: id or name of a connection of the provider github. Given alone it leaves the secret as it is.",
    }),
  })
  .openapi("SetSignalInput");

/** By Standard Webhooks: 24 to 64 bytes. */
const STANDARD_SECRET = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/;

const set = createRoute({
  method: "put",
  path: "/v1/signals/{source}",
  operationId: "setSignal",
  summary: "Set up a source of leak reports, or change its secret",
  description:
    "The secret before it is believed for another 24 hours, so that nothing is missed while it changes.",
  tags: ["signals"],
  security,
  request: {
    params: sourceParam,
    body: jsonBody(inputSchema),
  },
  responses: { 200: answer("The source", setSchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/signals",
  summary: "List the sources that are set up",
  tags: ["signals"],
  security,
  responses: { 200: answer("The sources", z.object({ items: z.array(signalSchema) })), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/signals/{source}",
  summary: "Read a source",
  tags: ["signals"],
  security,
  request: { params: sourceParam },
  responses: { 200: answer("The source", signalSchema), ...problems },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/signals/{source}",
  summary: "Turn a source off at once: none of its reports is believed any more",
  tags: ["signals"],
  security,
  request: { params: sourceParam },
  responses: { 204: { description: "Off" }, ...problems },
});

export function addSignalSettings(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(set, async (c) => {
    const { source } = c.req.valid("param");
    const input = c.req.valid("json");
    if (
      SOURCE_TRAITS[source].secret === "whsec" &&
      input.secret !== undefined &&
      !STANDARD_SECRET.test(input.secret)
    ) {
      const message = "must be whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks has it";
      throw new Problem({ code: "invalid", errors: [{ path: "secret", message }] });
    }
    const { signal, secret } = await onKeyring(c, (keyring, call) => keyring.setSignal(call, source, input));
    forgetSecrets(new URL(signal.url).pathname.split("/")[2] ?? "", source);
    return c.json({ ...signal, ...(secret !== undefined && { secret }) }, 200);
  });

  app.openapi(list, async (c) =>
    c.json({ items: await onKeyring(c, (keyring, call) => keyring.listSignals(call)) }, 200),
  );

  app.openapi(read, async (c) => {
    const { source } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getSignal(call, source)), 200);
  });

  app.openapi(remove, async (c) => {
    const { source } = c.req.valid("param");
    await onKeyring(c, (keyring, call) => keyring.deleteSignal(call, source));
    return c.body(null, 204);
  });
}
