/** /v1/keyrings: make and list. Root only. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { badCursor } from "../keyring/operations/keys.ts";
import { decodeCursor, pageOf } from "../keyring/page.ts";
import { keyringOf } from "../keyring/stub.ts";
import { registryOf } from "../registry/stub.ts";
import { makeKeyring, readIdempotency, requireRoot } from "./auth.ts";
import { findByName } from "./directory.ts";
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
  .extend({
    createdAt: timeOutSchema,
    nextRotationAt: optionalTimeOutSchema,
    masterKeyId: z.string().nullable().openapi({
      description: "Id of the master key that wraps its data key; null until the keyring has told.",
    }),
  })
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

const reconcile = createRoute({
  method: "post",
  path: "/v1/keyrings/{name}/reconcile",
  summary: "Accept a keyring whose database was set back in time",
  description:
    "What was revoked since then is revoked again first; then the keyring verifies and works again. Does nothing to a keyring whose history is whole.",
  tags: ["keyrings"],
  security,
  request: { params: z.object({ name: z.string().max(64) }) },
  responses: {
    200: answer(
      "What was done",
      z
        .object({
          lostEvents: z.int().openapi({ description: "Entries of the history that are gone." }),
          revoked: z.int().openapi({ description: "Versions that had come back to life." }),
        })
        .openapi("Reconciled"),
    ),
    ...problems,
  },
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
      throw new Problem(badCursor());
    }
    const rows = await registryOf(c.env).list(after, limit + 1);
    const page = pageOf(
      rows.map((row) => ({ ...row, id: row.name })),
      limit,
      ({ id: _, ...row }) => row,
    );
    return c.json(page, 200);
  });

  app.openapi(reconcile, async (c) => {
    requireRoot(c);
    const { code } = unwrap(await findByName(c.env, c.req.valid("param").name));
    return c.json(unwrap(await keyringOf(c.env, code).reconcile(RECONCILE_ROUTE)), 200);
  });
}

const RECONCILE_ROUTE = "POST /v1/keyrings/{name}/reconcile";
