/** /v1/connections: the accounts at the services that issue keys. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { PROVIDER_NAMES } from "../providers/registry.ts";
import { onKeyring } from "./auth.ts";
import {
  answer,
  callSchema,
  configOutSchema,
  configSchema,
  idempotencyHeader,
  jsonBody,
  nameSchema,
  pageQuerySchema,
  pageSchema,
  problems,
  security,
  timeOutSchema,
} from "./schemas.ts";

const credentialSchema = z
  .record(z.string().regex(/^[A-Za-z][A-Za-z0-9]{0,39}$/), z.string().min(1).max(16_384))
  .refine((fields) => Object.keys(fields).length <= 16, { message: "at most 16 fields" })
  .openapi({
    example: { secret: "the-admin-credential" },
    description:
      "What opens the account, as the provider's page in docs/providers names it; or `{ key }` with the id or name of a key here, whose current value it is from then on.",
  });

const connectionSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    provider: z.string(),
    config: configOutSchema,
    credentialKey: z
      .string()
      .nullable()
      .openapi({ description: "Id of the key whose current value opens it." }),
    account: z.string().nullable().openapi({ description: "Whose it is, when its service says so." }),
    revision: z.int().openapi({ description: "Rises with each change." }),
    usedBy: z
      .array(z.string())
      .openapi({ description: "Ids of the keys on it, and of the destinations that go through it." }),
    createdAt: timeOutSchema,
    createdBy: z.string(),
  })
  .openapi("Connection");

const testSchema = z
  .object({
    ok: z.boolean(),
    problem: z.string().nullable(),
    call: callSchema.nullable(),
    connection: connectionSchema,
  })
  .openapi("ConnectionTest");

const idParam = z.object({ id: z.string().max(100).openapi({ description: "Id or name." }) });

const create = createRoute({
  method: "post",
  path: "/v1/connections",
  summary: "Create a connection, once its service has let it in",
  tags: ["connections"],
  security,
  request: {
    headers: idempotencyHeader,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema,
          provider: z.enum(PROVIDER_NAMES),
          config: configSchema.default({}),
          credential: credentialSchema.optional(),
        })
        .openapi("CreateConnection"),
    ),
  },
  responses: { 201: answer("Created", connectionSchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/connections",
  summary: "List connections",
  tags: ["connections"],
  security,
  request: { query: pageQuerySchema },
  responses: { 200: answer("A page", pageSchema(connectionSchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/connections/{id}",
  summary: "Read a connection; its credential is never shown",
  tags: ["connections"],
  security,
  request: { params: idParam },
  responses: { 200: answer("The connection", connectionSchema), ...problems },
});

const patch = createRoute({
  method: "patch",
  path: "/v1/connections/{id}",
  summary: "Change a connection, once its service has let the new one in",
  tags: ["connections"],
  security,
  request: {
    params: idParam,
    body: jsonBody(
      z
        .strictObject({
          name: nameSchema.optional(),
          config: configSchema.optional(),
          credential: credentialSchema.optional(),
        })
        .refine((change) => Object.keys(change).length > 0, { message: "names nothing to change" })
        .openapi("PatchConnection"),
    ),
  },
  responses: { 200: answer("The connection", connectionSchema), ...problems },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/connections/{id}",
  summary: "Delete a connection that no key and no destination uses",
  tags: ["connections"],
  security,
  request: { params: idParam },
  responses: { 204: { description: "Deleted" }, ...problems },
});

const test = createRoute({
  method: "post",
  path: "/v1/connections/{id}/test",
  summary: "Ask its service now whether it lets the connection in",
  tags: ["connections"],
  security,
  request: { params: idParam, headers: idempotencyHeader },
  responses: { 200: answer("What it says", testSchema), ...problems },
});

export function addConnections(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.createConnection(call, input)), 201);
  });

  app.openapi(list, async (c) => {
    const page = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listConnections(call, page)), 200);
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getConnection(call, id)), 200);
  });

  app.openapi(patch, async (c) => {
    const { id } = c.req.valid("param");
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.patchConnection(call, id, input)), 200);
  });

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    await onKeyring(c, (keyring, call) => keyring.deleteConnection(call, id));
    return c.body(null, 204);
  });

  app.openapi(test, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.testConnection(call, id)), 200);
  });
}
