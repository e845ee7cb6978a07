/**
 * Any REST service, described in the settings of its connection and not in code: docs/http.md. A request that cannot be filled in is not
 * sent, and what an answer does not plainly say is not known.
 */
import { z } from "zod";
import { parseDuration } from "../duration.ts";
import { carries, listedSchema, mintedSchema, nextPage, textOf } from "./described/answer.ts";
import {
  callsOf,
  type Description,
  descriptionSchema,
  moreFieldsOf,
  needsOld,
} from "./described/description.ts";
import { parseExactly, valueAt } from "./described/pointer.ts";
import {
  fieldsNamed,
  fillIn,
  originOf,
  placeholdersInText,
  placeholdersOf,
  type RequestDescription,
} from "./described/request.ts";
import { fieldOf, type Lookup } from "./described/template.ts";
import { fieldsCalled } from "./fields.ts";
import {
  type ApiAnswer,
  callApi,
  type Failed,
  laterOf,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
} from "./http-client.ts";
import type {
  Credential,
  ListResult,
  MintIntent,
  MintResult,
  Provider,
  ProviderContext,
} from "./provider.ts";

const HOUR_MS = 3_600_000;
/** A list longer than this says nothing: what was not read cannot be called absent. */
const MAX_PAGES = 20;

function descriptionOf({ connection }: ProviderContext): Description {
  return descriptionSchema.parse(connection?.config ?? {});
}

/** What placeholders stand for, besides what a call has of its own. */
function lookupIn({ connection, config, name, old }: ProviderContext, own: Record<string, unknown>): Lookup {
  const groups: Record<string, Record<string, unknown> | undefined> = {
    credential: connection?.credential,
    config,
    get old() {
      return old?.fields;
    },
  };
  const words: Record<string, unknown> = { name, oldReference: old?.reference, ...own };
  return (placeholder) => {
    const [word = "", field] = placeholder.split(".");
    const holder = field === undefined ? words : (own[word] ?? groups[word]);
    const key = field ?? word;
    return typeof holder === "object" && holder !== null && Object.hasOwn(holder, key)
      ? (holder as Record<string, unknown>)[key]
      : undefined;
  };
}

interface Read<Schema extends z.ZodType> {
  schema: Schema;
  /** `any`: the body is not looked at. */
  body?: "json" | "any";
  timeoutMs?: number;
  query?: Record<string, string>;
}

async function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  request: RequestDescription,
  own: Record<string, unknown>,
  { schema, body, timeoutMs, query }: Read<Schema>,
): Promise<ApiAnswer<z.output<Schema>>> {
  const filled = fillIn(request, lookupIn(context, own));
  if (!filled.ok) return { kind: "not-sent", isForGood: true, problem: filled.error };
  return callApi(
    context,
    { ...filled.value, ...(timeoutMs !== undefined && { timeoutMs }), ...(query && { query }) },
    {
      schema,
      parse: body === "any" ? () => null : parseExactly,
      ...(request.ok && { ok: request.ok }),
    },
  );
}

/** When the service ends the old key, by what it was asked for. Undefined where it does not, or where its clock runs already. */
function oldEndsAt(
  { overlap, mint }: Description,
  { graceMs, again }: MintIntent,
  now: number,
): number | undefined {
  if (overlap.kind !== "provider" || again) return undefined;
  const fixed = fixedLastsMs({ overlap, mint });
  if (fixed !== undefined) return now + fixed;
  const names = placeholdersOf(mint);
  const lasts = [
    ...(names.includes("graceHours") ? [hoursOf(graceMs) * HOUR_MS] : []),
    ...(names.includes("graceSeconds") ? [secondsOf(graceMs) * 1_000] : []),
  ];
  // Where only the answer says when, and does not, what was asked for is all that is known.
  return now + (lasts.length > 0 ? Math.min(...lasts) : graceMs);
}

/** How long the service keeps an old key where the request says nothing of that. */
function fixedLastsMs({ overlap, mint }: Pick<Description, "overlap" | "mint">): number | undefined {
  if (overlap.kind !== "provider" || overlap.lasts === undefined) return undefined;
  const isAsked = placeholdersOf(mint).some((name) => name === "graceHours" || name === "graceSeconds");
  return isAsked ? undefined : parseDuration(overlap.lasts);
}

function hoursOf(ms: number): number {
  return Math.ceil(ms / HOUR_MS);
}

function secondsOf(ms: number): number {
  return Math.ceil(ms / 1_000);
}

async function mint(context: ProviderContext, intent: MintIntent): Promise<MintResult> {
  const description = descriptionOf(context);
  const { marker, idempotencyKey, graceMs } = intent;
  const own = { marker, idempotencyKey, graceHours: hoursOf(graceMs), graceSeconds: secondsOf(graceMs) };
  const answer = await ask(context, description.mint, own, {
    schema: mintedSchema(description.mint.answer, marker),
    timeoutMs: parseDuration(description.timeout),
  });
  if (answer.kind !== "ok") return notMinted(answer, description.mint);
  const { fields, reference, expiresAt, oldEndsAt: told } = answer.value;
  const ends = context.old ? (told ?? oldEndsAt(description, intent, context.now)) : undefined;
  return {
    kind: "minted",
    fields,
    reference,
    report: answer.report,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(ends !== undefined && { oldEndsAt: ends }),
  };
}

/** A status that nobody gave a meaning is a refusal only among the 4xx: whatever else was answered may have made a key. */
function notMinted(failed: Failed, { refused, conflict = [] }: Description["mint"]): MintResult {
  if (failed.kind !== "status") return unminted(failed);
  const { status, problem, report } = failed;
  const reported = report ? { report } : {};
  if (conflict.includes(status)) return { kind: "conflict", problem, ...reported };
  if (refused?.includes(status)) return { kind: "refused", problem, ...reported };
  const mayHaveMade = status < 400 || (refused !== undefined && status !== 429);
  return mayHaveMade ? { kind: "in-doubt", problem, ...reported } : unminted(failed);
}

async function find(context: ProviderContext, marker: string): Promise<ListResult> {
  const { find: request } = descriptionOf(context);
  if (!request) throw new Error("a search that is not described");
  const { items, pages, ...item } = request.answer;
  const schema = listedSchema(items);
  const references: string[] = [];
  let query: Record<string, string> | undefined;
  for (let page = 1; page <= MAX_PAGES; page++) {
    const answer = await ask(context, request, { marker }, { schema, ...(query && { query }) });
    if (answer.kind !== "ok") return { kind: "failed", ...laterOf(answer) };
    const { value, report } = answer;
    for (const one of value.items.filter((one) => carries(textOf(valueAt(one, item.marker)), marker))) {
      const reference = textOf(valueAt(one, item.reference));
      if (reference === undefined)
        return { kind: "failed", report, problem: "a key in its list has no name" };
      references.push(reference);
    }
    const next = pages ? nextPage(pages, value.body, value.items) : null;
    if (next === null) return { kind: "listed", references, report };
    if (next === undefined)
      return { kind: "failed", report, problem: "its list does not say where it goes on" };
    query = { [pages?.parameter ?? ""]: next };
  }
  return { kind: "failed", problem: `its list goes on after ${MAX_PAGES} pages` };
}

function ofCredential({ fields, reference }: Credential) {
  return { value: fields, reference };
}

const abilities = {
  async test(context, credential) {
    const { test } = descriptionOf(context);
    if (!test) throw new Error("a test that is not described");
    const answer = await ask(context, test, ofCredential(credential), {
      schema: z.unknown(),
      body: test.body,
    });
    return testedBy(answer, { statuses: test.rejected });
  },

  async revoke(context, credential) {
    const { revoke } = descriptionOf(context);
    if (!revoke) throw new Error("a revocation that is not described");
    const answer = await ask(context, revoke, ofCredential(credential), {
      schema: z.unknown(),
      body: revoke.body,
    });
    return revokedBy(answer, { gone: revoke.gone });
  },

  find,
} satisfies Partial<Provider>;

/** A key's own settings: those that the requests name. What stands inside a text is a text. */
function keyConfigOf(description: Description): Provider["config"] {
  const calls = callsOf(description).map(([, request]) => request);
  const names = new Set(calls.flatMap((request) => fieldsNamed(request, "config")));
  const inText = new Set(calls.flatMap((request) => placeholdersInText(request)));
  if (names.size === 0) return undefined;
  const shape = [...names].map((name) => [
    name,
    inText.has(`config.${name}`) ? z.string().min(1).max(1_024) : z.json(),
  ]);
  return z.strictObject(Object.fromEntries(shape) as Record<string, z.ZodType>);
}

function credentialOf(description: Description) {
  const names = new Set(callsOf(description).flatMap(([, request]) => fieldsNamed(request, "credential")));
  if (names.size === 0) return {};
  return {
    credential: z.strictObject(Object.fromEntries([...names].map((name) => [name, z.string().min(1)]))),
  };
}

const connection = {
  isOptional: false,
  config: descriptionSchema,
  isProgram: true,
  addresses: (config) => callsOf(descriptionSchema.parse(config)).map(([, request]) => originOf(request)),
} satisfies Provider["connection"];

const undescribed: Provider = {
  name: "http",
  title: "REST service",
  about: {
    page: "https://www.rfc-editor.org/rfc/rfc6901",
    leastScope: "Whatever the described requests need, and no more.",
    calls: {
      preflight: "as described in `config.preflight`",
      mint: "as described in `config.mint`",
      test: "as described in `config.test`",
      find: "as described in `config.find`",
      revoke: "as described in `config.revoke`",
    },
    notes: [
      "The connection's settings describe the service: its requests, where values stand in its answers, and which statuses mean what.",
      "No secret goes into an address, and a request with a placeholder that has no value is not sent.",
      "While keys use a connection, only root changes its settings, and only what leaves hosts and abilities as they are.",
    ],
    unverified: [],
  },
  overlap: "ours",
  local: false,
  timeoutMs: 15_000,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: { ...connection, credential: z.record(z.string(), z.string()) },
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    const { preflight } = descriptionOf(context);
    const needsKey = placeholdersOf(preflight).some((name) => fieldOf(name, "old") !== undefined);
    // Only a key can ask, and there is none yet.
    if (needsKey && !context.old) return { kind: "green" };
    const answer = await ask(context, preflight, {}, { schema: z.unknown(), body: preflight.body });
    const account =
      answer.kind === "ok" && preflight.account !== undefined
        ? textOf(valueAt(answer.value, preflight.account))
        : undefined;
    return readyBy(answer, account);
  },

  mint,
};

export const http: Provider = {
  ...undescribed,

  configured(config) {
    const description = descriptionSchema.parse(config);
    const { overlap, propagation, timeout, test, revoke, find: search, rateLimit } = description;
    const keyConfig = keyConfigOf(description);
    const oldLastsMs = fixedLastsMs(description);
    const fields = fieldsCalled(moreFieldsOf(description));
    return {
      ...undescribed,
      overlap: overlap.kind,
      ...(overlap.kind === "ours" && overlap.maxLive !== undefined && { maxLive: overlap.maxLive }),
      ...(oldLastsMs !== undefined && { oldLastsMs }),
      timeoutMs: parseDuration(timeout),
      propagationMs: parseDuration(propagation),
      repeatsMint: description.mint.repeatable,
      ...(rateLimit && { rateLimit: { calls: rateLimit.calls, perMs: parseDuration(rateLimit.per) } }),
      connection: { ...connection, ...credentialOf(description) },
      ...(keyConfig && { config: keyConfig }),
      ...(fields && { fields }),
      needsReference: [test, revoke].some((call) => call && placeholdersOf(call).includes("reference")),
      ...(needsOld(description) && { needsFirst: true }),
      ...(test && { test: abilities.test }),
      ...(revoke && { revoke: abilities.revoke }),
      ...(search && { find: abilities.find }),
    };
  },
};
