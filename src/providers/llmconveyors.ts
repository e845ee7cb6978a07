/**
 * LLM Conveyors platform keys. An admin's key has the service make the successor and keep the old one alive for whole hours. An answer does
 * not name the new key, so a key goes by its prefix and the time it was made, by which the service's list finds the hash that calls want.
 */
import { z } from "zod";
import { addressSetting } from "./address.ts";
import {
  type ApiAnswer,
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
import type { MintIntent, MintResult, Provider, ProviderContext } from "./provider.ts";

const TIMEOUT_MS = 30_000;
const HOUR_MS = 3_600_000;
const KEYS_PATH = "/settings/platform-api-keys";

const settings = z.strictObject({
  baseUrl: addressSetting("https://api.llmconveyors.com/api/v1"),
});

const credential = z.strictObject({
  secret: z.string().min(8).describe("A platform key with the scope `settings:write`."),
});

const keySettings = z.strictObject({
  label: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe("What a first value is called at the service. Default: the key's name here."),
  scopes: z
    .array(z.string().min(1).max(100))
    .max(50)
    .optional()
    .describe("What a first value may do. Default: the service's own."),
  monthlyCreditsLimit: z
    .number()
    .positive()
    .optional()
    .describe("Credits that a first value may use in a month. Default: no limit."),
});

/** Part of every answer about a key. */
const described = z.object({
  keyPrefix: z.string().min(1),
  label: z.string(),
  scopes: z.array(z.string()),
  createdAt: z.string().refine((text) => !Number.isNaN(Date.parse(text))),
  expiresAt: z.string().nullish(),
  monthlyCreditsLimit: z.number().nullish(),
});
const made = described.extend({ fullKey: z.string().min(8) });
const listed = z.array(
  described.extend({ keyHash: z.string().min(1), isActive: z.boolean(), lastUsedAt: z.string().nullish() }),
);

type Listed = z.output<typeof listed>[number];

const failure = z.object({
  success: z.literal(false),
  error: z
    .object({ code: z.string(), retryAfterMs: z.number().positive().optional().catch(undefined) })
    .catch({ code: "not_successful" }),
});
const bareFailure = z.object({ code: z.string(), message: z.string() });

interface Ask {
  method: "GET" | "POST" | "DELETE";
  /** Below that of all keys. */
  path?: string;
  json?: unknown;
  /** The key that asks; default the connection's. */
  secret?: string;
}

function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  schema: Schema,
  { method, path = "", json, secret }: Ask,
) {
  const { config, credential: admin } = context.connection ?? { config: {}, credential: {} };
  const headers = { "x-api-key": secret ?? admin.secret ?? "" };
  const url = `${settings.parse(config).baseUrl}${KEYS_PATH}${path}`;
  return callApi(
    context,
    { method, url, headers, json, timeoutMs: TIMEOUT_MS },
    {
      schema,
      parse: unwrap,
      errorCode: (body) => failure.safeParse(body).data?.error.code ?? bareFailure.safeParse(body).data?.code,
      retryAfterMs: (body) => failure.safeParse(body).data?.error.retryAfterMs,
    },
  );
}

const wrapped = z.object({ success: z.literal(true), data: z.unknown() });

/** A success comes as it is, or as the `data` of an envelope. */
function unwrap(text: string): unknown {
  const body: unknown = text.trim() === "" ? null : JSON.parse(text);
  const { success, data } = wrapped.safeParse(body);
  return success && data.data !== undefined ? data.data : body;
}

function askList(context: ProviderContext, secret?: string) {
  return ask(context, listed, { method: "GET", ...(secret !== undefined && { secret }) });
}

/** How a key is named here: what both an answer and the list say of it. */
function referenceOf({ keyPrefix, createdAt }: z.output<typeof described>): string {
  return `${keyPrefix} ${new Date(createdAt).toISOString()}`;
}

/** The keys that a reference means: one, unless it is gone. A person names an adopted one by its hash. */
function findEntries(entries: readonly Listed[], reference: string): Listed[] {
  return entries.filter((one) => one.keyHash === reference || referenceOf(one) === reference);
}

function findEntry(entries: readonly Listed[], reference: string): Listed | undefined {
  const [entry, ...more] = findEntries(entries, reference);
  return more.length === 0 ? entry : undefined;
}

/** Those that look like the key in question. While nobody knows how it looks, all do: one too many is for a person to sort out. */
function alike(context: ProviderContext, entries: readonly Listed[]): Listed[] {
  const active = entries.filter(({ isActive }) => isActive);
  const looks = context.old ? findEntry(entries, context.old.reference) : wantedOf(context);
  if (!looks) return active;
  const scopes = looks.scopes && sorted(looks.scopes);
  return active.filter((one) => one.label === looks.label && (!scopes || sorted(one.scopes) === scopes));
}

function sorted(scopes: readonly string[]): string {
  return [...scopes].sort().join(" ");
}

/** What a first value is made with. */
function wantedOf({ name, config }: ProviderContext) {
  const { label = name, ...rest } = keySettings.parse(config);
  return { label, ...rest };
}

function mintedBy(answer: ApiAnswer<z.output<typeof made>>, oldEndsAt?: number): MintResult {
  if (answer.kind !== "ok") return unminted(answer);
  const { value, report } = answer;
  const expiresAt = Date.parse(value.expiresAt ?? "");
  return {
    kind: "minted",
    fields: { secret: value.fullKey },
    reference: referenceOf(value),
    ...(oldEndsAt !== undefined && { oldEndsAt }),
    ...(!Number.isNaN(expiresAt) && { expiresAt }),
    report,
  };
}

async function create(context: ProviderContext, json: object): Promise<MintResult> {
  return mintedBy(await ask(context, made, { method: "POST", json }));
}

/** The old one is rotated, or, where its clock runs already or it is dead, gets a successor that is made like it. */
async function replace(
  context: ProviderContext,
  old: NonNullable<ProviderContext["old"]>,
  { graceMs, again }: MintIntent,
): Promise<MintResult> {
  const answer = await askList(context);
  // Nothing was asked for yet.
  if (answer.kind !== "ok") return { kind: "postponed", ...laterOf(answer) };
  const entry = findEntry(answer.value, old.reference);
  if (again || !entry?.isActive) {
    const isKnown = entry !== undefined || again || old.fields === undefined;
    if (!isKnown)
      return { kind: "refused", problem: "the service lists no key with the reference of the present value" };
    return create(context, entry ? likeOf(entry, context.now) : wantedOf(context));
  }
  const hours = Math.ceil(graceMs / HOUR_MS);
  const path = `/${encodeURIComponent(entry.keyHash)}/rotate`;
  const rotated = await ask(context, made, { method: "POST", path, json: { gracePeriodHours: hours } });
  return mintedBy(rotated, context.now + hours * HOUR_MS);
}

function likeOf({ label, scopes, expiresAt, monthlyCreditsLimit }: Listed, now: number): object {
  const isAhead = typeof expiresAt === "string" && Date.parse(expiresAt) > now;
  return {
    label,
    scopes,
    ...(isAhead && { expiresAt }),
    ...(typeof monthlyCreditsLimit === "number" && { monthlyCreditsLimit }),
  };
}

export const llmconveyors: Provider = {
  name: "llmconveyors",
  title: "LLM Conveyors",
  about: {
    page: "https://llmconveyors.com/docs/sdk",
    leastScope:
      "`settings:write` for the key of the connection. The keys that it rotates need no scope for that.",
    calls: {
      preflight: "GET /settings/platform-api-keys with the connection's key",
      mint: 'POST /settings/platform-api-keys/{keyHash}/rotate `{"gracePeriodHours":…}` with the connection\'s key, after a look at the list; for a first value POST /settings/platform-api-keys `{"label":…}`',
      test: "GET /settings/platform-api-keys with the key in question",
      list: "GET /settings/platform-api-keys with the connection's key",
      revoke:
        "DELETE /settings/platform-api-keys/{keyHash} with the connection's key, after a look at the list",
      lastUsed: "GET /settings/platform-api-keys with the connection's key",
    },
    notes: [
      "The service itself ends the old key, after whole hours: a grace is rounded up to them.",
      "The answer to a rotation does not name the new key. Rekey calls it by its prefix and the time it was made, and finds its hash by those in the list. `reference` of a value that is handed in is its `keyHash`.",
      "When an answer was lost, the list is compared with the one before. Exactly one new key with the same label and scopes is the one whose value was lost: it is revoked, and another is created like the old one, as the old one's time runs already. Anything else waits for a person.",
      "The list is read up to 64 KiB; an account with more keys than that cannot be worked with.",
      "A key without the scope for the list is answered INSUFFICIENT_SCOPE; it is a good key all the same.",
      "`label`, `scopes` and `monthlyCreditsLimit` are for a value that is made from nothing. A rotation keeps what the old key has.",
    ],
    unverified: [
      "Whether the service takes a `gracePeriodHours` of 0, and how long a grace may be.",
      "Whether a key that was revoked stays in the list as inactive or leaves it; both are read as dead.",
    ],
  },
  overlap: "provider",
  local: false,
  // A mint looks for the old key's hash first.
  timeoutMs: 2 * TIMEOUT_MS,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential,
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: keySettings,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    return readyBy(await askList(context));
  },

  mint(context, intent) {
    return context.old ? replace(context, context.old, intent) : create(context, wantedOf(context));
  },

  async test(context, { fields }) {
    if (!fields) return VALUE_UNKNOWN;
    const answer = await askList(context, fields.secret);
    if (answer.kind === "status" && answer.code === "INSUFFICIENT_SCOPE")
      return { kind: "valid", ...(answer.report && { report: answer.report }) };
    return testedBy(answer, { statuses: [401] });
  },

  async revoke(context, { reference }) {
    const answer = await askList(context);
    if (answer.kind !== "ok") return { kind: "failed", ...laterOf(answer) };
    const [entry, ...more] = findEntries(answer.value, reference).filter(({ isActive }) => isActive);
    const { report } = answer;
    if (!entry) return { kind: "revoked", report };
    if (more.length > 0) return { kind: "failed", problem: "the service lists several keys like it", report };
    const path = `/${encodeURIComponent(entry.keyHash)}`;
    return revokedBy(await ask(context, z.unknown(), { method: "DELETE", path }));
  },

  async list(context) {
    return listedBy(await askList(context), (entries) =>
      alike(context, entries).map((one) =>
        one.keyHash === context.old?.reference ? one.keyHash : referenceOf(one),
      ),
    );
  },

  async lastUsed(context, { reference }) {
    const answer = await askList(context);
    if (answer.kind !== "ok") return { kind: "failed", ...laterOf(answer) };
    const entry = findEntry(answer.value, reference);
    if (!entry) return { kind: "failed", problem: "the service does not list it", report: answer.report };
    return lastUsedBy({ ...answer, value: entry }, ({ lastUsedAt }) => timeOf(lastUsedAt));
  },
};

function timeOf(text: string | null | undefined): number | null {
  const at = Date.parse(text ?? "");
  return Number.isNaN(at) ? null : at;
}
