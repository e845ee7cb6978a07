/** Keys, rotations and events as agents see them: what helps to decide, without what only a program would want. */
import { z } from "zod";

/** ISO 8601. */
const time = z.string();
const optionalTime = time.nullable();

export const keyBrief = z.object({
  id: z.string(),
  name: z.string(),
  provider: z.string(),
  state: z.string().describe("pending, active, lost, revoked, deleting or deleted."),
  role: z.string().nullable(),
  subject: z.string().nullable().describe("The agent whose access key it is."),
  scopes: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  currentVersion: z.int().nullable(),
  paused: z.boolean(),
  cooldownUntil: optionalTime,
  nextRotationAt: optionalTime,
  expiresAt: optionalTime,
});

export const keyDetail = keyBrief.extend({
  health: z.string(),
  connection: z.string().nullable(),
  config: z.record(z.string(), z.unknown()).describe("Its own settings at its service."),
  policy: z
    .object({
      maxAge: z.string(),
      grace: z.string(),
      maxGrace: z.string(),
      cooldown: z.string(),
      onCompromise: z.string(),
      paused: z.boolean(),
    })
    .partial()
    .describe("What is absent has its default: no schedule, 24h of grace."),
  rotation: z.string().nullable().describe("Id of the live rotation."),
  versions: z.array(
    z.object({
      number: z.int(),
      stage: z
        .string()
        .describe("pending, current, previous (in its grace), revoking, revoked, discarded or lost."),
      hint: z.string().describe("The last four characters."),
      issuedAt: time,
      promotedAt: optionalTime,
      graceEndsAt: optionalTime,
      endReason: z.string().nullable(),
      revokedAt: optionalTime,
      confirmed: z.boolean().describe("It was seen to be refused."),
      lastSeenAt: optionalTime,
    }),
  ),
  destinations: z.array(
    z.object({ id: z.string(), required: z.boolean(), mustAcknowledge: z.boolean(), as: z.string() }),
  ),
});

export const deliveryView = z.object({
  id: z.string(),
  key: z.string(),
  version: z.int(),
  destination: z.string(),
  as: z.string(),
  required: z.boolean(),
  mustAcknowledge: z.boolean(),
  state: z.string().describe("pending, delivered, acknowledged, failing or superseded."),
  nextTryAt: optionalTime,
  deliveredAt: optionalTime,
  acknowledgedAt: optionalTime,
});

export const rotationView = z.object({
  id: z.string(),
  key: z.string(),
  trigger: z.string(),
  reason: z.string().nullable(),
  requestedBy: z.string(),
  live: z.boolean().describe("It is still going on."),
  state: z.string(),
  step: z.string(),
  rollback: z.boolean(),
  fromVersion: z.int().nullable(),
  toVersion: z.int().nullable(),
  problem: z.string().nullable(),
  waitsFor: z.string().nullable(),
  remedy: z.string().nullable(),
  nextTryAt: optionalTime,
  startedAt: time,
  deadlineAt: time,
  endedAt: optionalTime,
  deliveries: z.array(deliveryView),
});

export const claimView = z.object({
  token: z.string().describe("Opens the value once. Useless without the access key that you call with."),
  url: z.string().describe("Where to POST it."),
  expiresAt: time,
});

/** How a tool names a key. */
export const keyParameter = z
  .string()
  .min(1)
  .max(512)
  .describe(
    "Which key: its id (key_…), its name, the fingerprint of its value (hex), or the service's own name for the value, such as a key hash.",
  );

export const reasonParameter = z
  .string()
  .max(500)
  .describe("Why, in a sentence; it goes into the history. Never put a secret here.");

export const pageParameters = {
  limit: z.int().min(1).max(100).default(20).describe("At most so many."),
  cursor: z.string().max(200).optional().describe("`nextCursor` of the page before."),
};
