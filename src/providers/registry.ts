/** Every provider, one line each. */

import { a2amarket } from "./a2amarket.ts";
import { awsIam } from "./aws-iam.ts";
import { bitscale } from "./bitscale.ts";
import { cloudflare } from "./cloudflare.ts";
import { github } from "./github.ts";
import { gitlab } from "./gitlab.ts";
import { http } from "./http.ts";
import { access, issuer } from "./issuer.ts";
import { lightningfaucet } from "./lightningfaucet.ts";
import { llmconveyors } from "./llmconveyors.ts";
import { log10x } from "./log10x.ts";
import { manual } from "./manual.ts";
import { openai } from "./openai.ts";
import type { Provider } from "./provider.ts";
import { sendgrid } from "./sendgrid.ts";

export const PROVIDERS = {
  issuer,
  access,
  bitscale,
  a2amarket,
  llmconveyors,
  lightningfaucet,
  log10x,
  cloudflare,
  openai,
  sendgrid,
  "aws-iam": awsIam,
  github,
  gitlab,
  http,
  manual,
} as const satisfies Record<string, Provider>;

export type ProviderName = keyof typeof PROVIDERS;

export const PROVIDER_NAMES = Object.keys(PROVIDERS) as [ProviderName, ...ProviderName[]];

/**
 * The provider of a stored key.
 * @throws when the name is unknown: it was checked when the key was made
 */
export function providerOf(name: string): Provider {
  const provider: Provider | undefined = (PROVIDERS as Record<string, Provider>)[name];
  if (!provider) throw new Error(`unknown provider ${name}`);
  return provider;
}
