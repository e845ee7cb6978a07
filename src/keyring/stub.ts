/** How the rest of the Worker reaches a keyring. */
import type { Remote } from "../remote.ts";
import type { Keyring } from "./keyring.ts";

/** The object of a keyring that is known to exist. */
export function keyringOf(env: Env, code: string): Remote<Keyring> {
  return env.KEYRING.get(env.KEYRING.idFromName(code)) as unknown as Remote<Keyring>;
}
