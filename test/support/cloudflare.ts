/**
 * A provider `cloudflare` of which only its connections are real, for destinations that go through one. It takes the place of the one that
 * Rekey has. Import this before anything of Rekey's API, which takes the names of providers when it is first evaluated.
 */
import { http } from "msw";
import { z } from "zod";
import { callApi, readyBy } from "../../src/providers/http-client.ts";
import type { Provider, ProviderConnection } from "../../src/providers/provider.ts";
import { PROVIDER_NAMES, PROVIDERS } from "../../src/providers/registry.ts";
import { ACCOUNT, FakeCloudflareStores } from "../lab/services/cloudflare-stores.ts";
import { network } from "./network.ts";

const settings = z.strictObject({
  accountId: z.string(),
  baseUrl: z.url().default("https://api.cloudflare.com/client/v4"),
});

const cloudflare: Provider = {
  name: "cloudflare",
  title: "Cloudflare",
  overlap: "ours",
  local: false,
  timeoutMs: 15_000,
  propagationMs: 0,
  repeatsMint: false,
  verifiedHere: false,
  connection: {
    isOptional: false,
    credential: z.strictObject({ secret: z.string() }),
    config: settings,
    addresses: (config) => [settings.parse(config).baseUrl],
  },
  opensApi: false,
  adopts: false,
  defaultCooldown: "0",

  async preflight(context) {
    const { baseUrl, accountId } = settings.parse(context.connection?.config);
    const headers = { authorization: `Bearer ${context.connection?.credential.secret}` };
    const url = `${baseUrl}/accounts/${accountId}/tokens/verify`;
    return readyBy(await callApi(context, { method: "GET", url, headers }, { schema: z.unknown() }));
  },
  mint: async () => ({ kind: "refused", problem: "it makes no keys" }),
};

const providers: Record<string, Provider> = PROVIDERS;
const names: string[] = PROVIDER_NAMES;
if (!names.includes(cloudflare.name)) names.push(cloudflare.name);
providers[cloudflare.name] = cloudflare;

/** The account, served, and a connection to it as a destination has it. */
export function serveCloudflare(): { fake: FakeCloudflareStores; connection: ProviderConnection } {
  const fake = new FakeCloudflareStores();
  network.use(http.all(`${fake.origin}/*`, ({ request }) => fake.answer(request)));
  const { secret } = fake.make("the connection's token");
  return { fake, connection: { config: { accountId: ACCOUNT }, credential: { secret } } };
}
