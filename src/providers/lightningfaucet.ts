/**
 * Lightning Faucet keys. An operator's key asks for its own successor, an agent's is asked for with its operator's key; either way the old
 * one is dead at once, and withdrawals are held back for a while. What went wrong is said in a 200.
 */
import { z } from "zod";
import { addressSetting } from "./address.ts";
import { callApi, type Failed, readyBy, testedBy, unminted, VALUE_UNKNOWN } from "./http-client.ts";
import type { MintResult, PreflightResult, Provider, ProviderContext } from "./provider.ts";

const TIMEOUT_MS = 60_000;
const MINUTE_MS = 60_000;
/** How long withdrawals are held back, where an answer does not say until when. */
const COOLDOWN_MS = { operator: 60 * MINUTE_MS, agent: 30 * MINUTE_MS };
/** What is further off is no time that the service can mean. */
const MAX_COOLDOWN_MS = 7 * 24 * 60 * MINUTE_MS;

const settings = z.strictObject({
  baseUrl: addressSetting(
    "https://lightningfaucet.com",
    "Where the service is; its one endpoint is `/ai-agents/api` below it.",
  ),
});

const credential = z.strictObject({
  secret: z
    .string()
    .min(8)
    .exactOptional()
    .describe("The operator's key, for the keys of its agents. An operator's own key needs none here."),
});

const keySettings = z.strictObject({
  agentId: z
    .int()
    .positive()
    .optional()
    .describe("Whose key it is: an agent's id. Without it the key is an operator's, and asks for itself."),
});

const who = z.object({
  success: z.literal(true),
  type: z.enum(["operator", "agent"]),
  id: z.union([z.string(), z.number()]).transform(String),
});

const place = z.string().min(8).optional().catch(undefined);
const rotated = z.object({ api_key: place, new_api_key: place, cooldown_until: z.unknown().optional() });

const failure = z.object({ success: z.literal(false), error: z.string().catch("") });
/** Words about the key itself; all others are about the call. */
const ABOUT_THE_KEY =
  /(invalid|unknown|expired|revoked|inactive) (api[ _-]?)?key|key (is )?(invalid|unknown|not found|expired|revoked|inactive)|unauthori[sz]ed/i;
const KEY_REFUSED = "key_refused";
/** Words about who asks for what: nothing was done. */
const ABOUT_WHO_ASKS =
  /agent (\d+ )?(is )?(not found|unknown|suspended|inactive)|(unknown|no such|invalid) (agent|action)|operator.*required|not (your|allowed|permitted)|forbidden|rate limit/i;
const ASKED_WRONGLY = "asked_wrongly";
const NOT_SUCCESSFUL = "not_successful";

function codeOf(body: unknown): string | undefined {
  const failed = failure.safeParse(body).data;
  if (!failed) return undefined;
  if (ABOUT_THE_KEY.test(failed.error)) return KEY_REFUSED;
  return ABOUT_WHO_ASKS.test(failed.error) ? ASKED_WRONGLY : NOT_SUCCESSFUL;
}

/** An error in a 200 may come of a rotation that was done, unless it is of what was asked: the key, the agent, the operator. */
function unregenerated(failed: Failed): MintResult {
  const isUnclear = failed.kind === "status" && failed.status < 300 && failed.code === NOT_SUCCESSFUL;
  if (!isUnclear) return unminted(failed);
  const { problem, report } = failed;
  return { kind: "in-doubt", problem, ...(report && { report }) };
}

function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  schema: Schema,
  json: { action: string; api_key: string | undefined; agent_id?: number },
) {
  const { baseUrl } = settings.parse(context.connection?.config ?? {});
  const url = `${baseUrl}/ai-agents/api`;
  return callApi(
    context,
    { method: "POST", url, json, timeoutMs: TIMEOUT_MS },
    { schema, errorCode: codeOf },
  );
}

function whoIs(context: ProviderContext, secret: string | undefined) {
  return ask(context, who, { action: "whoami", api_key: secret });
}

/** Whether a key is whose it should be. */
async function check(
  context: ProviderContext,
  secret: string | undefined,
  type: "operator" | "agent",
  id?: string,
): Promise<PreflightResult> {
  const answer = await whoIs(context, secret);
  if (answer.kind !== "ok") return readyBy(answer);
  const { report, value } = answer;
  if (value.type !== type)
    return { kind: "red", report, problem: `the key is not one of an ${type}, but of an ${value.type}` };
  if (id !== undefined && value.id !== id)
    return {
      kind: "red",
      report,
      problem: "the present value is the key of another agent than `agentId` says",
    };
  return { kind: "green", report, account: `${value.type} ${value.id}` };
}

function usualCooldown(agentId: number | undefined): number {
  return COOLDOWN_MS[agentId === undefined ? "operator" : "agent"];
}

/** Until when withdrawals are held back, milliseconds since the epoch: what the answer says, if that is a time at all. */
function cooldownOf(told: unknown, now: number, usualMs: number): number {
  const at =
    typeof told === "number"
      ? told < 1e11
        ? told * 1_000
        : told
      : Date.parse(typeof told === "string" ? told : "");
  return at > now && at <= now + MAX_COOLDOWN_MS ? at : now + usualMs;
}

export const lightningfaucet: Provider = {
  name: "lightningfaucet",
  title: "Lightning Faucet",
  about: {
    page: "https://lightningfaucet.com/ai-agents",
    leastScope:
      "An operator's key, for itself and for the keys of its agents. An agent's key cannot ask for its own successor.",
    calls: {
      preflight:
        'POST /ai-agents/api `{"action":"whoami"}` with the operator\'s key, and with the old one of the agent',
      mint: 'POST /ai-agents/api `{"action":"regenerate_operator_key"}` with the old key, or `{"action":"regenerate_agent_key","agent_id":…}` with the operator\'s',
      test: 'POST /ai-agents/api `{"action":"whoami"}` with the key in question',
    },
    notes: [
      "The old key is dead the moment that the new one is made; nothing brings it back.",
      "A call to rotate is never repeated. When its answer was lost, the old key is tested: if it still works nothing happened, if not the new value is lost and a person hands one in.",
      "Withdrawals are held back after a rotation: 60 minutes for an operator, 30 for an agent. The answer says until when; Rekey keeps that as `cooldownUntil` and starts no scheduled rotation before it.",
      'An answer of 200 with `"success":false` is an error. Unless its words are about the key, the agent or the operator, a rotation may have been done all the same: the old key is tested.',
      'When Rekey rotates the operator\'s key, too, give the connection `{"credential":{"key":"<its name>"}}`: every call then uses the present value, the new one from the moment that it is there, and neither rotates while the other is at it.',
    ],
    unverified: [
      "How long a rotation may take at the service; 60 seconds are waited for.",
      "The words with which it refuses a key. Only words that name the key, or a 401 or 403, count as a refusal; whatever else is not successful says nothing of the key.",
      "The form of `cooldown_until`: ISO 8601 and Unix time are read; for anything else the service's own 60 or 30 minutes are taken.",
    ],
    instead: "the service has one key for an operator and one for each agent, and no second one beside it",
  },
  overlap: "none",
  local: false,
  timeoutMs: TIMEOUT_MS,
  propagationMs: 0,
  repeatsMint: false,
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

  restsMs: (config) => usualCooldown(keySettings.parse(config).agentId),

  async preflight(context) {
    const { agentId } = keySettings.parse(context.config);
    const operator = context.connection?.credential.secret;
    const old = context.old?.fields?.secret;
    if (agentId !== undefined) {
      if (operator === undefined)
        return { kind: "red", problem: "an agent's key needs a connection with the key of its operator" };
      const opened = await check(context, operator, "operator");
      return opened.kind === "red" ? opened : check(context, old, "agent", String(agentId));
    }
    if (context.old || operator !== undefined) return check(context, old ?? operator, "operator");
    // A connection that only says where the service is: that somebody is there is all that can be known.
    const answer = await whoIs(context, undefined);
    return answer.kind === "status" && answer.code !== undefined ? { kind: "green" } : readyBy(answer);
  },

  async mint(context, { marker }) {
    const { agentId } = keySettings.parse(context.config);
    const old = context.old?.fields?.secret;
    const asks = agentId === undefined ? old : context.connection?.credential.secret;
    if (asks === undefined) {
      const problem =
        agentId === undefined
          ? "only the present key can ask for the next one"
          : "only the operator's key can ask for the next one";
      return { kind: "refused", problem };
    }
    const answer = await ask(context, rotated, {
      api_key: asks,
      ...(agentId === undefined
        ? { action: "regenerate_operator_key" }
        : { action: "regenerate_agent_key", agent_id: agentId }),
    });
    if (answer.kind !== "ok") return unregenerated(answer);
    const { report, value, status } = answer;
    const fresh = [value.new_api_key, value.api_key].find(
      (one) => one !== undefined && one !== old && one !== asks,
    );
    if (fresh === undefined)
      return { kind: "in-doubt", problem: `${report.host} answered ${status} without a new key`, report };
    const cooldownUntil = cooldownOf(value.cooldown_until, context.now, usualCooldown(agentId));
    return { kind: "minted", fields: { secret: fresh }, reference: marker, cooldownUntil, report };
  },

  async test(context, { fields }) {
    return fields ? testedBy(await whoIs(context, fields.secret), { codes: [KEY_REFUSED] }) : VALUE_UNKNOWN;
  },
};
