/** Keyed hash of a secret: finds a leaked value again without keeping it, and means nothing outside its keyring. */
import { createHmac, hkdfSync } from "node:crypto";

/**
 * The keyring's fingerprint key, derived from its data key (which never changes).
 * @param dataKey 32 bytes
 * @returns 32 bytes
 */
export function deriveFingerprintKey(dataKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", dataKey, new Uint8Array(0), "rekey fingerprint v1", 32));
}

/** HMAC-SHA-256 of the secret: 32 bytes. */
export function fingerprintOf(fingerprintKey: Uint8Array, secret: string): Uint8Array {
  return createHmac("sha256", fingerprintKey).update(secret, "utf8").digest();
}

/** A key for one purpose, derived like the fingerprint key: 32 bytes. */
export function deriveKey(dataKey: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", dataKey, new Uint8Array(0), `rekey ${purpose} v1`, 32));
}
