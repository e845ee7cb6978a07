/** Standard Webhooks signatures, by the reference implementation. */
import { Webhook } from "standardwebhooks";
import type { Random } from "../crypto/random.ts";

const SECRET_BYTES = 32;

/** A fresh signing secret: `whsec_` and base64 of 32 random bytes. */
export function newSigningSecret(random: Random): string {
  return `whsec_${Buffer.from(random(SECRET_BYTES)).toString("base64")}`;
}

/** The same headers with a signature for each secret, so that both the old and the new one verify while they overlap. None without any. */
export function signByAll(
  secrets: readonly string[],
  id: string,
  now: number,
  body: string,
): Record<string, string> {
  const signed = secrets.map((secret) => signMessage(secret, id, now, body));
  const signatures = signed.map((headers) => headers["webhook-signature"]);
  return signed[0] ? { ...signed[0], "webhook-signature": signatures.join(" ") } : {};
}

/**
 * The three headers of one attempt.
 * @param id the same for every attempt of a message; holds no `.`
 * @param now time of this attempt, milliseconds since the epoch
 */
export function signMessage(secret: string, id: string, now: number, body: string): Record<string, string> {
  const at = new Date(Math.floor(now / 1_000) * 1_000);
  return {
    "webhook-id": id,
    "webhook-timestamp": String(at.getTime() / 1_000),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  };
}
