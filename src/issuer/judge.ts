/** Whether a version of an issued key still opens doors. Pure: the stored row and the time decide, nothing else. */
import type { KeyRow, KeyState } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";

export type Verdict = "valid" | "expired" | "revoked" | "grace-ended";

/** States of a key that no value of it outlives. */
const OVER: KeyState[] = ["revoked", "deleting", "deleted"];

/**
 * Judges a version that the presenter proved to hold. A pending version is valid from the moment it is minted, so that a
 * consumer may switch as soon as it has it; a version in grace is valid until its stored deadline, and never beyond the
 * key's own expiry.
 */
export function judge(
  version: Pick<VersionRow, "stage" | "graceEndsAt" | "endReason">,
  key: Pick<KeyRow, "state" | "expiresAt">,
  now: number,
): Verdict {
  switch (version.stage) {
    case "revoking":
    case "revoked":
    case "discarded":
    case "lost":
      return version.endReason === "rotated" ? "grace-ended" : "revoked";
    case "previous":
      if (version.graceEndsAt !== null && now >= version.graceEndsAt) return "grace-ended";
      break;
    case "pending":
    case "current":
      break;
  }
  if (OVER.includes(key.state)) return "revoked";
  return key.expiresAt !== null && now >= key.expiresAt ? "expired" : "valid";
}
