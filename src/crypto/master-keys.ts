/** The Worker secret MASTER_KEYS: `id:base64[,id:base64…]`, newest first. The first wraps, every one unwraps. */
import type { Random } from "./random.ts";
import { open, seal } from "./seal.ts";

export interface MasterKey {
  id: string;
  /** 32 bytes */
  key: Uint8Array;
}

/** A keyring's data key under a master key. */
export interface WrappedDataKey {
  masterKeyId: string;
  wrapped: Uint8Array;
}

/**
 * Reads MASTER_KEYS.
 * @returns the keys in order, or undefined when any entry is malformed, an id repeats or a key is not 32 bytes
 */
export function parseMasterKeys(text: string): MasterKey[] | undefined {
  const keys: MasterKey[] = [];
  for (const entry of text.split(",")) {
    const match = /^\s*([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)\s*$/.exec(entry);
    const [, id, encoded] = match ?? [];
    if (!id || !encoded || keys.some((known) => known.id === id)) return undefined;
    keys.push({ id, key: new Uint8Array(Buffer.from(encoded, "base64")) });
  }
  return keys;
}

/** Wraps a data key with the newest master key. */
export function wrapDataKey(
  masterKeys: readonly MasterKey[],
  keyring: string,
  dataKey: Uint8Array,
  random: Random,
): WrappedDataKey {
  const newest = masterKeys[0];
  if (!newest) throw new Error("no master key");
  return { masterKeyId: newest.id, wrapped: seal(newest.key, placeOf(keyring, newest.id), dataKey, random) };
}

/**
 * Unwraps a data key.
 * @returns 32 bytes, or undefined when the master key it was wrapped with is no longer in MASTER_KEYS
 */
export function unwrapDataKey(
  masterKeys: readonly MasterKey[],
  keyring: string,
  { masterKeyId, wrapped }: WrappedDataKey,
): Uint8Array | undefined {
  const master = masterKeys.find((key) => key.id === masterKeyId);
  return master && open(master.key, placeOf(keyring, master.id), wrapped);
}

function placeOf(keyring: string, masterKeyId: string) {
  return { keyring, table: "setting", id: masterKeyId, revision: 0, purpose: "data-key" };
}
