/** verify_api_key: is this value good, and for what? */
import { z } from "zod";
import { VERIFY_CODES, type VerifyAnswer } from "../../keyring/verdict.ts";
import { ok } from "../../result.ts";
import { defineTool } from "../tool.ts";

const data = z.object({
  code: z.enum(VERIFY_CODES),
  keyId: z.string().nullable(),
  version: z.int().nullable(),
  scopes: z.array(z.string()).nullable(),
  missingScopes: z.array(z.string()).nullable(),
  role: z.string().nullable(),
  subject: z.string().nullable(),
  graceEndsAt: z.string().nullable().describe("Set for an old value: its holder must switch before then."),
  expiresAt: z.string().nullable(),
  cooldownUntil: z
    .string()
    .nullable()
    .describe("Rotated a moment ago: hold back what a thief would want until then."),
  remaining: z.int().nullable().describe("Valid answers that its limits leave."),
  retryAfter: z.string().nullable(),
});

/** What each verdict means. */
const MEANING: Record<VerifyAnswer["code"], string> = {
  valid: "The value is valid.",
  unknown: "Nobody here knows this value.",
  malformed: "The value has the form of a key of Rekey, and a wrong checksum: it was not copied whole.",
  expired: "The value is right, and expired.",
  revoked: "The value is right, and revoked.",
  "grace-ended": "The value is right, but an old one whose grace is over.",
  "insufficient-scope": "The value is valid, but lacks scopes that were asked for.",
  "rate-limited": "The value is right, and used too often.",
};

export const verifyApiKey = defineTool({
  name: "verify_api_key",
  title: "Verify an API key's value",
  description: `Says whether a value is valid right now, whose key it is and what it may do. Knows values that Rekey issued or adopted, not those of services outside.
Use it to check what a caller presented, or whether an old value is really dead. To look at a key without its value use get_api_key.
Counts as one use where the key has limits; changes nothing else. The value is not stored or repeated, but your arguments are part of this conversation: pass values only that are meant to be checked.
Needs scope keys:verify.
\`data.code\` is the verdict; \`graceEndsAt\` tells the holder of an old value until when to switch.`,
  scope: "keys:verify",
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.object({
    secret: z.string().min(1).max(16_384).describe("The value to check."),
    scopes: z.array(z.string().min(1).max(100)).max(100).default([]).describe("All of these must be held."),
  }),
  data,
  example: { secret: "sk_live_…", scopes: ["invoices:read"] },
  async run(visitor, { secret, scopes }) {
    const verdict = await visitor.ask(async (keyring, { credential, route }) => {
      const token = credential.kind === "access" ? credential.token : null;
      const text = await keyring.verify(token, route, secret, scopes);
      return text.ok ? ok(data.parse(JSON.parse(text.value))) : text;
    });
    const until =
      verdict.graceEndsAt === null ? "" : ` It is an old one and works until ${verdict.graceEndsAt}.`;
    return {
      headline: `${MEANING[verdict.code]}${verdict.code === "valid" ? until : ""}`,
      data: verdict,
      actions: verdict.keyId
        ? [{ tool: "get_api_key", args: { key: verdict.keyId }, reason: "the key that it belongs to" }]
        : [],
    };
  },
});
