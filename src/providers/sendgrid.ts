/**
 * SendGrid API keys. A new key has the scopes of the old one, and never none: a key that is asked for without scopes may do everything.
 */
import { z } from "zod";
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import { addressSetting } from "./address.ts";
import {
  type ApiAnswer,
  type ApiRequest,
  callApi,
  laterOf,
  listedBy,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
  VALUE_UNKNOWN,
} from "./http-client.ts";
import { carries, labelOf } from "./labels.ts";
import type { MintResult, Provider, ProviderContext } from "./provider.ts";

/** Keys that an account may have; what is asked for beyond them is answered 403. */
const MAX_KEYS = 100;

/** SendGrid gives these to every key by itself: alone they are no scopes. */
const GIVEN = ["2fa_required", "2fa_exempt", "sender_verification_eligible", "sender_verification_exempt"];

const settings = z.strictObject({
  baseUrl: addressSetting(
    "https://api.sendgrid.com/v3",
    "Where the API is: for subusers in the EU https://api.eu.sendgrid.com/v3.",
  ),
});

const keySettings = z.strictObject({
  scopes: z
    .array(z.string().regex(/^[a-z0-9_.-]{1,100}$/))
    .min(1)
    .max(500)
    .refine((scopes) => scopesIn(scopes).length > 0, {
      message: "needs a scope beyond those that every key has",
    })
    .optional()
    .describe("What a first key may do, such as mail.send. Later ones have what the one before had."),
});

const made = z.object({ api_key: z.string().min(20), api_key_id: z.string().min(1) });

const list = z.object({ result: z.array(z.object({ name: z.string(), api_key_id: z.string().min(1) })) });

const scoped = z.object({ scopes: z.array(z.string()) });

/** One key as it is shown: by the specification in a list, by the service's own examples as it is. */
const shown = z.union([scoped, z.object({ result: z.tuple([scoped]) }).transform(({ result }) => result[0])]);

function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  { path, secret, ...request }: Omit<ApiRequest, "url"> & { path: string; secret?: string },
  schema: Schema,
): Promise<ApiAnswer<z.output<Schema>>> {
  const { baseUrl } = settings.parse(context.connection?.config);
  const bearer = secret ?? context.connection?.credential.secret ?? "";
  return callApi(
    context,
    { ...request, url: `${baseUrl}${path}`, headers: { authorization: `Bearer ${bearer}` } },
    { schema },
  );
}

function scopesIn(scopes: readonly string[]): string[] {
  return scopes.filter((scope) => !GIVEN.includes(scope));
}

/** The old key's scopes, or those of the key's settings where there is none to clone. Never empty. */
async function scopesOf(
  context: ProviderContext,
): Promise<{ kind: "scopes"; scopes: string[] } | Exclude<MintResult, { kind: "minted" }>> {
  const { old } = context;
  if (old?.reference) {
    const path = `/api_keys/${encodeURIComponent(old.reference)}`;
    const answer = await ask(context, { method: "GET", path }, shown);
    if (answer.kind === "ok") {
      const scopes = scopesIn(answer.value.scopes);
      const problem = "the old key has no scopes, and a key that is made without any may do everything";
      return scopes.length > 0 ? { kind: "scopes", scopes } : { kind: "refused", problem };
    }
    if (answer.kind !== "status" || answer.status !== 404) return { kind: "postponed", ...laterOf(answer) };
  }
  const scopes = scopesIn(keySettings.parse(context.config).scopes ?? []);
  if (scopes.length > 0) return { kind: "scopes", scopes };
  const why = old ? "the old key is gone" : "there is no old key";
  return {
    kind: "refused",
    problem: `${why}, and the key's config has no scopes; a key that is made without any may do everything`,
  };
}

export const sendgrid: Provider = {
  name: "sendgrid",
  title: "SendGrid",
  about: {
    page: "https://www.twilio.com/docs/sendgrid/api-reference/api-keys",
    leastScope:
      "A key with api_keys.create, api_keys.read, api_keys.delete and every scope that its keys are to have.",
    calls: {
      preflight: "GET /v3/api_keys",
      mint: "GET /v3/api_keys/{old}, then POST /v3/api_keys with its scopes",
      test: "GET /v3/scopes with the key in question",
      find: "GET /v3/api_keys, by name",
      revoke: "DELETE /v3/api_keys/{id}",
    },
    notes: [
      "A key that is asked for without scopes may do everything, so none ever is: scopes are those of the old key, or in the key's config, and without either nothing is made.",
      "An account has at most 100 keys. With that many a rotation waits as needs-slot, and nothing is deleted to make room.",
      "For subusers in the EU the connection's baseUrl is https://api.eu.sendgrid.com/v3.",
    ],
    unverified: [
      "How long a revoked key is still accepted, which the service calls a small delay, and how soon a new one is: a minute is assumed.",
      "That 2fa_required, 2fa_exempt and the sender_verification scopes come by themselves; they are not asked for.",
      "How long a name may be: at most 100 characters are used.",
    ],
  },
  overlap: "ours",
  local: false,
  // The old key is read first.
  timeoutMs: 2 * CALL_TIMEOUT_MS,
  propagationMs: 60_000,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: z.strictObject({
      secret: z.string().min(8).describe("A key that may make and delete others."),
    }),
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: keySettings,
  needsReference: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const answer = await ask(context, { method: "GET", path: "/api_keys" }, list);
    const isFull = answer.kind === "ok" && answer.value.result.length >= MAX_KEYS;
    const problem = `the account has ${MAX_KEYS} keys, the most that SendGrid allows; delete one that is not used`;
    return isFull && context.name !== ""
      ? { kind: "red", problem, noSlot: true, report: answer.report }
      : readyBy(answer);
  },

  async mint(context, intent) {
    const asked = await scopesOf(context);
    if (asked.kind !== "scopes") return asked;
    const json = { name: labelOf(context, intent), scopes: asked.scopes };
    const answer = await ask(context, { method: "POST", path: "/api_keys", json }, made);
    if (answer.kind === "ok") {
      const { api_key, api_key_id } = answer.value;
      return { kind: "minted", fields: { secret: api_key }, reference: api_key_id, report: answer.report };
    }
    const result = unminted(answer);
    const is403 = answer.kind === "status" && answer.status === 403 && result.kind === "refused";
    return is403
      ? {
          ...result,
          problem: `${result.problem}: the account has ${MAX_KEYS} keys already, or the connection's key lacks api_keys.create or a scope`,
        }
      : result;
  },

  async test(context, { fields }) {
    if (!fields) return VALUE_UNKNOWN;
    const request = { method: "GET", path: "/scopes", secret: fields.secret } as const;
    return testedBy(await ask(context, request, z.unknown()), { statuses: [401] });
  },

  async find(context, marker) {
    const answer = await ask(context, { method: "GET", path: "/api_keys" }, list);
    return listedBy(answer, ({ result }) =>
      result.filter(({ name }) => carries(name, marker)).map(({ api_key_id }) => api_key_id),
    );
  },

  async revoke(context, { reference }) {
    const path = `/api_keys/${encodeURIComponent(reference)}`;
    return revokedBy(await ask(context, { method: "DELETE", path }, z.unknown()));
  },
};
