/** Every provider, one line each. */
import { bitscale } from "./bitscale.ts";
import { http } from "./http.ts";
import { access, issuer } from "./issuer.ts";
import { manual } from "./manual.ts";
import type { Provider } from "./provider.ts";

export const PROVIDERS = { issuer, access, bitscale, http, manual } as const satisfies Record<
  string,
  Provider
>;

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
