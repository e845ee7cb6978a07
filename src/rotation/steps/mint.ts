/** Step 2: a new value at the service. The intent is stored before this runs, unless minting is a function of ours. */
import { sha256 } from "../../crypto/hash.ts";
import type { MintIntent, MintResult } from "../../providers/provider.ts";
import type { RotationRow } from "../../store/rotations.ts";
import type { StepNews } from "../changes.ts";
import { type EngineContext, providerContext } from "../context.ts";
import { keyOf, versionOf } from "../effects.ts";
import { graceMs } from "../policy.ts";
import type { Step, StepResult } from "./step.ts";

export const mint: Step = async (context, rotation) => {
  const key = keyOf(context, rotation);
  const old = versionOf(context, rotation, rotation.fromVersion);
  const provider = context.providerOf(key);
  const result = await provider.mint(
    providerContext(context, key, old, rotation.connectionRevision, rotation.urgent),
    intentOf(context, rotation),
  );
  return fromMint(result);
};

/** What an attempt carries to the service: derived from rotation and attempt, so that repeating it is the same attempt. */
export function intentOf(context: EngineContext, rotation: RotationRow): MintIntent {
  const marker = markerOf(rotation, rotation.mints);
  const key = keyOf(context, rotation);
  const canRevoke = context.providerOf(key).revoke !== undefined;
  return {
    marker,
    idempotencyKey: uuidOf(marker),
    // In an emergency the old one is revoked by a call of ours, once the new one is there. Where there is no such call, it is asked to end now.
    graceMs: rotation.urgent && !canRevoke ? 0 : graceMs(key.policy, rotation.grace),
    again: rotation.oldEndsAt !== null,
  };
}

/** The marker of one attempt of a rotation. */
export function markerOf(rotation: RotationRow, attempt: number): string {
  return `rekey-${rotation.id}-${attempt}`;
}

/** The outcome of a call to mint. */
export function fromMint(result: MintResult): StepResult {
  const { report } = result;
  switch (result.kind) {
    case "minted":
      return { outcome: { kind: "minted" }, minted: result, report };
    case "refused":
      return { outcome: { kind: "mint-refused", problem: result.problem }, report };
    case "postponed": {
      const { problem, retryAfterMs } = result;
      return {
        outcome: { kind: "mint-postponed", problem, ...(retryAfterMs !== undefined && { retryAfterMs }) },
        report,
      };
    }
    case "in-doubt":
      return { outcome: { kind: "mint-in-doubt", problem: result.problem }, report };
    case "conflict":
      return { outcome: { kind: "mint-conflict", problem: result.problem }, report };
  }
}

/** A UUID (version 8, RFC 9562) made of a hash, for services that insist on one. */
function uuidOf(text: string): string {
  const bytes = Buffer.from(sha256(text).subarray(0, 16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** What an answer to a call to mint says to a rotation that no longer expected it. Undefined when it says nothing for certain. */
export function lateAnswer(row: RotationRow, result: StepResult): StepNews | undefined {
  if (result.outcome.kind === "minted") return result;
  const { kind } = result.outcome;
  const isNothing = row.step === "mint" && (kind === "mint-refused" || kind === "mint-postponed");
  return isNothing ? { outcome: { kind: "none-found", settled: true }, report: result.report } : undefined;
}
