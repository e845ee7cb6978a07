/**
 * GitGuardian's custom webhook (https://docs.gitguardian.com/platform/configure-alerting/notifiers-integrations/custom-webhook). What its
 * messages look like differs by event and has changed; so every text in one is compared with what is ours, which takes no more than to
 * know which of them is the value.
 */
import {
  hmac,
  type Incoming,
  isSignedByAny,
  MAX_ITEMS,
  MAX_SKEW_MS,
  MAX_VALUE_LENGTH,
  MIN_VALUE_LENGTH,
  parseJson,
  type Reading,
  readHexSignature,
  type SignedSource,
} from "./signal.ts";

/** Deeper than any message is. */
const MAX_DEPTH = 16;
const URL_FIELDS = ["gitguardian_url", "gitguardian_link", "url"];

export const gitguardian: SignedSource = {
  verify({ headers, body, now }, secrets) {
    const timestamp = headers.get("timestamp") ?? "";
    const signature = readHexSignature(headers.get("gitguardian-signature"));
    const isSigned = isSignedByAny(signature, secrets, (secret) => hmac(timestamp + secret, body));
    return isSigned && Math.abs(timeOf(timestamp) - now) <= MAX_SKEW_MS;
  },

  read({ body }: Incoming): Reading {
    const message = parseJson(body);
    if (typeof message !== "object" || message === null)
      return { kind: "unreadable", path: "", message: "must be a JSON object" };
    const texts = new Set<string>();
    const urls: string[] = [];
    collect(message, texts, urls, MAX_DEPTH);
    const url = urls[0];
    const items = [...texts].slice(0, MAX_ITEMS).map((secret) => ({
      leaked: { secret },
      source: "GitGuardian",
      ...(url !== undefined && { url }),
    }));
    return items.length > 0 ? { kind: "leaks", items, reports: 1 } : { kind: "nothing" };
  },
};

/** Seconds since the epoch or ISO 8601; NaN for anything else, which is no time at all. */
function timeOf(text: string): number {
  if (/^\d{10}(?:\.\d{1,9})?$/.test(text)) return Number(text) * 1_000;
  return /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : Number.NaN;
}

function collect(value: unknown, texts: Set<string>, urls: string[], depth: number): void {
  if (typeof value === "string") {
    if (value.length >= MIN_VALUE_LENGTH && value.length <= MAX_VALUE_LENGTH) texts.add(value);
    return;
  }
  if (typeof value !== "object" || value === null || depth === 0) return;
  for (const [name, part] of Object.entries(value)) {
    if (URL_FIELDS.includes(name) && typeof part === "string") urls.push(part);
    collect(part, texts, urls, depth - 1);
  }
}
