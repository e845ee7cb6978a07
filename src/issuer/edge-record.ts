/**
 * What verification at the edge knows of one version: its record in KV. Nothing in it is secret, and its name can be made from a
 * presented key without its secret. It carries the deadline of a grace, so that a planned hand-over needs no news.
 */
import { z } from "zod";
import { sameBytes, sha256 } from "../crypto/hash.ts";
import type { KeyRow } from "../store/keys.ts";
import type { VersionRow } from "../store/versions.ts";
import { judge, type Verdict } from "./judge.ts";

const recordSchema = z.object({
  /** SHA-256 of the whole presented text, base64url. */
  digest: z.string(),
  keyId: z.string(),
  version: z.int(),
  scopes: z.array(z.string()),
  role: z.string().nullable(),
  subject: z.string().nullable(),
  /** Whether it opens Rekey's own API. */
  opensApi: z.boolean(),
  stage: z.enum(["current", "previous", "revoked"]),
  endReason: z.enum(["rotated", "revoked", "deleted", "discarded", "lost", "compromised"]).nullable(),
  state: z.enum(["pending", "active", "lost", "revoked", "deleting", "deleted"]),
  graceEndsAt: z.int().nullable(),
  expiresAt: z.int().nullable(),
  cooldownUntil: z.int().nullable(),
  /** When it was written. Milliseconds since the epoch, as all times here. */
  writtenAt: z.int(),
});

export type EdgeRecord = z.infer<typeof recordSchema>;

/** The name of a version's record. */
export function recordNameOf(code: string, publicId: string): string {
  return `edge:${Buffer.from(sha256(`${code}/${publicId}`)).toString("base64url")}`;
}

/** True for a version that can have a record: its value names it. */
export function canHaveRecord({ digest, fingerprint }: VersionRow): boolean {
  return digest !== null && fingerprint === null;
}

/** What the record of a version says, as of the rows. */
export function recordOf(key: KeyRow, version: VersionRow, opensApi: boolean, now: number): EdgeRecord {
  const isOpen = version.stage === "pending" || version.stage === "current";
  return {
    digest: Buffer.from(version.digest ?? new Uint8Array()).toString("base64url"),
    keyId: key.id,
    version: version.number,
    scopes: key.scopes,
    role: key.role,
    subject: key.subject,
    opensApi,
    stage: isOpen ? "current" : version.stage === "previous" ? "previous" : "revoked",
    endReason: version.endReason,
    state: key.state,
    graceEndsAt: version.graceEndsAt,
    expiresAt: key.expiresAt,
    cooldownUntil: key.cooldownUntil,
    writtenAt: now,
  };
}

/** Reads a record as it came from KV; undefined for one that this version of Rekey does not understand. */
export function parseRecord(text: string): EdgeRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Judges a presented secret by a record; undefined when it is another secret. */
export function judgeByRecord(record: EdgeRecord, secret: string, now: number): Verdict | undefined {
  const matches = sameBytes(Buffer.from(record.digest, "base64url"), sha256(secret));
  return matches ? judge(record, record, now) : undefined;
}
