/**
 * Which addresses Rekey may call: https, default port, a public name. The platform's `global_fetch_strictly_public` is routing
 * and no address filter, so this check is the guard.
 */
import ipaddr from "ipaddr.js";

export type UrlProblem =
  | "not-a-url"
  | "not-https"
  | "has-credentials"
  | "has-port"
  | "ip-address"
  | "private-name"
  | "too-long";

const MAX_URL_LENGTH = 2_048;

/** Names that never leave a network: RFC 6761, RFC 6762, RFC 8375, the names ICANN keeps for private use. */
const PRIVATE_SUFFIXES = [
  "localhost",
  "localdomain",
  "local",
  "internal",
  "intranet",
  "private",
  "corp",
  "home",
  "lan",
  "home.arpa",
  "test",
  "example",
  "invalid",
  "onion",
  "alt",
  "arpa",
];

/** Reads PRIVATE_ALLOWLIST: `host:port,…`, lower-cased. */
export function parseAllowlist(text: string | undefined): ReadonlySet<string> {
  return new Set(
    (text ?? "")
      .split(",")
      .map((entry) => entry.trim().toLowerCase())
      .filter((entry) => entry !== ""),
  );
}

/**
 * Why an address may not be called, or undefined when it may.
 * @param allowlist `host:port` pairs that are exempt, plain http included
 */
export function findUrlProblem(text: string, allowlist: ReadonlySet<string>): UrlProblem | undefined {
  if (text.length > MAX_URL_LENGTH) return "too-long";
  if (!URL.canParse(text)) return "not-a-url";
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "has-credentials";
  if (isAllowlisted(url, allowlist)) return undefined;
  if (url.protocol !== "https:") return "not-https";
  if (url.port !== "") return "has-port";
  // The URL parser has already turned every spelling of an IPv4 address (hex, octal, one number) into the dotted one.
  const host = url.hostname.replace(/\.+$/, "");
  const bare = host.replace(/^\[|\]$/g, "");
  if (ipaddr.IPv4.isValid(bare) || ipaddr.IPv6.isValid(bare)) return "ip-address";
  if (
    !host.includes(".") ||
    PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`))
  ) {
    return "private-name";
  }
  return undefined;
}

function isAllowlisted(url: URL, allowlist: ReadonlySet<string>): boolean {
  if (url.protocol !== "https:" && url.protocol !== "http:") return false;
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return allowlist.has(`${url.hostname}:${port}`);
}
