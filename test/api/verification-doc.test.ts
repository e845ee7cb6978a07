/** The example of docs/verification.md, as it is printed there. */
import { describe, expect, it } from "vitest";
import page from "../../docs/verification.md?raw";
import { VERIFY_CODES } from "../../src/keyring/verdict.ts";
import { makeKeyring } from "../support/api.ts";
import { makeAccessKey, makeKey } from "./fixtures.ts";

describe("docs/verification.md", () => {
  it("shows what is answered", async () => {
    const [question = "", shown = ""] = [...page.matchAll(/```json\n([\s\S]*?)\n```/g)].map(
      ([, text]) => text,
    );
    const ring = await makeKeyring();
    const { call } = await makeAccessKey(ring, ["keys:verify"]);
    const { id } = await makeKey(ring, "billing", {
      prefix: "sk_live",
      scopes: ["invoices:read", "invoices:write"],
      subject: "customer-7",
      usage: { limit: 1_000 },
    });
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/billing/rotate?wait=10s", {
      body: { reveal: "inline" },
    });
    const body = { key: rotated.body.secret, ...JSON.parse(question) };
    const { body: heard } = await call<{ checkedAt: string }>("POST", "/v1/verify", { body });
    const example = shown.replace("key_…", id).replace('"…"', JSON.stringify(heard.checkedAt));
    expect(JSON.stringify(heard, null, 2)).toBe(JSON.stringify(JSON.parse(example), null, 2));
  });

  it("explains every code and no other", () => {
    const explained = [...page.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, code]) => code);
    expect(explained.sort()).toEqual([...VERIFY_CODES].sort());
  });
});
