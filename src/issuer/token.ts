/**
 * The shape of an issued key: `<prefix>_<body><checksum>`. The body is the keyring's code (8), the version's public id (17)
 * and the secret (43 digits of base62, 256 bits); the checksum is CRC-32 of everything before it, 6 digits.
 * So 74 characters follow the last underscore.
 */
import { crc32 } from "node:zlib";
import { encodeBase62, encodeNumber, randomBase62 } from "../crypto/base62.ts";
import type { Random } from "../crypto/random.ts";

export const DEFAULT_PREFIX = "rekey";
const CODE_DIGITS = 8;
const PUBLIC_ID_DIGITS = 17;
/** Milliseconds since the epoch, up to the year 2081; what is left of a public id are 59 random bits. */
const TIME_DIGITS = 7;
const SECRET_DIGITS = 43;
const SECRET_BYTES = 32;
const CHECKSUM_DIGITS = 6;
const MAX_PREFIX_LENGTH = 40;

/** A prefix of a person's choice: letters and digits in parts joined by underscores (`sk_live`). */
const PREFIX_PATTERN = /^[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*$/;

/** Matches any issued key; the README gives it for secret scanners. */
export const TOKEN_PATTERN = /[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*_[0-9A-Za-z]{74}/;

const WHOLE_TOKEN = new RegExp(`^(?:${TOKEN_PATTERN.source})$`);

export type ParsedToken =
  | { kind: "token"; prefix: string; code: string; publicId: string }
  /** Our shape with a wrong checksum. */
  | { kind: "malformed" }
  /** Not our shape: perhaps an adopted value. */
  | { kind: "foreign" };

/** True for a prefix that a key may have. */
export function isPrefix(text: string): boolean {
  return text.length <= MAX_PREFIX_LENGTH && PREFIX_PATTERN.test(text);
}

/** A fresh keyring code. */
export function newCode(random: Random): string {
  return randomBase62(random, CODE_DIGITS);
}

/** A fresh public id, of something that is found by nothing else. */
export function newPublicId(random: Random): string {
  return randomBase62(random, PUBLIC_ID_DIGITS);
}

/**
 * A fresh public id of a version. It begins with its time, so that versions that were made together, and end together, lie together.
 * @param now milliseconds since the epoch
 */
export function newVersionId(now: number, random: Random): string {
  return encodeNumber(now, TIME_DIGITS) + randomBase62(random, PUBLIC_ID_DIGITS - TIME_DIGITS);
}

/** Makes an issued key for a version. Its secret part is 256 random bits. */
export function formatToken(prefix: string, code: string, publicId: string, random: Random): string {
  const unsigned = `${prefix}_${code}${publicId}${encodeBase62(random(SECRET_BYTES), SECRET_DIGITS)}`;
  return unsigned + checksumOf(unsigned);
}

/** Reads a presented key without looking anything up. */
export function parseToken(text: string): ParsedToken {
  if (!WHOLE_TOKEN.test(text)) return { kind: "foreign" };
  const unsigned = text.slice(0, -CHECKSUM_DIGITS);
  if (checksumOf(unsigned) !== text.slice(-CHECKSUM_DIGITS)) return { kind: "malformed" };
  const bodyAt = text.lastIndexOf("_") + 1;
  return {
    kind: "token",
    prefix: text.slice(0, bodyAt - 1),
    code: text.slice(bodyAt, bodyAt + CODE_DIGITS),
    publicId: text.slice(bodyAt + CODE_DIGITS, bodyAt + CODE_DIGITS + PUBLIC_ID_DIGITS),
  };
}

/** Where a presented text would name its version, if it is an issued key: not checked in any way. */
export function guessPublicId(text: string): string {
  const at = text.lastIndexOf("_") + 1 + CODE_DIGITS;
  return text.slice(at, at + PUBLIC_ID_DIGITS);
}

function checksumOf(unsigned: string): string {
  return encodeNumber(crc32(unsigned), CHECKSUM_DIGITS);
}
