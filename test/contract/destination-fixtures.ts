/** For each type of destination: a place of its kind that can go down. A type without an entry here does not compile. */
import { env } from "cloudflare:workers";
import { HttpResponse } from "msw";
import { vi } from "vitest";
import { kvNameOf } from "../../src/destinations/kv.ts";
import type { DestinationType } from "../../src/destinations/registry.ts";
import type { ProviderConnection } from "../../src/providers/provider.ts";
import type { FakeCloudflareStores } from "../lab/services/cloudflare-stores.ts";
import { NAMESPACE, SCRIPT, STORE } from "../lab/services/cloudflare-stores.ts";
import type { LabFault } from "../lab/services/fake.ts";
import { serveCloudflare } from "../support/cloudflare.ts";
import { Receiver } from "../support/receiver.ts";

export interface Place {
  config: Record<string, unknown>;
  /** Every call from now on fails, in each of the ways that this kind of place can fail. */
  failures: Record<string, () => void>;
  /** The value that a consumer finds there under a name, as text. */
  held(name: string): Promise<string | undefined>;
  /** Everything that was sent there, as text. */
  sent(): string;
  /** The account that it goes through, and the service behind it. */
  account?: { connection: ProviderConnection; fake: FakeCloudflareStores };
}

export const KEYRING = "contract";

/** A place in a Cloudflare account. */
function inCloudflare(config: Record<string, unknown>): Place {
  const { fake, connection } = serveCloudflare();
  const sent: string[] = [];
  const answer = fake.answer.bind(fake);
  fake.answer = async (request, base) => {
    const body = await request.arrayBuffer();
    sent.push(new TextDecoder().decode(body));
    const { url, method, headers } = request;
    return answer({ url, method, headers, arrayBuffer: async () => body }, base);
  };
  const always = (fault: LabFault) => () => fake.fail("*", fault, Number.MAX_SAFE_INTEGER);
  return {
    config: { connection: "con_contract", ...config },
    account: { connection, fake },
    failures: {
      "answers 429": always("rate-limited"),
      "answers 503": always("error-before"),
      "does not answer": always("cut-before"),
      "refuses the credential": always("expired"),
      "quotes the value in an error": () => {
        fake.answer = async (request) => new Response(await request.arrayBuffer(), { status: 400 });
      },
    },
    held: async (name) => fake.held(`${name}_secret`),
    sent: () => sent.join("\n"),
  };
}

const putInKv = env.KEYS.put.bind(env.KEYS);

export const PLACES: { [Type in DestinationType]: () => Place } = {
  kv() {
    const written: string[] = [];
    const puts = vi.spyOn(env.KEYS, "put").mockImplementation(async (name, value) => {
      written.push(`${name} ${String(value)}`);
      await putInKv(name, value as string);
    });
    return {
      config: {},
      failures: {
        "refuses writes": () =>
          void puts.mockRejectedValue(new Error("KV PUT failed: 429 Too Many Requests")),
        "throws at once": () =>
          void puts.mockImplementation(() => {
            throw new TypeError("no such binding");
          }),
      },
      held: async (name) => (await env.KEYS.get(kvNameOf(KEYRING, name))) ?? undefined,
      sent: () => written.join("\n"),
    };
  },

  "secrets-store": () => inCloudflare({ storeId: STORE }),
  "worker-secret": () => inCloudflare({ script: SCRIPT }),
  "kv-rest": () => inCloudflare({ namespaceId: NAMESPACE }),

  webhook() {
    const receiver = new Receiver("place", []);
    return {
      config: { url: receiver.url, secretMode: "plain" },
      failures: {
        "answers 500": () => receiver.fail(500),
        "answers 302": () => receiver.fail(302, { location: "https://elsewhere.acme.dev" }),
        "does not answer": () => receiver.answer(() => Response.error()),
        "answers 410": () => receiver.fail(410),
        "quotes the value in an error": () =>
          receiver.answer(({ raw }) => new HttpResponse(raw, { status: 400 })),
      },
      held: async () => receiver.secret,
      sent: () => receiver.messages.map(({ raw, headers }) => raw + JSON.stringify(headers)).join("\n"),
    };
  },
};
