/**
 * API tokens that belong to a Cloudflare account. A new one has the old one's policies and lives beside it; the old one is disabled, then
 * deleted. The service's own roll (`PUT …/value`) is never used, as it ends the old value at once.
 */
import { z } from "zod";
import { parseDuration, periodSchema } from "../duration.ts";
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import { addressSetting } from "./address.ts";
import {
  type ApiAnswer,
  type ApiRequest,
  callApi,
  lastUsedBy,
  laterOf,
  listedBy,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
  VALUE_UNKNOWN,
} from "./http-client.ts";
import { carries, labelOf } from "./labels.ts";
import { collectPages } from "./paging.ts";
import type { MintResult, Provider, ProviderContext } from "./provider.ts";

/** Tokens on a page. Each may carry hundreds of permission groups, and an answer is read up to 64 KiB. */
const PAGE_SIZE = 10;

const settings = z.strictObject({
  accountId: z
    .string()
    .regex(/^[0-9a-f]{32}$/, { message: "must be 32 hex digits" })
    .describe("The account that the tokens belong to."),
  baseUrl: addressSetting("https://api.cloudflare.com/client/v4"),
});

/** What a policy is made of, without what the service adds when it shows one. */
const policySchema = z.object({
  effect: z.enum(["allow", "deny"]),
  resources: z.record(z.string(), z.unknown()),
  permission_groups: z.array(z.object({ id: z.string().min(1) })).min(1),
});

const conditionSchema = z.record(z.string(), z.record(z.string(), z.array(z.string())));

const keySettings = z.strictObject({
  policies: z
    .array(policySchema)
    .min(1)
    .max(100)
    .optional()
    .describe(
      "What a first token may do, as Cloudflare's API has it. Later ones have what the one before had.",
    ),
  lifetime: periodSchema
    .optional()
    .describe(
      "After this long Cloudflare ends a token by itself. Default: as long as the one before, or never.",
    ),
});

const tokenSchema = z.object({
  id: z.string().min(1),
  name: z.string(),
  policies: z.array(policySchema),
  condition: conditionSchema.nullish(),
  issued_on: z.string().nullish(),
  expires_on: z.string().nullish(),
  not_before: z.string().nullish(),
  last_used_on: z.string().nullish(),
});

const envelope = <Result extends z.ZodType>(result: Result) => z.object({ success: z.literal(true), result });

const made = envelope(
  z.object({ id: z.string().min(1), value: z.string().min(20), expires_on: z.string().nullish() }),
);
const verified = envelope(z.object({ status: z.enum(["active", "disabled", "expired"]) }));
const listed = envelope(z.array(z.object({ id: z.string().min(1), name: z.string() })));
const shown = envelope(tokenSchema);

const failed = z.object({
  success: z.literal(false),
  errors: z.array(z.object({ code: z.number() })).catch([]),
});

/** Its codes are numbers, which no problem shows; that a 200 says no is seen by there being one. */
function codeOf(body: unknown): string | undefined {
  const { data } = failed.safeParse(body);
  return data && `error-${data.errors[0]?.code ?? 0}`;
}

/** One call to the account's tokens, as its manager or as who has `secret`. */
function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  { path, secret, ...request }: Omit<ApiRequest, "url"> & { path: string; secret?: string },
  schema: Schema,
): Promise<ApiAnswer<z.output<Schema>>> {
  const { accountId, baseUrl } = settings.parse(context.connection?.config);
  const bearer = secret ?? context.connection?.credential.secret ?? "";
  return callApi(
    context,
    {
      ...request,
      url: `${baseUrl}/accounts/${accountId}/tokens${path}`,
      headers: { authorization: `Bearer ${bearer}` },
    },
    { schema, errorCode: codeOf },
  );
}

const show = (context: ProviderContext, reference: string) =>
  ask(context, { method: "GET", path: `/${encodeURIComponent(reference)}` }, shown);

/** What a new token may do. */
interface Grant {
  policies: z.output<typeof policySchema>[];
  condition?: z.output<typeof conditionSchema>;
}

interface Granted {
  kind: "granted";
  grant: Grant;
  /** For how long, milliseconds. Absent for ever. */
  lifeMs: number | undefined;
}

/** The old token's grant, or that of the key's settings where there is none to clone. */
async function grantOf(context: ProviderContext): Promise<Granted | Exclude<MintResult, { kind: "minted" }>> {
  const { old } = context;
  const { policies, lifetime } = keySettings.parse(context.config);
  const wantedMs = lifetime === undefined ? undefined : parseDuration(lifetime);
  if (old?.reference) {
    const answer = await show(context, old.reference);
    if (answer.kind === "ok") {
      const { result } = answer.value;
      return { kind: "granted", grant: grantIn(result), lifeMs: wantedMs ?? lifeOf(result) };
    }
    if (answer.kind !== "status" || answer.status !== 404) return { kind: "postponed", ...laterOf(answer) };
  }
  if (policies) return { kind: "granted", grant: { policies }, lifeMs: wantedMs };
  const why = old ? "the old token is gone" : "there is no old token";
  return { kind: "refused", problem: `${why}, and the key's config has no policies to give to a new one` };
}

/** How long a token was given in all: what ends must not be followed by what does not. */
function lifeOf({ issued_on, expires_on }: z.output<typeof tokenSchema>): number | undefined {
  return issued_on && expires_on ? Date.parse(expires_on) - Date.parse(issued_on) : undefined;
}

/** An empty list of addresses would shut out everybody, so it is left out. */
function grantIn({ policies, condition }: z.output<typeof tokenSchema>): Grant {
  const kept = Object.entries(condition ?? {}).flatMap(([on, lists]) => {
    const full = Object.entries(lists).filter(([, addresses]) => addresses.length > 0);
    return full.length > 0 ? [[on, Object.fromEntries(full)] as const] : [];
  });
  return { policies, ...(kept.length > 0 && { condition: Object.fromEntries(kept) }) };
}

/** RFC 3339 without fractions of a second, which the service refuses. */
function timeOf(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, "Z");
}

export const cloudflare: Provider = {
  name: "cloudflare",
  title: "Cloudflare account token",
  about: {
    page: "https://developers.cloudflare.com/fundamentals/api/get-started/account-owned-tokens/",
    leastScope: "An account token with the permission Account API Tokens Write.",
    calls: {
      preflight:
        "GET /accounts/{account}/tokens; for the connection alone GET /accounts/{account}/tokens/verify",
      mint: "GET /accounts/{account}/tokens/{old}, then POST /accounts/{account}/tokens with its policies",
      test: "GET /accounts/{account}/tokens/verify with the token in question",
      find: "GET /accounts/{account}/tokens, page by page, by name",
      disable: "GET /accounts/{account}/tokens/{id}, then PUT with status disabled",
      revoke: "DELETE /accounts/{account}/tokens/{id}",
      lastUsed: "GET /accounts/{account}/tokens/{id}, last_used_on",
    },
    notes: [
      "A new token has the policies and the conditions of the one that it replaces, and ends after as long a time if that one had an end. A first token has the policies in the key's config.",
      "The service's roll is not used: it ends the old value at once.",
      "A token that is restricted to addresses cannot be tested from elsewhere: its test stays unclear, and the rotation fails at deliverWithin.",
      "Tokens are listed ten at a time, and 64 KiB of an answer are read: where ten tokens have more policies than that, preflight is red.",
      "At most 1,200 calls in 5 minutes go out for a connection, as many as the service allows.",
    ],
    unverified: [
      "How soon a new token is accepted everywhere and a deleted one refused: half a minute is assumed.",
      "That a value which does not work is answered 401 by verify; every other answer leaves the test unclear.",
      "How far behind last_used_on is, and whether calls to verify count.",
    ],
  },
  overlap: "ours",
  local: false,
  // The old token is read first.
  timeoutMs: 2 * CALL_TIMEOUT_MS,
  propagationMs: 30_000,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: z.strictObject({
      secret: z.string().min(8).describe("An account token that may manage the account's tokens."),
    }),
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: keySettings,
  // Of the whole API, for a token (https://developers.cloudflare.com/fundamentals/api/reference/limits/).
  rateLimit: { calls: 1_200, perMs: 5 * 60_000 },
  needsReference: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const { accountId } = settings.parse(context.connection?.config);
    // A connection may serve destinations alone, with a token that may not so much as list tokens.
    const request = context.name === "" ? { path: "/verify" } : { path: "", query: { per_page: PAGE_SIZE } };
    const answer = await ask(context, { method: "GET", ...request }, context.name === "" ? verified : listed);
    return readyBy(answer, accountId);
  },

  async mint(context, intent) {
    const granted = await grantOf(context);
    if (granted.kind !== "granted") return granted;
    const { grant, lifeMs } = granted;
    const answer = await ask(
      context,
      {
        method: "POST",
        path: "",
        json: {
          name: labelOf(context, intent),
          ...grant,
          ...(lifeMs !== undefined && { expires_on: timeOf(context.now + lifeMs) }),
        },
      },
      made,
    );
    if (answer.kind !== "ok") return unminted(answer);
    const { id, value, expires_on } = answer.value.result;
    return {
      kind: "minted",
      fields: { secret: value },
      reference: id,
      report: answer.report,
      ...(expires_on && { expiresAt: Date.parse(expires_on) }),
    };
  },

  async test(context, { fields }) {
    if (!fields) return VALUE_UNKNOWN;
    const answer = await ask(context, { method: "GET", path: "/verify", secret: fields.secret }, verified);
    const status = answer.kind === "ok" ? answer.value.result.status : "active";
    return status === "active"
      ? testedBy(answer, { statuses: [401] })
      : { kind: "rejected", problem: `the token is ${status}` };
  },

  async find(context, marker) {
    const answer = await collectPages(async (from = "1") => {
      const query = { page: from, per_page: PAGE_SIZE };
      const page = await ask(context, { method: "GET", path: "", query }, listed);
      if (page.kind !== "ok") return page;
      const items = page.value.result;
      // Only an empty page is the end for sure: a service may put less on a page than was asked for.
      const next = items.length === 0 ? undefined : String(Number(from) + 1);
      return { ...page, value: { items, next } };
    });
    return listedBy(answer, (tokens) =>
      tokens.filter(({ name }) => carries(name, marker)).map(({ id }) => id),
    );
  },

  async disable(context, { reference }) {
    const token = await show(context, reference);
    if (token.kind !== "ok") return revokedBy(token);
    const { name, policies, expires_on, not_before } = token.value.result;
    const { condition } = grantIn(token.value.result);
    const json = {
      name,
      policies,
      status: "disabled",
      ...(condition && { condition }),
      ...(expires_on && { expires_on }),
      ...(not_before && { not_before }),
    };
    const path = `/${encodeURIComponent(reference)}`;
    return revokedBy(await ask(context, { method: "PUT", path, json }, z.unknown()));
  },

  async revoke(context, { reference }) {
    const path = `/${encodeURIComponent(reference)}`;
    return revokedBy(await ask(context, { method: "DELETE", path }, z.unknown()));
  },

  async lastUsed(context, { reference }) {
    return lastUsedBy(await show(context, reference), ({ result }) =>
      result.last_used_on ? Date.parse(result.last_used_on) : null,
    );
  },
};
