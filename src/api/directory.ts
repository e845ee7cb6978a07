/**
 * From a name or a code to a keyring, without opening one that does not exist: an unknown code is refused from memory, from a
 * KV record or, within a rate limit, by the registry.
 */
import type { Failure } from "../errors/catalogue.ts";
import { registryOf } from "../registry/stub.ts";
import { err, ok, type Result } from "../result.ts";
import type { KeyringIdentity } from "../store/settings.ts";

const MAX_REMEMBERED = 10_000;
const UNKNOWN_LASTS_MS = 60_000;
/** Questions to the registry about codes that nobody here knows: a burst, then this many a second. */
const ASK_BURST = 50;
const ASKS_PER_SECOND = 10;

const known = new Map<string, KeyringIdentity>();
const unknown = new Map<string, number>();
let tokens = ASK_BURST;
let refilledAt = 0;

/** Finds the keyring of an access key's code. */
export async function findByCode(env: Env, code: string): Promise<Result<KeyringIdentity, Failure>> {
  const remembered = known.get(`code:${code}`);
  if (remembered) return ok(remembered);
  const now = Date.now();
  if ((unknown.get(code) ?? 0) > now) return err({ code: "credential-unknown" });
  const recorded = await env.REKEY_KV.get(recordName(code));
  if (recorded !== null) return ok(rememberKnown({ name: recorded, code }));
  if (!mayAsk(now)) return err({ code: "rate-limited", retryAfterSeconds: 1 });
  const found = await registryOf(env).find({ code });
  if (found) {
    await publish(env, found);
    return ok(rememberKnown(found));
  }
  if (unknown.size >= MAX_REMEMBERED) unknown.clear();
  unknown.set(code, now + UNKNOWN_LASTS_MS);
  return err({ code: "credential-unknown" });
}

/** Which of the codes are keyrings: one question for all that nobody here knows. For codes from somebody who is believed. */
export async function findCodes(env: Env, codes: readonly string[]): Promise<Map<string, KeyringIdentity>> {
  const remembered = codes.flatMap((code) => known.get(`code:${code}`) ?? []);
  const others = codes.filter((code) => !known.has(`code:${code}`));
  const found = others.length > 0 ? await registryOf(env).findCodes(others) : [];
  for (const identity of found) rememberKnown(identity);
  return new Map([...remembered, ...found].map((identity) => [identity.code, identity]));
}

/** Finds a keyring by name, for root. */
export async function findByName(env: Env, name: string): Promise<Result<KeyringIdentity, Failure>> {
  const remembered = known.get(`name:${name}`);
  if (remembered) return ok(remembered);
  const found = await registryOf(env).find({ name });
  return found
    ? ok(rememberKnown(found))
    : err({ code: "keyring-unknown", detail: "no keyring has the name in Rekey-Keyring" });
}

/** Records a new keyring's code where every place can see it. */
export async function publish(env: Env, { name, code }: KeyringIdentity): Promise<void> {
  await env.REKEY_KV.put(recordName(code), name);
}

function rememberKnown(identity: KeyringIdentity): KeyringIdentity {
  if (known.size >= MAX_REMEMBERED) known.clear();
  known.set(`code:${identity.code}`, identity);
  known.set(`name:${identity.name}`, identity);
  return identity;
}

function mayAsk(now: number): boolean {
  // A clock that was set back must not take tokens away.
  const waitedMs = Math.max(0, now - refilledAt);
  tokens = Math.min(ASK_BURST, tokens + (waitedMs / 1_000) * ASKS_PER_SECOND);
  refilledAt = now;
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

function recordName(code: string): string {
  return `code:${code}`;
}
