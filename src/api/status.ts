/** /v1/status: the whole keyring at a glance, each problem with its cause and what to do about it. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { PROBLEM_KINDS } from "../keyring/problems.ts";
import { onKeyring } from "./auth.ts";
import { batchSchema } from "./batches.ts";
import { answer, healthSchema, optionalTimeOutSchema, problems, security, timeOutSchema } from "./schemas.ts";

const count = z.int();

const unwellSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    since: optionalTimeOutSchema.openapi({ description: "When it last answered as it should." }),
    problem: z.string(),
    host: z.string().nullable(),
  })
  .openapi("Unwell");

const problemSchema = z
  .object({
    what: z.enum(PROBLEM_KINDS),
    id: z.string().openapi({ description: "Of what has the problem; of a keyring its name." }),
    key: z.string().nullable().openapi({ description: "Id of the key that it concerns." }),
    since: optionalTimeOutSchema.openapi({ description: "As far as that is known." }),
    cause: z.string(),
    remedy: z.string().openapi({ description: "What somebody can do about it." }),
    nextTryAt: optionalTimeOutSchema,
  })
  .openapi("StatusProblem");

const statusSchema = z
  .object({
    health: healthSchema,
    reasons: z.array(z.string()).openapi({ description: "Why it is not healthy, the worst first." }),
    keys: z
      .object({
        total: count,
        pending: count,
        active: count,
        lost: count,
        revoked: count,
        deleting: count,
        paused: count.openapi({ description: "Of those that are pending or active." }),
        overdue: count.openapi({ description: "Due for an hour or longer and not started." }),
        due: count.openapi({ description: "A person is asked for a new value." }),
      })
      .openapi({ description: "`total` leaves out those that are deleted." }),
    rotations: z.object({
      live: count,
      blocked: count,
      needsSlot: count,
      needsAttention: count,
      needsHuman: count,
    }),
    versions: z.object({
      inGrace: count,
      held: count.openapi({ description: "Of those in grace: held beyond its time by `revokeWhen`." }),
      revoking: count,
      stuck: count.openapi({ description: "Of those being revoked: that does not succeed." }),
      due: count.openapi({ description: "Of those being revoked: a person is asked to end them." }),
    }),
    deliveries: z.object({ pending: count, failing: count }),
    destinations: z.object({ failing: z.array(unwellSchema) }),
    subscriptions: z.object({ failing: z.array(unwellSchema) }),
    nextRotationAt: optionalTimeOutSchema,
    lastSweepAt: optionalTimeOutSchema.openapi({
      description: "When cron came last, up to five minutes behind; null when it never did or is not known.",
    }),
    hold: z
      .object({ since: timeOutSchema, until: optionalTimeOutSchema, reason: z.string(), by: z.string() })
      .nullable(),
    batches: z
      .array(batchSchema)
      .openapi({ description: "Those that run or are paused, oldest first, at most 20." }),
    problems: z.array(problemSchema).openapi({ description: "The worst first, at most 100." }),
  })
  .openapi("Status");

const read = createRoute({
  method: "get",
  path: "/v1/status",
  summary: "See how the whole keyring is, with the cause and remedy of each problem",
  tags: ["status"],
  security,
  responses: { 200: answer("How it is", statusSchema), ...problems },
});

export function addStatus(app: OpenAPIHono<{ Bindings: Env }>): void {
  app.openapi(read, async (c) => c.json(await onKeyring(c, (keyring, call) => keyring.getStatus(call)), 200));
}
