/** How the rest of the Worker reaches a keyring. */
import type { Remote } from "../remote.ts";
import type { Keyring } from "./keyring.ts";

/** The object of a keyring that is known to exist. */
export function keyringOf(env: Env, code: string): Remote<Keyring> {
  return env.KEYRING.get(idOf(env, code)) as unknown as Remote<Keyring>;
}

const MAX_REMEMBERED = 10_000;
/** Ids by code, of each namespace. */
const known = new WeakMap<Env["KEYRING"], Map<string, DurableObjectId>>();

/** The object's id, which is a hash of its name. */
function idOf({ KEYRING }: Env, code: string): DurableObjectId {
  const ids = known.get(KEYRING) ?? new Map<string, DurableObjectId>();
  known.set(KEYRING, ids);
  const remembered = ids.get(code);
  if (remembered) return remembered;
  if (ids.size >= MAX_REMEMBERED) ids.clear();
  const id = KEYRING.idFromName(code);
  ids.set(code, id);
  return id;
}
