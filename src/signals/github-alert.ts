/**
 * A repository's webhook `secret_scanning_alert`. The alert does not hold the value: that is fetched over a connection
 * (https://docs.github.com/en/webhooks/webhook-events-and-payloads#secret_scanning_alert).
 */
import { z } from "zod";
import { hmac, isSignedByAny, parseJson, readHexSignature, type SignedSource } from "./signal.ts";

/** Actions by which a value is out in the open. */
const LEAKED = ["created", "reopened", "publicly_leaked"];

const message = z.object({
  action: z.string(),
  alert: z.object({ number: z.int().min(1).max(1e12) }),
  repository: z.object({ full_name: z.string().max(250) }),
});

export const githubAlert: SignedSource = {
  verify({ headers, body }, secrets) {
    const signature = readHexSignature(headers.get("x-hub-signature-256"));
    return isSignedByAny(signature, secrets, (secret) => hmac(secret, body));
  },

  read({ headers, body }) {
    if (headers.get("x-github-event") !== "secret_scanning_alert") return { kind: "nothing" };
    const { success, data } = message.safeParse(payloadOf(headers, body));
    if (!success)
      return { kind: "unreadable", path: "", message: "must be a secret_scanning_alert as GitHub sends it" };
    const { action, alert, repository } = data;
    if (!LEAKED.includes(action)) return { kind: "nothing" };
    return { kind: "alert", repository: repository.full_name, number: alert.number };
  },
};

/** GitHub sends JSON or, unless told otherwise, a form with JSON in a field. */
function payloadOf(headers: Headers, body: Uint8Array): unknown {
  if (!(headers.get("content-type") ?? "").startsWith("application/x-www-form-urlencoded"))
    return parseJson(body);
  const payload = new URLSearchParams(Buffer.from(body).toString("utf8")).get("payload") ?? "";
  return parseJson(Buffer.from(payload));
}
