/**
 * The account's Secrets Store: a value is held once the store says that it is active, which comes a moment after it took it. A value can
 * never be read back, so each secret says in its comment which delivery it came by.
 */
import { z } from "zod";
import { durationSchema, parseDuration } from "../duration.ts";
import type { ApiAnswer, Failed } from "../providers/http-client.ts";
import type { CallReport } from "../store/work-table.ts";
import {
  CLOUDFLARE,
  callAccount,
  connectionSchema,
  failedBy,
  pathPartSchema,
  settledBy,
  unfit,
} from "./cloudflare.ts";
import type { Destination, DestinationContext, SendResult } from "./destination.ts";
import { nameFields, nameOfKey, namesSchema, toIdentifier } from "./names.ts";

const PROPAGATION = "60s";
const MAX_BYTES = 65_536;
const PAGE = 100;
/** An account has 100 secrets unless it was given more. */
const MAX_PAGES = 20;
/** No write begins later: with its time-out it would outlast the lease of the delivery, and come after the next one's. */
const WRITE_WITHIN_MS = 25_000;
/** Waits between looks at a value that is not active yet. What takes longer is looked at by the next attempt. */
const LOOK_AGAIN_MS = [300, 1_000, 2_000];
const PENDING_RETRY_MS = 5_000;

const configSchema = z.strictObject({
  connection: connectionSchema,
  storeId: pathPartSchema.describe("The store's id."),
  names: namesSchema,
  scopes: z
    .array(z.string().regex(/^[a-z][a-z_-]{0,39}$/))
    .min(1)
    .max(10)
    .default(["workers"])
    .describe("Which products may use the secrets."),
  propagation: durationSchema
    .optional()
    .describe(`How long until all readers see a value. Default ${PROPAGATION}.`),
});

const secretSchema = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  comment: z.string().nullish(),
});
const quotaSchema = z.object({ secrets: z.object({ quota: z.number(), usage: z.number() }) });
type Secret = z.output<typeof secretSchema>;

export const secretsStore: Destination = {
  type: "secrets-store",
  title: "Secrets Store",
  about: {
    summary: "Secrets of a Cloudflare account, which many Workers and AI Gateway read from one store.",
    page: "https://developers.cloudflare.com/secrets-store/",
    leastScope: "Account Secrets Store: Edit",
    calls: {
      probe: "GET /accounts/{accountId}/secrets_store/stores/{storeId}/secrets",
      list: "GET /accounts/{accountId}/secrets_store/stores/{storeId}/secrets: which there are, and whether they are active",
      quota: "GET /accounts/{accountId}/secrets_store/quota, when new ones were refused",
      put: "POST …/secrets with those that are new, PATCH …/secrets/{id} for each of the others",
    },
    notes: [
      "A value is held once its status is `active`; while it is `pending` nobody takes it for delivered, and it is not written again.",
      "The comment of a secret names the delivery that it came by. A secret of that name that was there before is taken over.",
      "A value has at most 65,536 bytes a field, an account 100 secrets: each field is one.",
      "In names every character but letters, digits and `_` becomes `_`.",
    ],
    unverified: [
      "How long until all readers see a new value: a minute is assumed.",
      "How many secrets a page of the list may hold: an empty page is taken for its end.",
    ],
    example: { connection: "cloudflare", storeId: "8f7a1cdced6342c18d223ece462fd88d" },
  },
  config: configSchema,
  through: CLOUDFLARE,
  confirms: true,
  signs: false,
  propagationMs: (config) => parseDuration(configSchema.parse(config).propagation ?? PROPAGATION),
  targetOf({ account, name, config }) {
    const { storeId, names } = configSchema.parse(config);
    return `secrets-store:${account}/${storeId}/${nameOfKey(names, name, toIdentifier)}`;
  },
  problemOf: () => undefined,

  async probe(context) {
    return settledBy(context, await listPage(context, 1, 1));
  },

  async put(context, { deliveryId, name, fields, attempt }) {
    const begun = Date.now();
    const { names, scopes } = configSchema.parse(context.config);
    const named = nameFields(names, name, fields, toIdentifier);
    if (!named.ok) return unfit(context, named.error);
    const wanted = named.value;
    if ([...wanted.values()].some((value) => Buffer.byteLength(value) > MAX_BYTES)) {
      return unfit(context, `a secret has at most ${MAX_BYTES} bytes`);
    }
    const comment = `Kept by Rekey: ${deliveryId}`;
    const before = await list(context);
    if (before.kind !== "ok") return failedBy(context, before);
    const present = before.value.filter((secret) => wanted.has(secret.name) && secret.status !== "deleted");
    // What an earlier attempt of this delivery brought there is waited for: written again it would be pending again, without end.
    const isSent = (secret: Secret) => attempt > 0 && secret.comment === comment;
    const body = { scopes, comment };
    const isLate = () => Date.now() - begun > WRITE_WITHIN_MS;
    const added = [...wanted].filter(([id]) => !present.some((secret) => secret.name === id));
    if (added.length > 0) {
      if (isLate()) return failedBy(context, tooSlow(before.report));
      const json = added.map(([id, value]) => ({ name: id, value, ...body }));
      const path = pathOf(context.config);
      const made = await callAccount(context, { method: "POST", path, json }, z.array(secretSchema));
      if (made.kind !== "ok") return failedBy(context, await explain(context, made, added.length));
    }
    for (const secret of present.filter((one) => !isSent(one))) {
      const path = `${pathOf(context.config)}/${encodeURIComponent(secret.id)}`;
      if (isLate()) return failedBy(context, tooSlow(before.report));
      const json = { value: wanted.get(secret.name), ...body };
      const changed = await callAccount(context, { method: "PATCH", path, json }, z.unknown());
      if (changed.kind !== "ok") return failedBy(context, changed);
    }
    return seeActive(context, [...wanted.keys()], comment);
  },
};

function tooSlow(report: CallReport): Failed {
  return { kind: "unreadable", problem: "it answers too slowly to write all fields in one go", report };
}

/** Looks until all are active as this delivery brought them, a few times. */
async function seeActive(context: DestinationContext, names: string[], comment: string): Promise<SendResult> {
  for (let look = 0; ; look++) {
    const seen = await list(context);
    if (seen.kind !== "ok") return failedBy(context, seen);
    const isActive = (name: string) =>
      seen.value.some(
        (one) => one.name === name && one.status === "active" && (one.comment ?? comment) === comment,
      );
    if (names.every(isActive)) return { kind: "held", report: seen.report };
    const waitMs = LOOK_AGAIN_MS[look];
    if (waitMs === undefined) {
      const problem = "the store took it, and does not say yet that it is active";
      const pending: Failed = {
        kind: "unreadable",
        problem,
        report: seen.report,
        retryAfterMs: PENDING_RETRY_MS,
      };
      return failedBy(context, pending);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** Says so when it is for want of room that secrets were not added. */
async function explain(context: DestinationContext, failed: Failed, added: number): Promise<Failed> {
  if (failed.kind !== "status" || failed.status >= 500 || failed.status === 429) return failed;
  const path = "/secrets_store/quota";
  const answer = await callAccount(context, { method: "GET", path }, quotaSchema);
  if (answer.kind !== "ok") return failed;
  const { quota, usage } = answer.value.secrets;
  if (usage + added <= quota) return failed;
  return { ...failed, problem: `${usage} of the account's ${quota} secrets are in use already` };
}

/** Which secrets there are; never their values. */
async function list(context: DestinationContext): Promise<ApiAnswer<Secret[]>> {
  const all: Secret[] = [];
  for (let page = 1; page <= MAX_PAGES; page++) {
    const answer = await listPage(context, page, PAGE);
    if (answer.kind !== "ok") return answer;
    all.push(...answer.value);
    // A page may hold less than was asked for: only an empty one is the end for sure.
    if (answer.value.length === 0) return { ...answer, value: all };
  }
  return { kind: "unreadable", problem: `the list of secrets goes on after ${MAX_PAGES} pages` };
}

function listPage(context: DestinationContext, page: number, perPage: number) {
  const query = { page, per_page: perPage };
  return callAccount(context, { method: "GET", path: pathOf(context.config), query }, z.array(secretSchema));
}

function pathOf(config: unknown): string {
  return `/secrets_store/stores/${configSchema.parse(config).storeId}/secrets`;
}
