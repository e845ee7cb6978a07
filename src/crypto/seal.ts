/**
 * AES-256-GCM with a random 96-bit nonce. What is sealed is bound to its place (keyring, table, row, revision, purpose):
 * a sealed value copied to another row does not open.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Random } from "./random.ts";

const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Where a sealed value belongs. Written length-prefixed, so that no two places share an encoding. */
export interface SealedPlace {
  keyring: string;
  table: string;
  id: string;
  revision: number;
  purpose: string;
}

/**
 * Seals bytes under a key.
 * @param key 32 bytes
 * @returns format byte, nonce, ciphertext, tag
 */
export function seal(key: Uint8Array, place: SealedPlace, plaintext: Uint8Array, random: Random): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(encodePlace(place));
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return new Uint8Array(Buffer.concat([Uint8Array.of(FORMAT), nonce, body, cipher.getAuthTag()]));
}

/**
 * Opens what `seal` made.
 * @throws when the key, the place or any byte is wrong: a sealed value that does not open is a bug or tampering, never expected
 */
export function open(key: Uint8Array, place: SealedPlace, sealed: Uint8Array): Uint8Array {
  if (sealed[0] !== FORMAT || sealed.byteLength < 1 + NONCE_BYTES + TAG_BYTES) {
    throw new Error(`sealed value of ${place.table} has an unknown format`);
  }
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const tagAt = sealed.byteLength - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAAD(encodePlace(place));
  decipher.setAuthTag(sealed.subarray(tagAt));
  return new Uint8Array(
    Buffer.concat([decipher.update(sealed.subarray(1 + NONCE_BYTES, tagAt)), decipher.final()]),
  );
}

function encodePlace(place: SealedPlace): Uint8Array {
  const parts = [place.keyring, place.table, place.id, String(place.revision), place.purpose];
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, "utf8");
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.byteLength);
      return [length, bytes];
    }),
  );
}
