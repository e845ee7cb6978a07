/** What verification answers, whoever looked: the keyring itself or a record at the edge. */
import type { Verdict } from "../issuer/judge.ts";
import { isoOf } from "./views.ts";

export const VERIFY_CODES = [
  "valid",
  "unknown",
  "malformed",
  "expired",
  "revoked",
  "grace-ended",
  "insufficient-scope",
  "rate-limited",
] as const;

export type VerifyCode = (typeof VERIFY_CODES)[number];
export type VerifyMode = "immediate" | "edge";

export interface VerifyAnswer {
  code: VerifyCode;
  keyId: string | null;
  version: number | null;
  scopes: string[] | null;
  /** Scopes that were asked for and are not held, for `insufficient-scope`. */
  missingScopes: string[] | null;
  role: string | null;
  subject: string | null;
  /** Set when an older version was presented: switch before then. */
  graceEndsAt: string | null;
  expiresAt: string | null;
  cooldownUntil: string | null;
  /** How many more valid answers the key's limits leave; null without a limit. */
  remaining: number | null;
  /** A duration, for `rate-limited`; null when waiting does not help. */
  retryAfter: string | null;
  /** Who looked. */
  mode: VerifyMode;
  checkedAt: string;
  /** When the record was written that the edge looked at. */
  recordedAt: string | null;
  /** How far the answer may lag behind, in words. */
  staleness: string | null;
}

/** What is known of a key and a version of it. Times in milliseconds since the epoch. */
export interface Facts {
  keyId: string;
  version: number;
  scopes: string[];
  role: string | null;
  subject: string | null;
  graceEndsAt: number | null;
  expiresAt: number | null;
  cooldownUntil: number | null;
}

const LAG =
  "A revocation may not show here yet: typically for 60 s, with no upper bound. Use the mode immediate where that matters.";

/** How an answer was come by. */
interface Look {
  now: number;
  /** Of the record, for an answer of the edge. */
  recordedAt?: number;
}

function howLooked({ now, recordedAt }: Look) {
  const isEdge = recordedAt !== undefined;
  return {
    mode: isEdge ? ("edge" as const) : ("immediate" as const),
    checkedAt: new Date(now).toISOString(),
    recordedAt: isoOf(recordedAt ?? null),
    staleness: isEdge ? LAG : null,
  };
}

/** The answer about a secret that nobody here has. It tells nothing else. */
export function describeNobody(code: "unknown" | "malformed", now: number): VerifyAnswer {
  return {
    code,
    keyId: null,
    version: null,
    scopes: null,
    missingScopes: null,
    role: null,
    subject: null,
    graceEndsAt: null,
    expiresAt: null,
    cooldownUntil: null,
    remaining: null,
    retryAfter: null,
    ...howLooked({ now }),
  };
}

/** The answer to who presented the right secret. */
export function describeVerdict(
  verdict: Verdict,
  facts: Facts,
  wanted: readonly string[],
  look: Look,
): VerifyAnswer {
  const missing = verdict === "valid" ? wanted.filter((scope) => !facts.scopes.includes(scope)) : [];
  return {
    code: missing.length > 0 ? "insufficient-scope" : verdict,
    keyId: facts.keyId,
    version: facts.version,
    scopes: facts.scopes,
    missingScopes: missing.length > 0 ? missing : null,
    role: facts.role,
    subject: facts.subject,
    graceEndsAt: isoOf(facts.graceEndsAt),
    expiresAt: isoOf(facts.expiresAt),
    cooldownUntil: isoOf(facts.cooldownUntil),
    remaining: null,
    retryAfter: null,
    ...howLooked(look),
  };
}
