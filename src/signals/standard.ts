/** Anything else that can sign by Standard Webhooks 1.0: `secret.leaked` with a value, a fingerprint, or a key that it names. */
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { MAX_VALUE_LENGTH, MIN_VALUE_LENGTH, parseJson, type SignedSource } from "./signal.ts";

const place = {
  source: z.string().min(1).max(200),
  url: z.string().max(2_048).optional(),
};

const leak = z.union([
  z.strictObject({ secret: z.string().min(MIN_VALUE_LENGTH).max(MAX_VALUE_LENGTH), ...place }),
  z.strictObject({ fingerprint: z.string().regex(/^[0-9a-fA-F]{64}$/), ...place }),
  z.strictObject({
    key: z.string().min(1).max(100),
    version: z.int().min(1).max(1e9).optional(),
    ...place,
  }),
]);

const message = z.object({ type: z.string(), timestamp: z.string().optional(), data: z.unknown() });

export const standard: SignedSource = {
  verify({ headers, body }, secrets) {
    const sent = {
      "webhook-id": headers.get("webhook-id") ?? "",
      "webhook-timestamp": headers.get("webhook-timestamp") ?? "",
      "webhook-signature": headers.get("webhook-signature") ?? "",
    };
    return secrets.filter((secret) => isSignedBy(secret, body, sent)).length > 0;
  },

  read({ body }) {
    const read = message.safeParse(parseJson(body));
    if (!read.success)
      return { kind: "unreadable", path: "", message: "must be a JSON object with type, timestamp and data" };
    if (read.data.type !== "secret.leaked") return { kind: "nothing" };
    const { success, data } = leak.safeParse(read.data.data);
    if (!success) {
      const expected = "must hold one of secret, fingerprint (64 hex digits) or key, and a source";
      return { kind: "unreadable", path: "data", message: expected };
    }
    const { source, url } = data;
    const leaked =
      "secret" in data
        ? { secret: data.secret }
        : "fingerprint" in data
          ? { fingerprint: new Uint8Array(Buffer.from(data.fingerprint, "hex")) }
          : { key: data.key, version: data.version };
    return { kind: "leaks", items: [{ leaked, source, url }] };
  },
};

/** By the reference implementation, which throws; it checks the time, too. */
function isSignedBy(secret: string, body: Uint8Array, headers: Record<string, string>): boolean {
  try {
    new Webhook(secret).verify(Buffer.from(body), headers);
    return true;
  } catch {
    return false;
  }
}
