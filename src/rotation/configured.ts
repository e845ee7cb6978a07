/** Providers as settings make them: those of a key's connection, or the key's own where its provider has none. */
import type { Provider } from "../providers/provider.ts";
import type { Store } from "../store/store.ts";
import type { ProviderRef } from "./context.ts";

/** A provider as settings make it that were checked, stored or not. */
export function configuredBy(provider: Provider, config: Record<string, unknown>): Provider {
  return provider.configured?.(config) ?? provider;
}

/** Then all is forgotten: more settings than one keyring works with at a time. */
const MAX_KEPT = 1_000;

export class ConfiguredProviders {
  readonly #store: Store;
  readonly #byName: (name: string) => Provider;
  /** By name and settings: reading them takes longer than finding what they made. */
  readonly #made = new Map<string, Provider>();

  /** @param byName throws for a name that is unknown */
  constructor(store: Store, byName: (name: string) => Provider) {
    this.#store = store;
    this.#byName = byName;
  }

  of({ provider: name, connectionId = null, config }: ProviderRef): Provider {
    const provider = this.#byName(name);
    if (!provider.configured) return provider;
    const settings = provider.connection ? this.#settingsOf(connectionId) : config;
    if (!settings) return provider;
    const place = `${name} ${JSON.stringify(settings)}`;
    const made = this.#made.get(place) ?? configuredBy(provider, settings);
    if (this.#made.size >= MAX_KEPT) this.#made.clear();
    this.#made.set(place, made);
    return made;
  }

  #settingsOf(connectionId: string | null): Record<string, unknown> | undefined {
    const { connections } = this.#store;
    const row = connectionId === null ? undefined : connections.get(connectionId);
    return row && connections.revision(row.id, row.revision)?.config;
  }
}
