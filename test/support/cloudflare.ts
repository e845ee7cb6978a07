/** A Cloudflare account whose stores hold values, served in place of the real one. */
import { http } from "msw";
import type { ProviderConnection } from "../../src/providers/provider.ts";
import { ACCOUNT } from "../lab/services/cloudflare.ts";
import { FakeCloudflareStores } from "../lab/services/cloudflare-stores.ts";
import { network } from "./network.ts";

/** The account, served, and a connection to it as a destination has it. */
export function serveCloudflare(): { fake: FakeCloudflareStores; connection: ProviderConnection } {
  const fake = new FakeCloudflareStores();
  network.use(http.all(`${fake.origin}/*`, ({ request }) => fake.answer(request)));
  const { secret } = fake.make("the connection's token");
  return { fake, connection: { config: { accountId: ACCOUNT }, credential: { secret } } };
}
