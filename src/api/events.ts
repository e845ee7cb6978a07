/** /v1/events: the history, and whether its chain holds. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { fieldErrorsOf } from "../errors/fields.ts";
import { EVENT_TYPES } from "../events/catalogue.ts";
import type { EventSlice } from "../keyring/operations/events.ts";
import { onKeyring } from "./auth.ts";
import { Problem } from "./problem.ts";
import {
  answer,
  optionalTimeOutSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  timeOutSchema,
} from "./schemas.ts";

const eventSchema = z
  .object({
    seq: z.int(),
    id: z.string(),
    type: z.string(),
    at: timeOutSchema,
    actor: z.string().openapi({ description: "Id of an access key, `root`, `cron` or `rekey`." }),
    key: z.string().nullable(),
    data: z.record(z.string(), z.unknown()),
    hash: z.string().openapi({ description: "Hex SHA-256 over the previous hash and this entry." }),
  })
  .openapi("Event");

const querySchema = pageQuerySchema.extend({
  key: z.string().max(100).optional().openapi({ description: "Only this key's, by id or name." }),
  type: z.enum(EVENT_TYPES).optional(),
});

const list = createRoute({
  method: "get",
  path: "/v1/events",
  summary: "List events, newest first; with Accept: application/x-ndjson stream the history, oldest first",
  tags: ["events"],
  security,
  request: { query: querySchema },
  responses: { 200: answer("A page, or one event a line", pageSchema(eventSchema)), ...problems },
});

const verify = createRoute({
  method: "get",
  path: "/v1/events/verify",
  operationId: "verifyHistory",
  summary: "Check the hash chain of all of the history that is kept",
  tags: ["events"],
  security,
  responses: {
    200: answer(
      "What was found",
      z
        .object({
          ok: z.boolean(),
          count: z.int().openapi({ description: "Events that were checked and fit." }),
          pruned: z.int().openapi({ description: "Events before them that outlived their retention." }),
          since: optionalTimeOutSchema.openapi({
            description: "When the first event that is kept happened.",
          }),
          brokenAt: z
            .int()
            .optional()
            .openapi({ description: "Number of the first event that does not fit." }),
        })
        .openapi("ChainReport"),
    ),
    ...problems,
  },
});

const NDJSON = "application/x-ndjson";

export function addEvents(app: OpenAPIHono<{ Bindings: Env }>): void {
  // Middleware, as one path and method has one contract: the list, which this answers in another form.
  app.use("/v1/events", async (c, next) => {
    if (c.req.method !== "GET" || !c.req.header("accept")?.includes(NDJSON)) return next();
    const query = querySchema.omit({ limit: true, cursor: true }).safeParse(c.req.query());
    if (!query.success) throw new Problem({ code: "invalid", errors: fieldErrorsOf(query.error.issues) });
    const { key, type } = query.data;
    const read = (from: EventSlice["next"]) =>
      onKeyring(c, (keyring, call) => keyring.readEvents(call, { key, type }, from));
    let slice = await read(null);
    const encoder = new TextEncoder();
    const lines = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const text = slice.items.map((event) => `${JSON.stringify(event)}\n`).join("");
        controller.enqueue(encoder.encode(text));
        if (slice.next) slice = await read(slice.next);
        else controller.close();
      },
    });
    return c.body(lines, 200, { "content-type": NDJSON });
  });

  app.openapi(list, async (c) => {
    const { key, type, ...page } = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listEvents(call, { key, type }, page)), 200);
  });

  app.openapi(verify, async (c) => {
    return c.json(await onKeyring(c, (keyring, call) => keyring.verifyEvents(call)), 200);
  });
}
