/** The registry as this keyring's witness: an object of its own, which no restore of the keyring's database takes back in time. */
import { registryOf } from "../registry/stub.ts";
import type { Witness } from "../rotation/context.ts";

export function createWitness(env: Env, code: string): Witness {
  return {
    anchor: (head, dead) => registryOf(env).anchor(code, head, dead),
    lastCronAt: () => registryOf(env).lastCronAt(),
  };
}
