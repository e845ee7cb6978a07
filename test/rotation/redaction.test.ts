/** Words about a leak, without what leaked. */
import { expect, it } from "vitest";
import { redact } from "../../src/rotation/redaction.ts";

const SECRET = "sk/fake+value=of a test";
const leaked = { secret: SECRET };

it.each([
  ["https://paste.acme.dev/1", "https://paste.acme.dev/1"],
  [`seen as ${SECRET} here`, "seen as [value] here"],
  [`https://paste.acme.dev/?q=${encodeURIComponent(SECRET)}`, "https://paste.acme.dev/?q=[value]"],
  [`https://paste.acme.dev/${encodeURI(SECRET)}`, "https://paste.acme.dev/[value]"],
  [`https://paste.acme.dev/${Buffer.from(SECRET).toString("base64")}`, "https://paste.acme.dev/[value]"],
  ["a\u0000b\u202ec\nd", "abcd"],
])("keeps what can be kept of %j", (text, kept) => {
  expect(redact(text, leaked)).toBe(kept);
});

it.each([
  ["each character encoded", [...SECRET].map((one) => `%${one.charCodeAt(0).toString(16)}`).join("")],
  ["encoded twice", encodeURIComponent(encodeURIComponent(SECRET))],
])("keeps nothing where the value is %s", (_, text) => {
  expect(redact(`https://paste.acme.dev/?q=${text}`, leaked)).toBeNull();
});

it("leaves out what looks like an issued key, whatever leaked", () => {
  const token = `sk_live_${"A".repeat(74)}`;
  expect(redact(`https://paste.acme.dev/${token}`, { key: "billing" })).toBe(
    "https://paste.acme.dev/[value]",
  );
  const encoded = token.replaceAll("_", "%5F");
  expect(redact(`https://paste.acme.dev/${encoded}`, { key: "billing" })).toBeNull();
});

it("has nothing to keep of nothing, and no more than 2,048 characters", () => {
  expect(redact(undefined, leaked)).toBeNull();
  expect(redact("", leaked)).toBeNull();
  expect(redact("x".repeat(5_000), leaked)).toHaveLength(2_048);
});
