/**
 * A signed message to a receiver of the team's own, by Standard Webhooks 1.0
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 */
import { z } from "zod";
import { durationSchema, parseDuration } from "../duration.ts";
import { signByAll } from "../events/signing.ts";
import type { OutboundAnswer } from "../outbound/port.ts";
import type { Destination, DestinationContext, SendResult } from "./destination.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Waits between the ten attempts, which span 75 h 35 min. */
export const RETRY_AFTER_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/** Statuses of a receiver that is alive and asks for less: it gets at least this long. */
const SLOW_DOWN_STATUSES = [429, 502, 504];
const SLOW_DOWN_MS = 30 * SECOND;
const GONE = 410;

const configSchema = z.strictObject({
  url: z.string().describe("Where messages go: https, default port, a public name."),
  secretMode: z
    .enum(["plain", "claim", "none"])
    .describe(
      "What a message carries: `plain` the value itself, `claim` what opens it to the receiver, once, `none` only the notice.",
    ),
  propagation: durationSchema.optional().describe("How long until all readers see a value. Default 0."),
});

export const webhook: Destination = {
  type: "webhook",
  title: "Signed webhook",
  about: {
    summary:
      "A signed message to a receiver of your own, by Standard Webhooks 1.0. docs/receiving.md has one that is tested.",
    page: "https://www.standardwebhooks.com",
    calls: {
      probe: "POST of a message of type `ping`, without any secret",
      put: "POST of a message of type `key.version.ready`",
    },
    notes: [
      "Nothing but a ping is sent until the receiver has answered one with 2xx, so nobody is pointed at a stranger's server.",
      "The answer to its creation has `signingSecret` (and `claimToken` for `claim`), shown this once.",
      "2xx says that the message came. With `claim` the value is delivered once the receiver has claimed it; until then there is a message with a fresh claim every ten minutes at least. With `mustAcknowledge` a rotation waits until the consumer says that it has switched.",
      "Tried at once, then after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h. 410 stops it until somebody tests or changes it.",
    ],
    example: { url: "https://hooks.acme.dev/rekey", secretMode: "claim" },
  },
  config: configSchema,
  confirms: false,
  signs: true,
  retryAfterMs: RETRY_AFTER_MS,
  propagationMs: (config) => parseDuration(configSchema.parse(config).propagation ?? "0"),
  targetOf: ({ destinationId, keyId }) => `webhook:${destinationId}/${keyId}`,
  problemOf: (config, outbound) => outbound.problemOf(configSchema.parse(config).url),

  claims: (config) => configSchema.parse(config).secretMode === "claim",

  probe(context) {
    return post(context, context.newId(), "ping", context.now, { destinationId: context.destinationId });
  },

  put(context, message) {
    const { secretMode } = configSchema.parse(context.config);
    return post(context, message.deliveryId, "key.version.ready", message.createdAt, {
      deliveryId: message.deliveryId,
      keyId: message.keyId,
      keyName: message.name,
      version: message.version,
      revision: message.revision,
      ...(secretMode === "plain" && { fields: message.fields }),
      ...(secretMode === "claim" && { claim: message.claim?.claim, claimUrl: message.claim?.url }),
      acknowledgeToken: message.acknowledgeToken,
    });
  },
};

async function post(
  { config, signingSecrets, outbound, now }: DestinationContext,
  id: string,
  type: string,
  at: number,
  data: Record<string, unknown>,
): Promise<SendResult> {
  const { url } = configSchema.parse(config);
  if (signingSecrets.length === 0) throw new Error("a webhook destination has no signing secret");
  const body = JSON.stringify({ type, timestamp: new Date(at).toISOString(), data });
  const headers = { "content-type": "application/json", ...signByAll(signingSecrets, id, now, body) };
  return judgeAnswer(await outbound.send({ method: "POST", url, headers, body }));
}

/** What a receiver's answer means. */
export function judgeAnswer({ report, status, retryAfterMs }: OutboundAnswer): SendResult {
  if (status === undefined)
    return { kind: "failed", report, problem: `no answer from ${report.host} (${report.code})` };
  if (status >= 200 && status < 300) return { kind: "held", report };
  const problem = `${report.host} answered ${status}`;
  if (status === GONE) return { kind: "gone", report, problem };
  const wait = Math.max(retryAfterMs ?? 0, SLOW_DOWN_STATUSES.includes(status) ? SLOW_DOWN_MS : 0);
  return { kind: "failed", report, problem, ...(wait > 0 && { retryAfterMs: wait }) };
}
