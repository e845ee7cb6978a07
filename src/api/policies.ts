/** /v1/policies: policies with a name, which many keys share. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { onKeyring } from "./auth.ts";
import { policyOutSchema, policySchema } from "./policy-schema.ts";
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

const sharedPolicySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    policy: policyOutSchema,
    keys: z.int().openapi({ description: "How many keys have it." }),
    applied: z
      .boolean()
      .openapi({ description: "All of them have the present one; they follow in seconds." }),
    createdAt: timeOutSchema,
    createdBy: z.string(),
  })
  .openapi("SharedPolicy");

const effectSchema = z
  .object({
    keys: z.int().openapi({ description: "Keys looked at." }),
    complete: z
      .boolean()
      .openapi({ description: "False when there are more than 10,000 and only those count." }),
    dueNow: z.int().openapi({ description: "Keys that would rotate at once, and would not now." }),
    sooner: z.int(),
    later: z.int(),
    planned: z.int().openapi({ description: "Keys that get a next rotation." }),
    unplanned: z.int().openapi({ description: "Keys that lose theirs." }),
    unchanged: z.int(),
    items: z
      .array(
        z.object({
          key: z.string(),
          name: z.string(),
          from: optionalTimeOutSchema,
          to: optionalTimeOutSchema,
        }),
      )
      .openapi({ description: "Next rotations before and after, of the first 100 keys that change." }),
  })
  .openapi("PolicyEffect");

const changedSchema = z.object({ policy: sharedPolicySchema, effect: effectSchema }).openapi("ChangedPolicy");

const idParam = z.object({ id: z.string().max(100).openapi({ description: "Id or name." }) });

const create = createRoute({
  method: "post",
  path: "/v1/policies",
  summary: "Create a policy that keys can share",
  tags: ["policies"],
  security,
  request: {
    headers: idempotencyHeader,
    body: jsonBody(z.strictObject({ name: nameSchema, policy: policySchema }).openapi("CreatePolicy")),
  },
  responses: { 201: answer("Created", sharedPolicySchema), ...problems },
});

const list = createRoute({
  method: "get",
  path: "/v1/policies",
  summary: "List shared policies",
  tags: ["policies"],
  security,
  request: { query: pageQuerySchema },
  responses: { 200: answer("A page", pageSchema(sharedPolicySchema)), ...problems },
});

const read = createRoute({
  method: "get",
  path: "/v1/policies/{id}",
  summary: "Read a shared policy",
  tags: ["policies"],
  security,
  request: { params: idParam },
  responses: { 200: answer("The policy", sharedPolicySchema), ...problems },
});

const patch = createRoute({
  method: "patch",
  path: "/v1/policies/{id}",
  summary: "Change a policy for all its keys, or see first what that would do",
  tags: ["policies"],
  security,
  request: {
    params: idParam,
    query: z.strictObject({
      dryRun: z
        .enum(["true", "false"])
        .default("false")
        .openapi({ description: "Answer the effect and change nothing." }),
    }),
    body: jsonBody(
      z
        .strictObject({ name: nameSchema.optional(), policy: policySchema.optional() })
        .refine((change) => Object.keys(change).length > 0, { message: "names nothing to change" })
        .openapi("PatchPolicy"),
    ),
  },
  responses: { 200: answer("The policy and what the change does", changedSchema), ...problems },
});

const remove = createRoute({
  method: "delete",
  path: "/v1/policies/{id}",
  summary: "Delete a policy that no key has",
  tags: ["policies"],
  security,
  request: { params: idParam },
  responses: { 204: { description: "Deleted" }, ...problems },
});

export function addPolicies(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(create, async (c) => {
    const input = c.req.valid("json");
    return c.json(await onKeyring(c, (keyring, call) => keyring.createPolicy(call, input)), 201);
  });

  app.openapi(list, async (c) => {
    const page = c.req.valid("query");
    return c.json(await onKeyring(c, (keyring, call) => keyring.listPolicies(call, page)), 200);
  });

  app.openapi(read, async (c) => {
    const { id } = c.req.valid("param");
    return c.json(await onKeyring(c, (keyring, call) => keyring.getPolicy(call, id)), 200);
  });

  app.openapi(patch, async (c) => {
    const { id } = c.req.valid("param");
    const input = c.req.valid("json");
    const dryRun = c.req.valid("query").dryRun === "true";
    return c.json(await onKeyring(c, (keyring, call) => keyring.patchPolicy(call, id, input, dryRun)), 200);
  });

  app.openapi(remove, async (c) => {
    const { id } = c.req.valid("param");
    await onKeyring(c, (keyring, call) => keyring.deletePolicy(call, id));
    return c.body(null, 204);
  });
}
