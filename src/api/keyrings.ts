/** /v1/keyrings: make and list. Root only. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { decodeCursor, pageOf } from "../keyring/page.ts";
import { registryOf } from "../registry/stub.ts";
import { makeKeyring, readIdempotency, requireRoot } from "./auth.ts";
import { Problem, unwrap } from "./problem.ts";
import {
  answer,
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

const madeSchema = z.object({ name: z.string(), code: z.string() }).openapi("Keyring");
const entrySchema = madeSchema
  .extend({ createdAt: timeOutSchema, nextRotationAt: optionalTimeOutSchema })
  .openapi("KeyringEntry");

const create = createRoute({
  method: "post",
  path: "/v1/keyrings",
  summary: "Make a keyring",
  tags: ["keyrings"],
  security,
  request: { headers: idempotencyHeader, body: jsonBody(z.strictObject({ name: nameSchema })) },
  responses: { 201: answer("Made", madeSchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/keyrings",
  summary: "List keyrings",
  tags: ["keyrings"],
  security,
  request: { query: pageQuerySchema },
  responses: { 200: answer("A page", pageSchema(entrySchema)), ...problems },
});

export function addKeyrings(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    requireRoot(c);
    const { name } = c.req.valid("json");
    const { idempotency } = await readIdempotency(c);
    const { code } = unwrap(await registryOf(c.env).add(name, idempotency));
    await makeKeyring(c.env, { name, code });
    return c.json({ name, code }, 201);
  });

  app.openapi(list, async (c) => {
    requireRoot(c);
    const { limit, cursor } = c.req.valid("query");
    const after = decodeCursor(cursor, "name");
    if (after === undefined) {
      throw new Problem({
        code: "invalid",
        errors: [{ path: "cursor", message: "not a cursor of this list" }],
      });
    }
    const rows = await registryOf(c.env).list(after, limit + 1);
    const page = pageOf(
      rows.map((row) => ({ ...row, id: row.name })),
      limit,
      ({ id: _, ...row }) => row,
    );
    return c.json(page, 200);
  });
}
