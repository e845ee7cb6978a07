/**
 * A2A Market agent keys. A key asks for its own successor and dies of it; the same idempotency key again tells whether it did. A new key
 * is taken from the places where the service is known to put it, and from nowhere else.
 */
import { createHmac } from "node:crypto";
import { z } from "zod";
import { addressSetting } from "./address.ts";
import { callApi, type Failed, readyBy, testedBy, unminted, VALUE_UNKNOWN } from "./http-client.ts";
import type { MintResult, Provider, ProviderContext } from "./provider.ts";

const TIMEOUT_MS = 30_000;
const MAX_RETRY_AFTER_SECONDS = 86_400;

const settings = z.strictObject({
  baseUrl: addressSetting(
    "https://agent.a2amarket.md",
    "Where the API is; other releases of the service's client use `https://api.a2amarket.md`.",
  ),
  rotateBody: z
    .enum(["none", "{}"])
    .default("none")
    .describe(
      "What a rotation sends. Only a body is signed: a server that insists on a signature needs `{}`.",
    ),
});

const credential = z.strictObject({
  hmacSecret: z.string().min(1).exactOptional().describe("Signs what has a body, where the agent has one."),
});

const keySettings = z.strictObject({
  agentId: z
    .string()
    .regex(/^[A-Za-z0-9_.:-]{1,100}$/)
    .describe("Whose key it is: the agent's id at A2A Market."),
});

/** A place where something else than a key may stand. */
const place = z.string().min(8).optional().catch(undefined);
const data = z.object({ api_key: place }).optional().catch(undefined);
const payload = z.object({ api_key: place, new_api_key: place, data }).optional().catch(undefined);
const envelope = z.object({ api_key: place, payload });

const error = z.object({ code: z.string(), retry_after: z.number().positive().optional().catch(undefined) });
/** An error in an envelope of its own, or by itself. */
const problem = z.union([
  z.object({ error }).transform((body) => body.error),
  error.extend({ message: z.string() }),
]);

/** Codes of refusals; one of these means that nothing was done, whatever status it comes with. */
const REFUSALS = ["UNAUTHORIZED", "AGENT_NOT_FOUND", "AGENT_SUSPENDED", "INVALID_SIGNATURE"];
const CONFLICTS = ["IDEMPOTENCY_CONFLICT"];
const RATE_LIMITED = "RATE_LIMITED";

interface Ask {
  method: "GET" | "POST";
  /** Below the agent's own address. */
  path: "" | "/rotate-key";
  /** The key that asks. */
  secret: string | undefined;
  idempotencyKey: string;
  text?: string;
}

/** One call, with the headers that the service wants on each. */
function ask(context: ProviderContext, { method, path, secret, idempotencyKey, text }: Ask) {
  const { baseUrl } = settingsOf(context);
  // A connection by itself is tried with an agent that need not be there.
  const agentId = keySettings.safeParse(context.config).data?.agentId ?? "nobody";
  const hmacSecret = context.connection?.credential.hmacSecret;
  const headers = {
    "x-idempotency-key": idempotencyKey,
    "x-acap-timestamp": new Date(context.now).toISOString(),
    ...(secret !== undefined && { "x-agent-key": secret }),
    ...(text !== undefined && { "content-type": "application/json" }),
    ...(text !== undefined &&
      hmacSecret !== undefined && { "x-acap-signature": `hmac-sha256:${sign(hmacSecret, text)}` }),
  };
  return callApi(
    context,
    {
      method,
      url: `${baseUrl}/acap/v1/agents/${encodeURIComponent(agentId)}${path}`,
      headers,
      timeoutMs: TIMEOUT_MS,
      ...(text !== undefined && { text }),
    },
    {
      schema: envelope,
      errorCode: (body) => problem.safeParse(body).data?.code,
      retryAfterMs: (body) => {
        const seconds = problem.safeParse(body).data?.retry_after;
        return seconds === undefined ? undefined : Math.min(seconds, MAX_RETRY_AFTER_SECONDS) * 1_000;
      },
    },
  );
}

function settingsOf({ connection }: ProviderContext) {
  return settings.parse(connection?.config ?? {});
}

/** Base64 of the HMAC-SHA256 of a raw body. */
function sign(hmacSecret: string, text: string): string {
  return createHmac("sha256", hmacSecret).update(text, "utf8").digest("base64");
}

/** Asks for the agent. Each question has an idempotency key of its own, so that no answer is an old one. */
function askAgent(context: ProviderContext, secret: string | undefined) {
  return ask(context, { method: "GET", path: "", secret, idempotencyKey: crypto.randomUUID() });
}

/** The new key, when the answer holds exactly one. What is the old one is an echo. */
function newKeyIn({ api_key, payload: inner }: z.output<typeof envelope>, old: string): string | undefined {
  const found = [api_key, inner?.api_key, inner?.new_api_key, inner?.data?.api_key];
  const fresh = new Set(found.filter((one) => one !== undefined && one !== old));
  const [only] = fresh;
  return fresh.size === 1 ? only : undefined;
}

/** What a rotation without a new key says. An error in a success is believed only where it is known to be a refusal. */
function unrotated(failed: Failed): MintResult {
  if (failed.kind !== "status") return unminted(failed);
  const { status, code = "", report, retryAfterMs } = failed;
  const reported = report ? { report } : {};
  if (code === RATE_LIMITED)
    return {
      kind: "postponed",
      problem: failed.problem,
      ...reported,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  const isBelieved = status >= 400 || REFUSALS.includes(code) || CONFLICTS.includes(code);
  return isBelieved
    ? unminted(failed, CONFLICTS)
    : { kind: "in-doubt", problem: failed.problem, ...reported };
}

export const a2amarket: Provider = {
  name: "a2amarket",
  title: "A2A Market",
  about: {
    page: "https://a2amarket.md",
    leastScope: "None beyond the key itself: an agent's key asks for its own successor.",
    calls: {
      preflight: "GET /acap/v1/agents/{agentId} with the old key",
      mint: "POST /acap/v1/agents/{agentId}/rotate-key without a body, with the old key and the attempt's own X-Idempotency-Key",
      test: "GET /acap/v1/agents/{agentId} with the key in question",
    },
    notes: [
      "The old key is dead the moment that the new one is made; nothing brings it back.",
      "When an answer was lost, the same call is repeated with the same X-Idempotency-Key. IDEMPOTENCY_CONFLICT then means that the first one took effect: the new value is lost, and a person hands one in. A repeat that is refused says nothing; the old key is tested instead.",
      "The new key is looked for at `payload.api_key`, `payload.new_api_key`, `payload.data.api_key` and `api_key`. An answer with none there, or with two that differ, is in doubt; nothing is guessed.",
      "With `hmacSecret`, each body is signed (`X-ACAP-Signature`). A rotation has none unless `rotateBody` says so.",
      "`retry_after` of an error is waited for.",
    ],
    unverified: [
      "Which of the four places the server uses: its client has only types for the envelope around it.",
      "That a dead key is refused by GET /acap/v1/agents/{agentId} with UNAUTHORIZED; any other answer does not count as a refusal.",
    ],
    instead: "the service has one key for an agent and no second one beside it",
  },
  overlap: "none",
  local: false,
  timeoutMs: TIMEOUT_MS,
  propagationMs: 0,
  repeatsMint: true,
  verifiedHere: false,
  connection: {
    isOptional: true,
    credential,
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: keySettings,
  needsFirst: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const answer = await askAgent(context, context.old?.fields?.secret);
    // Without a key there is nothing to be let in with; that the service is there is all that can be known.
    const isThere = !context.old && answer.kind === "status" && answer.code !== undefined;
    return isThere ? { kind: "green" } : readyBy(answer);
  },

  async mint(context, { marker, idempotencyKey }) {
    const secret = context.old?.fields?.secret;
    if (secret === undefined)
      return { kind: "refused", problem: "only the present key can ask for the next one" };
    const { rotateBody } = settingsOf(context);
    const answer = await ask(context, {
      method: "POST",
      path: "/rotate-key",
      secret,
      idempotencyKey,
      ...(rotateBody !== "none" && { text: rotateBody }),
    });
    if (answer.kind !== "ok") return unrotated(answer);
    const { report, value, status } = answer;
    const fresh = newKeyIn(value, secret);
    if (fresh === undefined) {
      const where = "without exactly one new key at the places where it is known to be";
      return { kind: "in-doubt", problem: `${report.host} answered ${status} ${where}`, report };
    }
    return { kind: "minted", fields: { secret: fresh }, reference: marker, report };
  },

  async test(context, { fields }) {
    if (!fields) return VALUE_UNKNOWN;
    // A refused signature or a suspended agent says nothing of the key.
    return testedBy(await askAgent(context, fields.secret), { statuses: [], codes: ["UNAUTHORIZED"] });
  },
};
