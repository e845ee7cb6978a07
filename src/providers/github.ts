/**
 * GitHub tokens. No call makes one, so a person does; a connection reads what a secret scanning alert does not say, and a token that
 * leaked is handed in where GitHub ends it.
 */
import { z } from "zod";
import { CALL_TIMEOUT_MS } from "../outbound/transport.ts";
import { addressSetting } from "./address.ts";
import { callApi, laterOf, readyBy, testedBy, VALUE_UNKNOWN } from "./http-client.ts";
import { findDesk } from "./leak-desk.ts";
import type { Provider, ProviderContext } from "./provider.ts";

const settings = z.strictObject({
  baseUrl: addressSetting("https://api.github.com"),
});

const credential = z.strictObject({
  token: z
    .string()
    .min(20)
    .max(1_000)
    .describe(
      "Fine-grained, or of a GitHub App: read access to secret scanning alerts of the repositories. It reads alerts and does nothing else.",
    ),
});

const alerted = z.object({
  secret: z.string().min(1).max(16_384),
  secret_type_display_name: z.string().max(200).optional(),
  secret_type: z.string().max(200).optional(),
  html_url: z.string().max(2_048).default(""),
});

/** GitHub's own form of them; what is put into an address is nothing else. */
const REPOSITORY = /^[A-Za-z0-9-]{1,100}\/[A-Za-z0-9._-]{1,100}$/;

function ask<Schema extends z.ZodType>(
  context: ProviderContext,
  path: string,
  token: string,
  schema: Schema,
) {
  const { baseUrl } = settings.parse(context.connection?.config ?? {});
  const headers = {
    accept: "application/vnd.github+json",
    "x-github-api-version": "2022-11-28",
    authorization: `Bearer ${token}`,
  };
  return callApi(context, { method: "GET", url: `${baseUrl}${path}`, headers }, { schema });
}

/** Open to any token that works, whatever it may do, and counted against nothing. */
function askForLimits(context: ProviderContext, token: string) {
  return ask(context, "/rate_limit", token, z.object({ resources: z.unknown() }));
}

export const github: Provider = {
  name: "github",
  title: "GitHub",
  about: {
    page: "https://docs.github.com/en/code-security/secret-scanning",
    leastScope:
      "Of the connection's token: “Secret scanning alerts”, read, on the repositories whose alerts are sent.",
    calls: {
      preflight: "GET /rate_limit with the connection's token",
      mint: "none: a person makes a token and hands it in by PUT /v1/keys/{key}/value",
      test: "GET /rate_limit with the token in question",
      "an alert's value": "GET /repos/{owner}/{repository}/secret-scanning/alerts/{number}",
      revoke:
        "none, unless it leaked: then POST /credentials/revoke, without any credential, at most 1,000 tokens a call and 60 calls an hour",
    },
    notes: [
      "A connection is what `PUT /v1/signals/github` names, so that alerts of your repositories find the key that leaked; docs/compromise.md shows it.",
      "A key of this provider is a token that a person makes: there are reminders and a hand-in, as docs/manual.md says, with a test of its own.",
    ],
    unverified: [
      "That the call to revoke takes the tokens of GitHub Apps and OAuth apps besides personal ones; it says so in its documentation.",
    ],
  },
  overlap: "ours",
  local: false,
  timeoutMs: CALL_TIMEOUT_MS,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: true,
    credential,
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  needsFirst: true,
  opensApi: false,
  adopts: true,
  rateLimit: { calls: 5_000, perMs: 3_600_000 },
  defaultCooldown: "0",
  runbook: () => ({
    text: "Make a token with the same access as the old one, hand it in, and delete the old one.",
    url: "https://github.com/settings/tokens",
  }),
  leakDesk: findDesk,

  async preflight(context) {
    const token = context.connection?.credential.token;
    return token === undefined ? { kind: "green" } : readyBy(await askForLimits(context, token));
  },

  async mint() {
    return { kind: "refused", problem: "only a person makes a token" };
  },

  async test(context, { fields }) {
    return fields ? testedBy(await askForLimits(context, fields.secret), { statuses: [401] }) : VALUE_UNKNOWN;
  },

  async readAlert(context, { repository, number }) {
    const token = context.connection?.credential.token ?? "";
    if (!REPOSITORY.test(repository)) return { kind: "failed", problem: "no repository has such a name" };
    const answer = await ask(
      context,
      `/repos/${repository}/secret-scanning/alerts/${number}`,
      token,
      alerted,
    );
    if (answer.kind !== "ok") return { kind: "failed", ...laterOf(answer) };
    const { secret, secret_type_display_name, secret_type = "secret", html_url } = answer.value;
    const source = `${secret_type_display_name ?? secret_type} in ${repository}`;
    return { kind: "read", secret, source, url: html_url, report: answer.report };
  },
};
