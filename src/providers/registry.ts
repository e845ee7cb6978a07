/** Every provider, one line each. */
import { a2amarket } from "./a2amarket.ts";
import { bitscale } from "./bitscale.ts";
import { access, issuer } from "./issuer.ts";
import { lightningfaucet } from "./lightningfaucet.ts";
import { llmconveyors } from "./llmconveyors.ts";
import { log10x } from "./log10x.ts";
import type { Provider } from "./provider.ts";

export const PROVIDERS = {
  issuer,
  access,
  a2amarket,
  bitscale,
  lightningfaucet,
  llmconveyors,
  log10x,
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
