/**
 * BitScale workspace keys. A key asks for its own successor and dies of it, so a lost answer loses the key; testing the old one tells
 * whether that happened.
 */
import { z } from "zod";
import { addressSetting } from "./address.ts";
import { callApi, readyBy, testedBy, unminted, VALUE_UNKNOWN } from "./http-client.ts";
import type { Fields, Provider, ProviderContext } from "./provider.ts";

const TIMEOUT_MS = 60_000;

const settings = z.strictObject({
  baseUrl: addressSetting("https://api.bitscale.ai/api/v1"),
  rotatePath: z
    .enum(["/api-key/rotate", "/rotate-api-key"])
    .default("/api-key/rotate")
    .describe("Where a key is rotated; earlier releases of the service's client used the second."),
});

const rotated = z.object({ api_key: z.string().min(8) });

function settingsOf({ connection }: ProviderContext) {
  return settings.parse(connection?.config ?? {});
}

function askWorkspace(context: ProviderContext, fields: Fields | undefined) {
  const { baseUrl } = settingsOf(context);
  const headers = fields ? { "x-api-key": fields.secret } : {};
  return callApi(context, { method: "GET", url: `${baseUrl}/workspace`, headers }, { schema: z.unknown() });
}

export const bitscale: Provider = {
  name: "bitscale",
  title: "BitScale",
  about: {
    page: "https://api.bitscale.ai",
    leastScope: "None beyond the key itself: a workspace key asks for its own successor.",
    calls: {
      preflight: "GET /workspace with the old key",
      mint: "POST /api-key/rotate `{}` with the old key",
      test: "GET /workspace with the key in question",
    },
    notes: [
      "The old key is dead the moment that the new one is made; nothing brings it back.",
      "A call to rotate is never repeated. When its answer was lost, the old key is tested: if it still works nothing happened, if not the new value is lost and a person hands one in.",
    ],
    unverified: [],
    instead: "the service has one key for a workspace and no second one beside it",
  },
  overlap: "none",
  local: false,
  timeoutMs: TIMEOUT_MS,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: true,
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  needsFirst: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const answer = await askWorkspace(context, context.old?.fields);
    // Without a key there is nothing to be let in with; that somebody is there is all that can be known.
    const isThere = !context.old && answer.kind === "status" && answer.status === 401;
    return isThere ? { kind: "green" } : readyBy(answer);
  },

  async mint(context, { marker }) {
    const fields = context.old?.fields;
    if (!fields) return { kind: "refused", problem: "only the present key can ask for the next one" };
    const { baseUrl, rotatePath } = settingsOf(context);
    const answer = await callApi(
      context,
      {
        method: "POST",
        url: `${baseUrl}${rotatePath}`,
        headers: { "x-api-key": fields.secret },
        json: {},
        timeoutMs: TIMEOUT_MS,
      },
      { schema: rotated },
    );
    if (answer.kind !== "ok") return unminted(answer);
    const { report, value, status } = answer;
    if (value.api_key === fields.secret)
      return { kind: "in-doubt", problem: `${report.host} answered ${status} with the old key`, report };
    return { kind: "minted", fields: { secret: value.api_key }, reference: marker, report };
  },

  async test(context, { fields }) {
    return fields ? testedBy(await askWorkspace(context, fields)) : VALUE_UNKNOWN;
  },
};
