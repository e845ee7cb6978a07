/** The deployment's variables, parsed once. What is missing is named together with how to set it. */
import { z } from "zod";
import { sha256 } from "./crypto/hash.ts";
import { type MasterKey, parseMasterKeys } from "./crypto/master-keys.ts";
import { err, ok, type Result } from "./result.ts";

// The runtime forbids `new Function`, which Zod would use to speed up parsing.
z.config({ jitless: true });

/** Which events become lines on the console. */
const LOG_MODES = ["all", "warnings", "none"] as const;
export type LogMode = (typeof LOG_MODES)[number];

export interface Config {
  /** Newest first; never empty. */
  masterKeys: MasterKey[];
  /** Accepted root tokens, as their lengths and SHA-256; never empty. */
  roots: { length: number; digest: Uint8Array }[];
  privateAllowlist: string | undefined;
  logEvents: LogMode;
  /** Origin at which this deployment is reached, for addresses in messages. */
  publicUrl: string | undefined;
  /** Origins of web pages that may call /mcp, beside this deployment's own. */
  allowedOrigins: string[];
  /** Where GitHub's public keys for secret scanning are. */
  githubKeysUrl: string;
  /** Lifts the limit on fetching them, which without it is shared with everybody at the same address. */
  githubToken: string | undefined;
}

const GITHUB_KEYS_URL = "https://api.github.com/meta/public_keys/secret_scanning";

const MIN_ROOT_TOKEN_LENGTH = 24;

const variables = z.object({
  MASTER_KEYS: z
    .string({
      error:
        "MASTER_KEYS is not set; make one with `echo k1:$(openssl rand -base64 32) | tee /dev/tty | npx wrangler secret put MASTER_KEYS` and keep a copy",
    })
    .transform((text, check) => {
      const keys = parseMasterKeys(text);
      if (keys) return keys;
      check.addIssue({
        code: "custom",
        message: "MASTER_KEYS must read `id:base64[,id:base64…]`, each key 32 bytes",
      });
      return z.NEVER;
    }),
  ROOT_TOKEN: z
    .string({
      error:
        "ROOT_TOKEN is not set; make one with `openssl rand -hex 32 | tee /dev/tty | npx wrangler secret put ROOT_TOKEN` and keep a copy",
    })
    .transform((text) => text.split(",").map((token) => token.trim()))
    .refine((tokens) => tokens.every((token) => token.length >= MIN_ROOT_TOKEN_LENGTH), {
      message: `each token in ROOT_TOKEN must have at least ${MIN_ROOT_TOKEN_LENGTH} characters`,
    }),
  PRIVATE_ALLOWLIST: z.string().optional(),
  LOG_EVENTS: z
    .enum(LOG_MODES, { error: `LOG_EVENTS must be one of ${LOG_MODES.join(", ")}` })
    .default("all"),
  PUBLIC_URL: z
    .url({
      protocol: /^https?$/,
      error: "PUBLIC_URL must be the address of this deployment, such as https://rekey.acme.dev",
    })
    .transform((url) => new URL(url).origin)
    .optional(),
  ALLOWED_ORIGINS: z
    .string()
    .transform((text) => text.split(",").map((origin) => origin.trim()))
    .refine((origins) => origins.every(isOrigin), {
      message: "ALLOWED_ORIGINS must be a comma list of origins, such as https://chat.acme.dev",
    })
    .default([]),
  GITHUB_KEYS_URL: z
    .url({ protocol: /^https?$/, error: "GITHUB_KEYS_URL must be an address" })
    .default(GITHUB_KEYS_URL),
  GITHUB_TOKEN: z.string().min(1).optional(),
});

/** True for what a browser sends as Origin: a scheme and a host, nothing after. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

const parsed = new WeakMap<object, Result<Config, string[]>>();

/**
 * The deployment's settings.
 * @returns the settings, or one sentence for each that is missing or malformed; no sentence holds a value
 */
export function readConfig(env: Env): Result<Config, string[]> {
  const known = parsed.get(env);
  if (known) return known;
  const { success, data, error } = variables.safeParse(env);
  const result = success
    ? ok({
        masterKeys: data.MASTER_KEYS,
        roots: data.ROOT_TOKEN.map((token) => ({ length: token.length, digest: sha256(token) })),
        privateAllowlist: data.PRIVATE_ALLOWLIST,
        logEvents: data.LOG_EVENTS,
        publicUrl: data.PUBLIC_URL,
        allowedOrigins: data.ALLOWED_ORIGINS,
        githubKeysUrl: data.GITHUB_KEYS_URL,
        githubToken: data.GITHUB_TOKEN,
      })
    : err(error.issues.map((issue) => issue.message));
  parsed.set(env, result);
  return result;
}
