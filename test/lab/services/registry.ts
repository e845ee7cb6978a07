/** The fake of each provider outside, with what a first key there takes. One line each. */
import { AGENT_ID as A2A_AGENT, FakeA2aMarket } from "./a2amarket.ts";
import { FakeBitscale } from "./bitscale.ts";
import type { FakeService } from "./fake.ts";
import { FakeLightningFaucet, AGENT_ID as LIGHTNING_AGENT } from "./lightningfaucet.ts";
import { FakeLlmConveyors } from "./llmconveyors.ts";
import { FakeLog10x } from "./log10x.ts";

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
  make(): FakeService;
  /** Sets up an account and its first key, as a person would. */
  begin(fake: FakeService): Beginning;
}

/** A first key that a person made, without a connection. */
function handedIn(fake: FakeService): Beginning {
  return { key: { fields: { secret: fake.make("by hand").secret } } };
}

export const FAKES: Record<string, Entry> = {
  a2amarket: {
    make: () => new FakeA2aMarket(),
    begin: (fake) => ({ key: { ...handedIn(fake).key, config: { agentId: A2A_AGENT } } }),
  },
  bitscale: { make: () => new FakeBitscale(), begin: handedIn },
  lightningfaucet: {
    make: () => new FakeLightningFaucet(),
    begin: (fake: FakeLightningFaucet) => ({
      connection: { credential: { secret: fake.operator(true).secret } },
      key: { fields: { secret: fake.agent().secret }, config: { agentId: LIGHTNING_AGENT } },
    }),
  },
  llmconveyors: {
    make: () => new FakeLlmConveyors(),
    begin: (fake: FakeLlmConveyors) => {
      const { secret, reference } = fake.makeKey("by hand");
      return {
        connection: { credential: { secret: fake.makeAdmin().secret } },
        key: { fields: { secret }, reference },
      };
    },
  },
  log10x: { make: () => new FakeLog10x(), begin: handedIn },
};
