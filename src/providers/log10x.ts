/**
 * Log10x user keys. A key asks for its own successor and dies of it; the new one may be refused for a few seconds. Nothing but the old
 * key says what became of a call without a clear answer, so such a call is never repeated.
 */
import { z } from "zod";
import { addressSetting } from "./address.ts";
import { callApi, type Failed, readyBy, testedBy, unminted, VALUE_UNKNOWN } from "./http-client.ts";
import type { Fields, MintResult, Provider, ProviderContext } from "./provider.ts";

const TIMEOUT_MS = 60_000;
const PROPAGATION_MS = 30_000;

const settings = z.strictObject({
  baseUrl: addressSetting("https://prometheus.log10x.com"),
});

const keySettings = z.strictObject({
  envId: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,100}$/)
    .optional()
    .describe("Environment to call as, `<key>/<envId>`; without it the calls are the user's."),
});

const rotated = z.object({ api_key: z.string().min(8) });

/** What a call with a key of the user begins with. */
function callAs(context: ProviderContext, { secret }: Fields) {
  const { baseUrl } = settings.parse(context.connection?.config ?? {});
  const { envId } = keySettings.parse(context.config);
  const auth = envId === undefined ? secret : `${secret}/${envId}`;
  return { userUrl: `${baseUrl}/api/v1/user`, headers: { "x-10x-auth": auth } };
}

function askUser(context: ProviderContext, fields: Fields) {
  const { userUrl, headers } = callAs(context, fields);
  return callApi(context, { method: "GET", url: userUrl, headers }, { schema: z.unknown() });
}

/** What a rotation without a new key says. A refusal is believed where the service is known to refuse before it does anything. */
function unrotated(failed: Failed): MintResult {
  const { problem, report } = failed;
  const reported = report ? { report } : {};
  if (failed.kind === "status" && failed.status === 403)
    return {
      kind: "refused",
      problem: `${problem}: the key of a demo account cannot be rotated`,
      ...reported,
    };
  // Nothing says that a 429 comes before the rotation.
  if (failed.kind === "status" && failed.status === 429) return { kind: "in-doubt", problem, ...reported };
  return unminted(failed);
}

export const log10x: Provider = {
  name: "log10x",
  title: "Log10x",
  about: {
    page: "https://prometheus.log10x.com",
    leastScope:
      "None beyond the key itself: a user's key asks for its own successor. A demo account's does not.",
    calls: {
      preflight: "GET /api/v1/user with the old key",
      mint: "POST /api/v1/user/rotate-key without a body, with the old key",
      test: "GET /api/v1/user with the key in question",
    },
    notes: [
      "The old key is dead the moment that the new one is made; nothing brings it back.",
      "The new key may be refused for some seconds; a refusal counts only once 30 seconds have passed.",
      "A rotation that was answered by 429 or 5xx, or not at all, is not repeated before the old key was seen to work still, twice. The service's own client repeats it at once, which loses the key when the first call took effect.",
      "A demo account is answered 403. The rotation then fails with that as its problem, and nothing has changed; a schedule asks again in a day.",
      "The value is the key alone, also with `envId`: whoever uses an environment adds `/<envId>` itself.",
    ],
    unverified: ["How long a rotation may take at the service; 60 seconds are waited for."],
    instead: "the service has one key for a user and no second one beside it",
  },
  overlap: "none",
  local: false,
  timeoutMs: TIMEOUT_MS,
  propagationMs: PROPAGATION_MS,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: true,
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: keySettings,
  needsFirst: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const answer = await askUser(context, context.old?.fields ?? { secret: "" });
    // Without a key there is nothing to be let in with; that somebody is there is all that can be known.
    const isThere = !context.old && answer.kind === "status" && [401, 403].includes(answer.status);
    return isThere ? { kind: "green" } : readyBy(answer);
  },

  async mint(context, { marker }) {
    const fields = context.old?.fields;
    if (!fields) return { kind: "refused", problem: "only the present key can ask for the next one" };
    const { userUrl, headers } = callAs(context, fields);
    const answer = await callApi(
      context,
      { method: "POST", url: `${userUrl}/rotate-key`, headers, timeoutMs: TIMEOUT_MS },
      { schema: rotated },
    );
    if (answer.kind !== "ok") return unrotated(answer);
    const { report, value, status } = answer;
    if (value.api_key === fields.secret)
      return { kind: "in-doubt", problem: `${report.host} answered ${status} with the old key`, report };
    return { kind: "minted", fields: { secret: value.api_key }, reference: marker, report };
  },

  async test(context, { fields }) {
    return fields ? testedBy(await askUser(context, fields)) : VALUE_UNKNOWN;
  },
};
