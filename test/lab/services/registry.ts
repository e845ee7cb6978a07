/** The fakes of each provider outside, with what a first key there takes. One line each; a provider may have several. */
import { FakeBitscale } from "./bitscale.ts";
import { beginAsForBitscale, beginAsForKeeper, beginAsIn } from "./described.ts";
import type { FakeService } from "./fake.ts";
import { FakeKeeper } from "./keeper.ts";
import { FakeNeon } from "./neon.ts";
import { FakeResend } from "./resend.ts";
import { FakeSpaces } from "./spaces.ts";

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
}

/** A first key that a person made, without a connection. */
function handedIn(fake: FakeService): Beginning {
  return { key: { fields: { secret: fake.make("by hand").secret } } };
}

export const FAKES: Record<string, Entry> = {
  bitscale: { make: () => new FakeBitscale(), begin: handedIn },
  "http, as for Resend": { provider: "http", make: () => new FakeResend(), begin: beginAsIn("resend") },
  "http, as for Neon": { provider: "http", make: () => new FakeNeon(), begin: beginAsIn("neon") },
  "http, as for BitScale": { provider: "http", make: () => new FakeBitscale(), begin: beginAsForBitscale },
  "http, as for a keeper": { provider: "http", make: () => new FakeKeeper(), begin: beginAsForKeeper },
  "http, as for Spaces": { provider: "http", make: () => new FakeSpaces(), begin: beginAsIn("spaces") },
};
