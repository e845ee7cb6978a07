/** How the rest of the Worker reaches the registry. */
import type { Remote } from "../remote.ts";
import type { Registry } from "./registry.ts";

/** The one registry. */
export function registryOf(env: Env): Remote<Registry> {
  return env.REGISTRY.get(env.REGISTRY.idFromName("registry")) as unknown as Remote<Registry>;
}
