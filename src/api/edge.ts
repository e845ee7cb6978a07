/**
 * Verification at the edge: from records in KV, without opening the keyring. Whatever the records cannot say for certain is left to
 * the keyring, so that this answers nothing but what it knows, and who has not the right secret learns nothing from the time it takes.
 */
import { type EdgeRecord, judgeByRecord, parseRecord, recordNameOf } from "../issuer/edge-record.ts";
import { parseToken } from "../issuer/token.ts";
import { describeVerdict, type VerifyAnswer } from "../keyring/verdict.ts";

interface Question {
  /** The access key of who asks. */
  caller: string;
  key: string;
  scopes: readonly string[];
}

/** The answer of the edge, or undefined where the keyring has to be asked: that includes every caller who may not be answered. */
export async function verifyAtEdge(
  { REKEY_KV }: Env,
  { caller, key, scopes }: Question,
  now: number,
): Promise<VerifyAnswer | undefined> {
  const asking = parseToken(caller);
  const asked = parseToken(key);
  if (asking.kind !== "token" || asked.kind !== "token" || asked.code !== asking.code) return undefined;
  const names = [asking, asked].map(({ code, publicId }) => recordNameOf(code, publicId));
  const [own, record] = await Promise.all(names.map((name) => readRecord(REKEY_KV, name)));
  const may =
    own?.opensApi && own.scopes.includes("keys:verify") && judgeByRecord(own, caller, now) === "valid";
  const verdict = record && judgeByRecord(record, key, now);
  if (!may || !record || !verdict) return undefined;
  return describeVerdict(verdict, record, scopes, { now, recordedAt: record.writtenAt });
}

/** A record, or undefined when there is none or KV does not answer. */
async function readRecord(kv: KVNamespace, name: string): Promise<EdgeRecord | undefined> {
  const text = await kv.get(name).catch(() => null);
  return text === null ? undefined : parseRecord(text);
}
