/** SHA-256 and a comparison that takes the same time wherever two digests differ. Synchronous, so it can run inside a commit. */
import { hash, timingSafeEqual } from "node:crypto";

/** SHA-256 of UTF-8 text or bytes: 32 bytes. */
export function sha256(data: string | Uint8Array): Uint8Array {
  return hash("sha256", data, "buffer");
}

/** True when both hold the same bytes. Lengths may differ (then false); contents are compared in constant time. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}
