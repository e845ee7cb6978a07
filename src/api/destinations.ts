/** /v1/destinations: the places that hold values. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { DESTINATION_TYPES } from "../destinations/registry.ts";
import { onKeyring } from "./auth.ts";
import {
  answer,
  callSchema,
  configSchema,
  idempotencyHeader,
  jsonBody,
  nameSchema,
  optionalTimeOutSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  timeOutSchema,
} from "./schemas.ts";

const destinationConfigSchema = configSchema.openapi({
  description: "As the type has it; docs/destinations has a page on each.",
});

const destinationSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    type: z.string(),
    config: destinationConfigSchema,
    state: z.enum(["unproven", "ready", "failing", "disabled"]),
    provenAt: optionalTimeOutSchema,
    lastCall: callSchema.nullable(),
    opensAt: optionalTimeOutSchema.openapi({
      description: "One that an access key made or pointed elsewhere receives no value for one cooldown.",
    }),
    usedBy: z.array(z.string()),
    createdAt: timeOutSchema,
    createdBy: z.string(),
  })
  .openapi("Destination");

const createdSchema = destinationSchema
  .extend({
    signingSecret: z
      .string()
      .optional()
      .openapi({ description: "Standard Webhooks secret, shown this once." }),
    claimToken: z
      .string()
      .optional()
      .openapi({ description: "By which the receiver claims values, shown this once." }),
  })
  .openapi("CreatedDestination");

const testSchema = z
  .object({
    ok: z.boolean(),
    problem: z.string().nullable(),
    call: callSchema.nullable(),
    destination: destinationSchema,
  })
  .openapi("DestinationTest");

const idParam = z.object({ id: z.string().max(100).openapi({ description: "Id or name." }) });

const create = createRoute({
  method: "post",
  path: "/v1/destinations",
  summary: "Create a destination",
  tags: ["destinations"],
  security,
  request: {
    headers: idempotencyHeader,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          type: z.enum(DESTINATION_TYPES),
          config: destinationConfigSchema.default({}),
        })
        .openapi("CreateDestination"),
    ),
  },
  responses: { 201: answer("Created", createdSchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/destinations",
  summary: "List destinations",
  tags: ["destinations"],
  security,
  request: { query: pageQuerySchema },
  responses: { 200: answer("A page", pageSchema(destinationSchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/destinations/{id}",
  summary: "Read a destination",
  tags: ["destinations"],
  security,
  request: { params: idParam },
  responses: { 200: answer("The destination", destinationSchema), ...problems },
});

const patch = createRoute({
  method: "patch",
  path: "/v1/destinations/{id}",
  summary: "Change a destination; a new config proves itself again before it is sent anything",
  tags: ["destinations"],
  security,
  request: {
    params: idParam,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema.optional(),
          config: destinationConfigSchema.optional(),
          rotateSecret: z
            .boolean()
            .optional()
            .openapi({ description: "Answers a new signingSecret; the old one signs for 24 h, too." }),
          rotateClaimToken: z
            .boolean()
            .optional()
            .openapi({ description: "Answers a new claimToken; the old one claims nothing any more." }),
        })
        .refine((change) => Object.keys(change).length > 0, { message: "names nothing to change" })
        .openapi("PatchDestination"),
    ),
  },
  responses: { 200: answer("The destination", createdSchema), ...problems },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/destinations/{id}",
  summary: "Delete a destination that no key uses",
  tags: ["destinations"],
  security,
  request: { params: idParam },
  responses: { 204: { description: "Deleted" }, ...problems },
});

const test = createRoute({
  method: "post",
  path: "/v1/destinations/{id}/test",
  summary: "Send a probe now: a signed ping, or a read",
  tags: ["destinations"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("How it ended", testSchema), ...problems },
});

export function addDestinations(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    const input = c.req.valid("json");
    const { destination, ...secrets } = await onKeyring(c, (keyring, call) =>
      keyring.createDestination(call, input),
    );
    return c.json({ ...destination, ...secrets }, 201);
  });

  app.openapi(list, async (c) => {
    const page = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listDestinations(call, page)), 200);
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getDestination(call, id)), 200);
  });

  app.openapi(patch, async (c) => {
    const { id } = c.req.valid("param");
    const input = c.req.valid("json");
    const { destination, ...secrets } = await onKeyring(c, (keyring, call) =>
      keyring.patchDestination(call, id, input),
    );
    return c.json({ ...destination, ...secrets }, 200);
  });

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    await onKeyring(c, (keyring, call) => keyring.deleteDestination(call, id));
    return c.body(null, 204);
  });

  app.openapi(test, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.testDestination(call, id)), 200);
  });
}
