/**
 * Adds the lab's services to the providers that Rekey knows. Whoever imports Rekey's API must have called this before: it takes the
 * names of providers when it is first evaluated.
 */
import type { Provider } from "../../src/providers/provider.ts";
import { PROVIDER_NAMES, PROVIDERS } from "../../src/providers/registry.ts";
import { KIND_NAMES, KINDS } from "./kinds.ts";
import { labProvider } from "./provider.ts";

/** @param baseUrl of the lab, without a slash at its end */
export function registerLab(baseUrl: string): void {
  const providers: Record<string, Provider> = PROVIDERS;
  const names: string[] = PROVIDER_NAMES;
  for (const name of KIND_NAMES) {
    if (!names.includes(name)) names.push(name);
    providers[name] = labProvider(name, KINDS[name], baseUrl);
  }
}
