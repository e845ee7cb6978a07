/** A dry run's answer. */
import { z } from "@hono/zod-openapi";
import { optionalTimeOutSchema, timeOutSchema } from "./schemas.ts";

export const planSchema = z
  .object({
    key: z.string(),
    overlap: z.enum(["ours", "provider", "none"]).openapi({
      description:
        "What becomes of the old value: Rekey ends it, the service ends it by itself, or it dies at the mint.",
    }),
    fromVersion: z.int().nullable(),
    joins: z.string().nullable().openapi({ description: "Id of the live rotation that it would join." }),
    ready: z.boolean().openapi({ description: "Nothing stands in its way at this moment." }),
    blockers: z
      .array(z.object({ what: z.string(), problem: z.string(), until: optionalTimeOutSchema }))
      .openapi({ description: "`what` is request, service, slot, connection or the name of a destination." }),
    destinations: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        as: z.string(),
        required: z.boolean(),
        ok: z.boolean().openapi({ description: "It answered just now." }),
        problem: z.string().nullable(),
      }),
    ),
    steps: z.array(
      z.object({
        step: z.enum(["preflight", "mint", "test", "deliver", "promote", "grace", "revoke", "confirm"]),
        does: z.string(),
        irreversible: z.boolean(),
      }),
    ),
    irreversible: z.array(z.string()).openapi({ description: "What cannot be undone." }),
    deliverBy: timeOutSchema,
    oldEndsAt: optionalTimeOutSchema.openapi({
      description: "When the old value ends, if all goes well at once and nothing holds it.",
    }),
    hold: z
      .object({
        waitsFor: z.array(z.string()).openapi({
          description: "All that has to be so before the old version goes; empty when its time is enough.",
        }),
        untilAtMost: optionalTimeOutSchema.openapi({
          description:
            "The latest that it goes, whatever is missing; null when it is held until a person ends it.",
        }),
        atCeiling: z.string().openapi({ description: "What happens when something is missing still." }),
      })
      .nullable()
      .openapi({
        description:
          "What `revokeWhen`, `maxGrace` and `onCeiling` mean for the old version. Null where it is not Rekey that ends it, or there is none.",
      }),
  })
  .openapi("RotationPlan");
