/** Says whether a presented key is valid, for the service that it was presented to. */
import { lookUp } from "../../issuer/verify.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { isoOf } from "../views.ts";

export interface VerifyInput {
  key: string;
  scopes?: string[] | undefined;
}

export type VerifyCode =
  | "valid"
  | "unknown"
  | "malformed"
  | "expired"
  | "revoked"
  | "grace-ended"
  | "insufficient-scope";

export interface VerifyAnswer {
  code: VerifyCode;
  keyId: string | null;
  version: number | null;
  scopes: string[] | null;
  subject: string | null;
  /** Set when an older version was presented: switch before then. */
  graceEndsAt: string | null;
  cooldownUntil: string | null;
}

const NOBODY = {
  keyId: null,
  version: null,
  scopes: null,
  subject: null,
  graceEndsAt: null,
  cooldownUntil: null,
};

/** Verifies against the database as it is now, so a revocation takes effect at once. Reads only. */
export function verifyKey(context: EngineContext, { key: secret, scopes = [] }: VerifyInput): VerifyAnswer {
  const found = lookUp(context.store, context.identity.code, context.vault, secret, context.now());
  if (!("key" in found)) return { code: found.code, ...NOBODY };
  const { key, version } = found;
  const lacks = found.code === "valid" && scopes.some((scope) => !key.scopes.includes(scope));
  return {
    code: lacks ? "insufficient-scope" : found.code,
    keyId: key.id,
    version: version.number,
    scopes: key.scopes,
    subject: key.subject,
    graceEndsAt: isoOf(version.graceEndsAt),
    cooldownUntil: isoOf(key.cooldownUntil),
  };
}
