/** Base62 of fixed width, zero-padded, digits in the order 0-9 A-Z a-z. */
import type { Random } from "./random.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/**
 * Writes a big-endian number in base62.
 * @param bytes the number, most significant byte first
 * @param width exact count of digits; higher digits are cut, so pass enough to hold the value
 */
export function encodeBase62(bytes: Uint8Array, width: number): string {
  let value = bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  let text = "";
  for (let i = 0; i < width; i++) {
    text = DIGITS.charAt(Number(value % 62n)) + text;
    value /= 62n;
  }
  return text;
}

/**
 * Writes a small number in base62, as `encodeBase62` would.
 * @param number a safe integer, not negative
 */
export function encodeNumber(number: number, width: number): string {
  let rest = number;
  let text = "";
  for (let i = 0; i < width; i++) {
    text = DIGITS.charAt(rest % 62) + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

/**
 * A random identifier of `width` digits. Digits are drawn independently and without bias
 * (a byte of 248 or more is thrown away, as 248 = 4 × 62).
 */
export function randomBase62(random: Random, width: number): string {
  let text = "";
  while (text.length < width) {
    for (const byte of random(width + 8)) {
      if (byte < 248 && text.length < width) text += DIGITS.charAt(byte % 62);
    }
  }
  return text;
}
