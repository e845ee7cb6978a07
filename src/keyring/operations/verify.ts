/** Says whether a presented key is valid, for the service that it was presented to. */
import { lookUp } from "../../issuer/verify.ts";
import type { EngineContext } from "../../rotation/context.ts";
import type { Uses } from "../uses.ts";
import { describeNobody, describeVerdict, type VerifyAnswer } from "../verdict.ts";

export interface VerifyInput {
  key: string;
  scopes?: string[] | undefined;
}

/** Verifies against the database as it is now, so a revocation takes effect at once. Reads only; what it counts, it keeps in memory. */
export function verifyKey(
  context: EngineContext,
  uses: Uses,
  { key: secret, scopes = [] }: VerifyInput,
): VerifyAnswer {
  const now = context.now();
  const found = lookUp(context.store, context.identity.code, context.vault, secret, now);
  if (!("key" in found)) return describeNobody(found.code, now);
  const { key, version } = found;
  const facts = { ...key, keyId: key.id, version: version.number, graceEndsAt: version.graceEndsAt };
  const answer = describeVerdict(found.code, facts, scopes, { now });
  if (found.code === "valid") uses.see(version.id, now);
  if (answer.code !== "valid") return answer;
  const { isAdmitted, remaining, retryAfterMs } = uses.admit(key, now);
  const wait = retryAfterMs === null ? null : `${Math.ceil(retryAfterMs / 1_000)}s`;
  return isAdmitted
    ? { ...answer, remaining }
    : { ...answer, code: "rate-limited", remaining, retryAfter: wait };
}
