/** A leak report as it comes in: raw bytes first, as a signature is over bytes, and nothing is read before that was found good. */
import { createHmac } from "node:crypto";
import { sameBytes } from "../crypto/hash.ts";
import type { ReportedLeak } from "../rotation/leak-reports.ts";

export interface Incoming {
  headers: Headers;
  body: Uint8Array;
  /** Milliseconds since the epoch. */
  now: number;
}

/** What a source says, once its signature was found good. `nothing`: no leak is reported, or not of a kind that this is for. */
export type Reading =
  /** `reports`: how many things it says that leaked, where that is not as many as the texts to compare. */
  | { kind: "leaks"; items: ReportedLeak[]; reports?: number }
  | { kind: "alert"; repository: string; number: number }
  | { kind: "nothing" }
  | { kind: "unreadable"; path: string; message: string };

/** A source whose reports are signed with a secret of the keyring's own. */
export interface SignedSource {
  /** Whether one of the secrets signed it. */
  verify(incoming: Incoming, secrets: readonly string[]): boolean;
  read(incoming: Incoming): Reading;
}

/** A signature may be this old, or this far ahead. */
export const MAX_SKEW_MS = 5 * 60_000;

/** More than any report of leaks names. */
export const MAX_ITEMS = 20_000;

/** A value as it is taken for one: what is shorter could be found by chance. */
export const MIN_VALUE_LENGTH = 8;
export const MAX_VALUE_LENGTH = 16_384;

/** HMAC-SHA-256 of bytes under a text. */
export function hmac(key: string, body: Uint8Array): Uint8Array {
  return createHmac("sha256", Buffer.from(key, "utf8")).update(body).digest();
}

/** The bytes of `sha256=<64 hex digits>`, or undefined. */
export function readHexSignature(header: string | null): Uint8Array | undefined {
  const digits = /^sha256=([0-9a-fA-F]{64})$/.exec(header ?? "")?.[1];
  return digits === undefined ? undefined : new Uint8Array(Buffer.from(digits, "hex"));
}

/** Whether any of the secrets makes this signature. Each is tried, whichever fits. */
export function isSignedByAny(
  signature: Uint8Array | undefined,
  secrets: readonly string[],
  sign: (secret: string) => Uint8Array,
): boolean {
  const fits = secrets.filter((secret) => sameBytes(sign(secret), signature ?? new Uint8Array()));
  return fits.length > 0;
}

/** JSON in UTF-8, or undefined. */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body));
  } catch {
    return undefined;
  }
}
