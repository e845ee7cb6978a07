/**
 * GitHub's reports to a partner of its secret scanning: values in our format that were found in public
 * (https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program).
 */
import { p256 } from "@noble/curves/nist.js";
import { z } from "zod";
import { sha256 } from "../crypto/hash.ts";
import { MAX_ITEMS, parseJson } from "./signal.ts";

/** What is beside a token may be odd, as others choose the names of files: it costs the token nothing. */
const found = z.object({
  token: z.string().min(1),
  type: z.string().catch(""),
  url: z.string().nullish().catch(null),
  source: z.string().nullish().catch(null),
});

const batch = z.array(z.unknown()).min(1).max(MAX_ITEMS);

export type FoundToken = z.infer<typeof found>;

/** What GitHub is told of each token. */
export interface Feedback {
  /** SHA-256, hex. */
  token_hash: string;
  token_type: string;
  label: "true_positive" | "false_positive";
}

/** How a P-256 public key begins as SubjectPublicKeyInfo; its uncompressed point follows (RFC 5480). */
const P256_SPKI = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");
const POINT_BYTES = 65;

/**
 * Whether a body was signed with a key: ECDSA on P-256 with SHA-256.
 * @param pem of the public key
 * @param signature base64 of ASN.1 DER
 */
export function isSignedByKey(pem: string, signature: string, body: Uint8Array): boolean {
  const point = pointOf(pem);
  if (!point || !/^[A-Za-z0-9+/]{8,200}={0,2}$/.test(signature)) return false;
  try {
    return p256.verify(Buffer.from(signature, "base64"), sha256(body), point, {
      format: "der",
      lowS: false,
      // The platform's own hash is many times as fast, and a report may have megabytes.
      prehash: false,
    });
  } catch {
    // Not DER, or no point of the curve.
    return false;
  }
}

function pointOf(pem: string): Uint8Array | undefined {
  const text = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/.exec(pem)?.[1];
  const bytes = Buffer.from((text ?? "").replace(/\s/g, ""), "base64");
  const isP256 =
    bytes.length === P256_SPKI.length + POINT_BYTES && bytes.subarray(0, P256_SPKI.length).equals(P256_SPKI);
  return isP256 ? bytes.subarray(P256_SPKI.length) : undefined;
}

/** The tokens of a report, or undefined when it is not one. */
export function readBatch(body: Uint8Array): FoundToken[] | undefined {
  const { success, data } = batch.safeParse(parseJson(body));
  const tokens = (success ? data : []).flatMap((one) => {
    const read = found.safeParse(one);
    return read.success ? [read.data] : [];
  });
  return tokens.length > 0 ? tokens : undefined;
}

/** What GitHub is told of a report. */
export function feedbackOf(tokens: readonly FoundToken[], matched: readonly boolean[]): Feedback[] {
  return tokens.map(({ token, type }, index) => ({
    token_hash: Buffer.from(sha256(token)).toString("hex"),
    token_type: type,
    label: matched[index] ? "true_positive" : "false_positive",
  }));
}
