/**
 * GitLab access tokens, rotated by their id with another token, never with themselves. A rotation ends the old token at once, and rotating a
 * token that is revoked already ends its whole family, the new one included: so none is rotated that was not just seen to be active.
 */
import { z } from "zod";
import { parseDuration, periodSchema } from "../duration.ts";
import { addressSetting } from "./address.ts";
import {
  type ApiAnswer,
  type ApiRequest,
  callApi,
  readyBy,
  revokedBy,
  testedBy,
  unminted,
  VALUE_UNKNOWN,
} from "./http-client.ts";
import type { Credential, PreflightResult, Provider, ProviderContext } from "./provider.ts";

/** A lost answer costs the token, so it is waited for as long as may be. */
const TIMEOUT_MS = 60_000;

const DAY_MS = 86_400_000;

const settings = z.strictObject({
  baseUrl: addressSetting(
    "https://gitlab.com/api/v4",
    "Where the API is: of an instance of one's own, https://gitlab.acme.com/api/v4.",
  ),
});

const place = z.string().min(1).max(255).optional();

const keySettings = z
  .strictObject({
    project: place.describe("Id or path of the project, for a project access token."),
    group: place.describe("Id or path of the group, for a group access token."),
    lifetime: periodSchema
      .refine((text) => parseDuration(text) >= 2 * DAY_MS && parseDuration(text) <= 365 * DAY_MS, {
        message: "must be from 2d to 365d, as GitLab counts in days and allows a year",
      })
      .default("90d")
      .describe("For how long a new token is asked for, to the day; GitLab's own default is a week."),
  })
  .refine(({ project, group }) => project === undefined || group === undefined, {
    message: "a token is of a project or of a group, not of both",
  });

const tokenId = z.union([z.int(), z.string().regex(/^\d+$/)]).transform(String);

const dateSchema = z.iso.date();

const rotated = z.object({ id: tokenId, token: z.string().min(8), expires_at: dateSchema.nullish() });

const shown = z.object({ id: tokenId, active: z.boolean(), revoked: z.boolean() });

const self = z.object({ id: tokenId, user_id: z.int() });

const problem = z.object({ error: z.string() });

function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  { path, secret, ...request }: Omit<ApiRequest, "url"> & { path: string; secret?: string },
  schema: Schema,
): Promise<ApiAnswer<z.output<Schema>>> {
  const { baseUrl } = settings.parse(context.connection?.config);
  const token = secret ?? context.connection?.credential.secret ?? "";
  return callApi(
    context,
    { ...request, url: `${baseUrl}${path}`, headers: { "private-token": token } },
    { schema, errorCode: (body) => problem.safeParse(body).data?.error },
  );
}

const askSelf = (context: ProviderContext, secret?: string) =>
  ask(
    context,
    { method: "GET", path: "/personal_access_tokens/self", ...(secret !== undefined && { secret }) },
    self,
  );

/** Where a token is managed by its id. */
function pathOf({ config }: ProviderContext, reference: string): string {
  const { project, group } = keySettings.parse(config);
  const id = encodeURIComponent(reference);
  if (project !== undefined) return `/projects/${encodeURIComponent(project)}/access_tokens/${id}`;
  if (group !== undefined) return `/groups/${encodeURIComponent(group)}/access_tokens/${id}`;
  return `/personal_access_tokens/${id}`;
}

/** The token that opens the account must be another one: after its answer is lost, a token could not even say that it is dead. */
const ITSELF = "the connection's token is the key's own; a token is rotated with another one";

function isItself({ connection, old }: ProviderContext): boolean {
  return old?.fields !== undefined && connection?.credential.secret === old.fields.secret;
}

/** The last day of a token's life, which ends as that day begins. */
function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** The token that is about to be rotated lives, and is the one whose value its consumers have. */
async function checkOld(
  context: ProviderContext,
  { reference, fields }: Credential,
): Promise<PreflightResult> {
  const named = await ask(context, { method: "GET", path: pathOf(context, reference) }, shown);
  if (named.kind === "ok" && (named.value.revoked || !named.value.active)) {
    const problem = "the old token is revoked or expired at GitLab; rotating it would end its whole family";
    return { kind: "red", problem, report: named.report };
  }
  if (named.kind !== "ok" || !fields) return readyBy(named);
  const own = await askSelf(context, fields.secret);
  if (own.kind !== "ok" || own.value.id === reference) return readyBy(own);
  const problem =
    "the key's reference is the id of another token than its value's; adopt it again under its own id";
  return { kind: "red", problem, report: own.report };
}

export const gitlab: Provider = {
  name: "gitlab",
  title: "GitLab access token",
  about: {
    page: "https://docs.gitlab.com/api/personal_access_tokens/",
    leastScope:
      "A personal access token with the scope api: of an administrator, of the user whose personal token it is, or of a maintainer of the project or owner of the group.",
    calls: {
      preflight:
        "GET /personal_access_tokens/{id}, or /projects/{project}/access_tokens/{id}, or /groups/{group}/access_tokens/{id}, then GET /personal_access_tokens/self with the old token; of a connection, the latter alone",
      mint: "POST …/{id}/rotate with expires_at",
      test: "GET /personal_access_tokens/self with the token in question",
      revoke: "DELETE …/{id}",
    },
    notes: [
      "The old token is dead the moment that the new one is made; nothing brings it back.",
      "Rotating a token that is revoked already ends every token of its family, so a call to rotate is never repeated blindly. When its answer was lost, the old token is tested: if it still works nothing happened, if not the new value is lost and a person hands one in.",
      "The end of the new token is asked for, as GitLab would else end it after a week; a scheduled rotation comes well before it.",
      "A key begins with a token that is handed in, together with its id as reference. When that first one ends is not known here: choose a maxAge that is shorter.",
    ],
    unverified: [
      "The routes of group access tokens, which are taken to be those of projects.",
      "That a token's last day ends as it begins, in UTC.",
    ],
    instead:
      "where reading repositories, packages and images is enough, GitLab's deploy tokens can live side by side",
  },
  overlap: "none",
  local: false,
  timeoutMs: TIMEOUT_MS,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: z.strictObject({
      secret: z.string().min(8).describe("A personal access token that may rotate the others."),
    }),
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  config: keySettings,
  needsFirst: true,
  opensApi: false,
  adopts: true,
  defaultCooldown: "0",

  async preflight(context) {
    if (isItself(context)) return { kind: "red", problem: ITSELF };
    if (context.old) return checkOld(context, context.old);
    const answer = await askSelf(context);
    return readyBy(answer, answer.kind === "ok" ? `user ${answer.value.user_id}` : undefined);
  },

  async mint(context) {
    const { old } = context;
    if (!old?.reference) return { kind: "refused", problem: "only a token that is there can be rotated" };
    if (isItself(context)) return { kind: "refused", problem: ITSELF };
    const { lifetime } = keySettings.parse(context.config);
    const answer = await ask(
      context,
      {
        method: "POST",
        path: `${pathOf(context, old.reference)}/rotate`,
        json: { expires_at: dayOf(context.now + parseDuration(lifetime)) },
        timeoutMs: TIMEOUT_MS,
      },
      rotated,
    );
    if (answer.kind !== "ok") return unminted(answer);
    const { id, token, expires_at } = answer.value;
    return {
      kind: "minted",
      fields: { secret: token },
      reference: id,
      report: answer.report,
      ...(expires_at && { expiresAt: Date.parse(expires_at) }),
    };
  },

  async test(context, { fields }) {
    // Any token may ask for itself, whatever its scopes.
    return fields ? testedBy(await askSelf(context, fields.secret), { statuses: [401] }) : VALUE_UNKNOWN;
  },

  async revoke(context, { reference }) {
    return revokedBy(await ask(context, { method: "DELETE", path: pathOf(context, reference) }, z.unknown()));
  },
};
