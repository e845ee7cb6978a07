/** Looks a presented key up and judges it. One keyring, synchronous, no writes. */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import type { Vault } from "../crypto/vault.ts";
import type { Store } from "../store/store.ts";
import type { Verifiable } from "../store/verifiables.ts";
import { judge, type Verdict } from "./judge.ts";
import { parseToken } from "./token.ts";

export type Presented = { code: "malformed" | "unknown" } | ({ code: Verdict } & Verifiable);

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
    const found = parsed.code === code ? store.verifiables.find(parsed.publicId) : undefined;
    return compare(found, digest, now);
  }
  for (const version of store.versions.byFingerprint(vault.fingerprint(secret))) {
    const found = compare(store.verifiables.find(version.id), digest, now);
    if (found.code !== "unknown") return found;
  }
  return { code: "unknown" };
}

function compare(found: Verifiable | undefined, digest: Uint8Array, now: number): Presented {
  const matches = sameBytes(found?.version.digest ?? NOTHING, digest);
  return found && matches ? { code: judge(found.version, found.key, now), ...found } : { code: "unknown" };
}
