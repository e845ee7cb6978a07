/** Looks a presented key up and judges it. One keyring, synchronous, no writes. */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import type { Vault } from "../crypto/vault.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { VersionRow } from "../store/versions.ts";
import { judge, type Verdict } from "./judge.ts";
import { parseToken } from "./token.ts";

export type Presented =
  | { code: "malformed" | "unknown" }
  | { code: Verdict; key: KeyRow; version: VersionRow };

/** Compared against when nothing was found, so that an unknown id takes as long as a wrong secret. */
const NOTHING = new Uint8Array(32);

/**
 * Finds the version that a presented secret belongs to and says whether it is valid now.
 * `revoked` and `expired` are told only to who holds the right secret; everyone else hears `unknown`.
 * @param code the keyring's code: a key of another keyring is unknown here
 */
export function lookUp(store: Store, code: string, vault: Vault, secret: string, now: number): Presented {
  const parsed = parseToken(secret);
  if (parsed.kind === "malformed") return { code: "malformed" };
  const digest = sha256(secret);
  if (parsed.kind === "token") {
    const version = parsed.code === code ? store.versions.get(parsed.publicId) : undefined;
    return compare(store, version, digest, now);
  }
  for (const version of store.versions.byFingerprint(vault.fingerprint(secret))) {
    const found = compare(store, version, digest, now);
    if (found.code !== "unknown") return found;
  }
  return { code: "unknown" };
}

function compare(store: Store, version: VersionRow | undefined, digest: Uint8Array, now: number): Presented {
  const matches = sameBytes(version?.digest ?? NOTHING, digest);
  const key = version && matches ? store.keys.get(version.keyId) : undefined;
  return version && key ? { code: judge(version, key, now), key, version } : { code: "unknown" };
}
