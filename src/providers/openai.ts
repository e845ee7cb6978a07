/**
 * Keys of OpenAI project service accounts. A service account's key cannot be deleted by itself, so each rotation makes an account of its
 * own, and the old account goes with its key.
 */
import { z } from "zod";
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import { addressSetting } from "./address.ts";
import {
  type ApiAnswer,
  type ApiRequest,
  callApi,
  lastUsedBy,
  listedBy,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
  VALUE_UNKNOWN,
} from "./http-client.ts";
import { carries, labelOf } from "./labels.ts";
import { collectPages } from "./paging.ts";
import type { Provider, ProviderContext } from "./provider.ts";

/** The service allows 100, but an answer is read up to 64 KiB. */
const PAGE_SIZE = 50;

const settings = z.strictObject({
  baseUrl: addressSetting("https://api.openai.com/v1"),
});

const keySettings = z.strictObject({
  projectId: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,100}$/)
    .describe("The project in which the service accounts are, such as proj_abc."),
});

const made = z.object({ id: z.string().min(1), api_key: z.object({ value: z.string().min(20) }) });

const problem = z.object({ error: z.object({ code: z.string() }) });

const listed = z.object({ id: z.string().min(1) });

const pageOf = <Item extends typeof listed>(item: Item) =>
  z.object({ data: z.array(item), has_more: z.boolean() });

const account = listed.extend({ name: z.string() });

const apiKey = listed.extend({
  last_used_at: z.number().nullish(),
  owner: z.object({ service_account: z.object({ id: z.string() }).nullish() }),
});

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
    { schema, errorCode: (body) => problem.safeParse(body).data?.error.code },
  );
}

function projectOf({ config }: ProviderContext): string {
  return `/organization/projects/${encodeURIComponent(keySettings.parse(config).projectId)}`;
}

function listAll<Item extends typeof listed>(context: ProviderContext, path: string, item: Item) {
  return collectPages(async (after) => {
    const query = { limit: PAGE_SIZE, after };
    const answer = await ask(context, { method: "GET", path, query }, pageOf(item));
    if (answer.kind !== "ok") return answer;
    const { data, has_more } = answer.value;
    return { ...answer, value: { items: data, next: has_more ? data.at(-1)?.id : undefined } };
  });
}

export const openai: Provider = {
  name: "openai",
  title: "OpenAI project service account",
  about: {
    page: "https://platform.openai.com/docs/api-reference/project-service-accounts",
    leastScope:
      "An admin key of the organization (sk-admin-…) that may manage the project's service accounts.",
    calls: {
      preflight:
        "GET /organization/projects/{project}/service_accounts; of a connection, GET /organization/projects",
      mint: "POST /organization/projects/{project}/service_accounts",
      test: "GET /models with the key in question",
      find: "GET /organization/projects/{project}/service_accounts, page by page, by name",
      revoke: "DELETE /organization/projects/{project}/service_accounts/{account}",
      lastUsed: "GET /organization/projects/{project}/api_keys, page by page, by owner",
    },
    notes: [
      "Each rotation makes a service account of its own, and deleting the old account ends its key: the service lets nobody delete such a key by itself. What was granted to the old account by hand is not copied.",
      "A key's reference is the id of its service account. All keys of that account end with it, so do not make others by hand.",
      "Keys that belong to a person cannot be rotated this way; hand them in as new keys of a service account.",
    ],
    unverified: [
      "How soon a new key is accepted and one of a deleted account refused: a minute is assumed.",
      "How long the name of a service account may be: at most 100 characters are used.",
      "How far behind last_used_at is.",
    ],
  },
  overlap: "ours",
  local: false,
  timeoutMs: CALL_TIMEOUT_MS,
  propagationMs: 60_000,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: z.strictObject({
      secret: z.string().min(8).describe("An admin key of the organization."),
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
    const query = { limit: 1 };
    const isOfKey = keySettings.safeParse(context.config).success;
    const path = isOfKey ? `${projectOf(context)}/service_accounts` : "/organization/projects";
    return readyBy(await ask(context, { method: "GET", path, query }, pageOf(listed)));
  },

  async mint(context, intent) {
    const path = `${projectOf(context)}/service_accounts`;
    const name = labelOf(context, intent);
    const answer = await ask(context, { method: "POST", path, json: { name } }, made);
    if (answer.kind !== "ok") return unminted(answer);
    const { id, api_key } = answer.value;
    return { kind: "minted", fields: { secret: api_key.value }, reference: id, report: answer.report };
  },

  async test(context, { fields }) {
    if (!fields) return VALUE_UNKNOWN;
    const request = { method: "GET", path: "/models", secret: fields.secret } as const;
    // 403 is of what a key may do, or from where: it says nothing of the value.
    return testedBy(await ask(context, request, z.unknown()), { statuses: [401] });
  },

  async find(context, marker) {
    const answer = await listAll(context, `${projectOf(context)}/service_accounts`, account);
    return listedBy(answer, (accounts) =>
      accounts.filter(({ name }) => carries(name, marker)).map(({ id }) => id),
    );
  },

  async revoke(context, { reference }) {
    const path = `${projectOf(context)}/service_accounts/${encodeURIComponent(reference)}`;
    return revokedBy(await ask(context, { method: "DELETE", path }, z.unknown()));
  },

  async lastUsed(context, { reference }) {
    const answer = await listAll(context, `${projectOf(context)}/api_keys`, apiKey);
    return lastUsedBy(answer, (keys) => {
      const uses = keys
        .filter(({ owner }) => owner.service_account?.id === reference)
        .map(({ last_used_at }) => last_used_at ?? 0);
      const latest = Math.max(0, ...uses);
      return latest === 0 ? null : latest * 1_000;
    });
  },
};
