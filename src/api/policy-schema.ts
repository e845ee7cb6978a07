/** A policy on the wire: when a key rotates, and how long its old value lives. */
import { z } from "@hono/zod-openapi";
import { durationSchema, isDuration, parseDuration, periodSchema } from "../duration.ts";
import { isCron, isTimeZone } from "../rotation/calendar.ts";
import type { RevokeCondition } from "../store/keys.ts";

const MAX_WINDOW_MS = 7 * 24 * 3_600_000;

const cronSchema = z
  .string()
  .max(100)
  .refine(isCron, { message: "must be five fields of cron that come true some day" })
  .openapi({ example: "0 3 * * 1", description: "Minute, hour, day of the month, month, day of the week." });

const timeZoneSchema = z
  .string()
  .max(64)
  .refine(isTimeZone, { message: "must be a time zone such as Europe/Berlin" })
  .optional()
  .openapi({ example: "Europe/Berlin", description: "IANA name. Default UTC." });

const scheduleSchema = z
  .strictObject({ cron: cronSchema, timeZone: timeZoneSchema })
  .openapi("Schedule", { description: "Rotate at these moments." });

const windowSchema = z
  .strictObject({
    cron: cronSchema,
    timeZone: timeZoneSchema,
    duration: periodSchema.refine((text) => parseDuration(text) <= MAX_WINDOW_MS, { message: "at most 7d" }),
  })
  .openapi("Window", {
    description: "Scheduled rotations begin only in the time that opens at each of these moments.",
  });

const instantSchema = z.iso.datetime({
  offset: true,
  error: "must be a time in ISO 8601, such as 2026-01-31T12:00:00Z",
});

const freezeSchema = z
  .strictObject({ from: instantSchema, until: instantSchema, reason: z.string().max(200).optional() })
  .refine(({ from, until }) => Date.parse(from) < Date.parse(until), {
    path: ["until"],
    message: "must be after from",
  })
  .openapi("Freeze", { description: "No rotation begins in this time, except in an emergency." });

/** What verification has seen is written within a minute. */
const MIN_IDLE_MS = 2 * 60_000;

/** A word, or `oldIdle` with a duration. */
function isCondition(text: string): text is RevokeCondition {
  const [word = "", duration = "0", ...more] = text.split(":");
  if (word === "oldIdle")
    return more.length === 0 && isDuration(duration) && parseDuration(duration) >= MIN_IDLE_MS;
  return text === "delivered" || text === "acknowledged" || text === "newSeen";
}

const policyShape = {
  maxAge: periodSchema
    .optional()
    .openapi({ example: "30d", description: "Rotate when the current version is this old." }),
  schedule: scheduleSchema.optional(),
  window: windowSchema.optional(),
  freezes: z.array(freezeSchema).max(50).optional(),
  jitter: durationSchema.optional().openapi({
    description:
      "Up to this much is added to maxAge, a moment of the schedule, an opening of the window or the end of a freeze; fixed per version. Default 0.",
  }),
  paused: z.boolean().optional().openapi({ description: "No rotation begins, except in an emergency." }),
  grace: durationSchema
    .optional()
    .openapi({ description: "How long the old version stays valid. Default 24h." }),
  maxGrace: durationSchema.optional().openapi({
    description:
      "The longest an old version may live, whatever was asked for or holds it. Default 30d, or grace when that is longer.",
  }),
  revokeWhen: z
    .array(
      z.string().refine(isCondition, {
        message:
          "must be delivered, acknowledged, newSeen or oldIdle with a duration of at least 2m, such as oldIdle:1h",
      }),
    )
    .min(1)
    .max(4)
    .optional()
    .openapi({
      example: ["acknowledged", "oldIdle:1h"],
      description:
        "What has to be so, all of it, before the old version may go, up to maxGrace: every required destination holds the new one (delivered, the default), every webhook's consumer has acknowledged it (acknowledged), it was used (newSeen), the old one was not used for that long (oldIdle). The last two need a key that Rekey verifies or a service that tells when a value was last used.",
    }),
  onCeiling: z.enum(["revoke", "hold"]).optional().openapi({
    description:
      "What happens at maxGrace when something is still missing: revoke (the default), or hold it until somebody finishes it.",
  }),
  deliverWithin: durationSchema
    .optional()
    .openapi({ description: "After this the old value is put back everywhere. Default 6h." }),
  cooldown: durationSchema.optional().openapi({
    description:
      "No rotation by hand this long after one. Default 0, for access keys 60m, for an agent's 30m.",
  }),
  allowDowntime: z.boolean().optional().openapi({
    description:
      "Scheduled rotations may leave consumers without a working value for a while: needed for services that end the old value as they make the new one.",
  }),
  onCompromise: z
    .enum(["replace-first", "hold", "revoke-first", "revoke-only", "notify-only"])
    .optional()
    .openapi({
      description:
        "When the current value leaked: replace it and revoke it after a minute even without a replacement (replace-first, the default), only with one (hold), revoke it before (revoke-first) or without replacing it (revoke-only), or only say so (notify-only).",
    }),
};

/** A policy as it is shown: it was checked on its way in. */
export const policyOutSchema = z.object(policyShape).openapi("Policy");

export const policySchema = z
  .strictObject(policyShape)
  .refine(({ maxAge, schedule }) => maxAge === undefined || schedule === undefined, {
    path: ["schedule"],
    message: "goes instead of maxAge, not with it",
  })
  .refine(({ grace = "0", maxGrace = grace }) => parseDuration(grace) <= parseDuration(maxGrace), {
    path: ["maxGrace"],
    message: "must not be shorter than grace",
  })
  .openapi("PolicyInput");
