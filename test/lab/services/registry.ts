/** The fakes of each service outside, with what a first key or a connection there takes. One line each; a provider may have several. */
import { AGENT_ID as A2A_AGENT, FakeA2aMarket } from "./a2amarket.ts";
import { FakeAwsIam } from "./aws-iam.ts";
import { FakeBitscale } from "./bitscale.ts";
import { ACCOUNT, FakeCloudflare, POLICIES } from "./cloudflare.ts";
import { FakeCloudflareStores } from "./cloudflare-stores.ts";
import type { FakeService } from "./fake.ts";
import { FakeGitlab } from "./gitlab.ts";
import { FakeLightningFaucet, AGENT_ID as LIGHTNING_AGENT } from "./lightningfaucet.ts";
import { FakeLlmConveyors } from "./llmconveyors.ts";
import { FakeLog10x } from "./log10x.ts";
import { FakeOpenai, PROJECT } from "./openai.ts";
import { FakeSendgrid } from "./sendgrid.ts";

/** How a key at a service begins. */
export interface Beginning {
  /** Body of `POST /v1/connections` besides name and provider; absent for a key that needs none. */
  connection?: { config?: Record<string, unknown>; credential?: Record<string, string> };
  /** Of `POST /v1/keys`. */
  key: {
    config?: Record<string, unknown>;
    fields?: Record<string, string>;
    reference?: string;
    policy?: Record<string, unknown>;
  };
}

export interface Entry {
  /** Of the provider, where that is not the entry's own name. */
  provider?: string;
  make(): FakeService;
  /** Sets up an account and its first key, as a person would. */
  begin(fake: FakeService): Beginning;
  /** Settings of a connection that lead to the service at another address. Default `{ baseUrl }`. */
  pointAt?(address: string): Record<string, unknown>;
}

/** An entry, by what its fake is. */
function entry<Fake extends FakeService>(
  kind: new () => Fake,
  begin: (fake: Fake) => Beginning,
  more: Pick<Entry, "pointAt"> = {},
): Entry {
  return {
    ...more,
    make: () => new kind(),
    begin: (fake) => {
      if (!(fake instanceof kind)) throw new Error("another service");
      return begin(fake);
    },
  };
}

/** A first key that a person made, without a connection. */
function handedIn(fake: FakeService): Beginning {
  return { key: { fields: { secret: fake.make("by hand").secret } } };
}

/** An account, opened by a token of its own. */
function inCloudflare(fake: FakeService): Beginning {
  const { secret } = fake.make("the connection's token");
  return { connection: { config: { accountId: ACCOUNT }, credential: { secret } }, key: {} };
}

/** Those that issue keys, by the name of their provider. */
export const FAKES: Record<string, Entry> = {
  a2amarket: {
    make: () => new FakeA2aMarket(),
    begin: (fake) => ({ key: { ...handedIn(fake).key, config: { agentId: A2A_AGENT } } }),
  },
  bitscale: { make: () => new FakeBitscale(), begin: handedIn },
  cloudflare: entry(FakeCloudflare, ({ manager }) => ({
    connection: { config: { accountId: ACCOUNT }, credential: { secret: manager } },
    key: { config: { policies: POLICIES } },
  })),
  "aws-iam": entry(
    FakeAwsIam,
    ({ admin, user }) => ({ connection: { credential: admin }, key: { config: { userName: user } } }),
    { pointAt: (address) => ({ iamUrl: address, stsUrl: address }) },
  ),
  gitlab: entry(FakeGitlab, (fake) => {
    const { secret, reference } = fake.makeToken();
    return { connection: { credential: { secret: fake.admin } }, key: { fields: { secret }, reference } };
  }),
  openai: entry(FakeOpenai, ({ admin }) => ({
    connection: { credential: { secret: admin } },
    key: { config: { projectId: PROJECT } },
  })),
  sendgrid: entry(FakeSendgrid, ({ admin }) => ({
    connection: { credential: { secret: admin } },
    key: { config: { scopes: ["mail.send"] } },
  })),
  lightningfaucet: entry(FakeLightningFaucet, (fake) => ({
    connection: { credential: { secret: fake.operator(true).secret } },
    key: { fields: { secret: fake.agent().secret }, config: { agentId: LIGHTNING_AGENT } },
  })),
  llmconveyors: entry(FakeLlmConveyors, (fake) => {
    const { secret, reference } = fake.makeKey("by hand");
    return {
      connection: { credential: { secret: fake.makeAdmin().secret } },
      key: { fields: { secret }, reference },
    };
  }),
  log10x: { make: () => new FakeLog10x(), begin: handedIn },
};

/** Those that hold values for destinations, by their own name. */
export const STORES: Record<string, Entry & { provider: string }> = {
  "cloudflare-stores": {
    provider: "cloudflare",
    make: () => new FakeCloudflareStores(),
    begin: inCloudflare,
  },
};
