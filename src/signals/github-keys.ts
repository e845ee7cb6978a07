/**
 * GitHub's public keys: in memory, else from the registry, else fetched. One that nobody knows has them fetched again, at most once a
 * minute, as the service limits that and anybody may name a key that there is not.
 */
import { z } from "zod";
import { readConfig } from "../env.ts";
import { createOutbound } from "../outbound/port.ts";
import { createTransport } from "../outbound/transport.ts";
import type { GithubKeys } from "../registry/registry.ts";
import { registryOf } from "../registry/stub.ts";

const REFETCHED_AFTER_MS = 60_000;
/** A key that GitHub has withdrawn is believed no longer than this. */
const KEPT_MS = 24 * 3_600_000;
/** In place of a key. */
export const UNKNOWN_YET = "unknown-yet";

/** Chosen by identifier: one that is no longer current may have signed what is still on its way. */
const documentSchema = z.object({
  public_keys: z.array(z.object({ key_identifier: z.string(), key: z.string() })).max(100),
});

/** What this isolate knows, of each deployment, and the fetch that is under way. */
const known = new WeakMap<object, GithubKeys>();
const fetching = new WeakMap<object, Promise<GithubKeys>>();

/**
 * The key of an identifier as PEM. Undefined when GitHub has none of it; `unknown-yet` while nobody can say, as its keys cannot be had.
 */
export async function findGithubKey(env: Env, identifier: string): Promise<string | undefined> {
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(identifier)) return undefined;
  const kept = known.get(env);
  if (
    kept &&
    (keyIn(kept, identifier) !== undefined || isRecent(kept, REFETCHED_AFTER_MS)) &&
    isRecent(kept, KEPT_MS)
  )
    return answerOf(kept, identifier);
  const stored = await registryOf(env).githubKeys();
  if (stored) known.set(env, stored);
  const isKnown = stored && keyIn(stored, identifier) !== undefined && isRecent(stored, KEPT_MS);
  if (stored && (isKnown || isRecent(stored, REFETCHED_AFTER_MS))) return answerOf(stored, identifier);
  const fresh = fetching.get(env) ?? refetch(env, stored).finally(() => fetching.delete(env));
  fetching.set(env, fresh);
  return answerOf(await fresh, identifier);
}

/** Fetches them again; when they do not come, what was known stays. */
async function refetch(env: Env, before: GithubKeys | null): Promise<GithubKeys> {
  const keys = await fetchKeys(env);
  const fresh: GithubKeys = {
    keys: keys ?? before?.keys ?? {},
    askedAt: Date.now(),
    isWhole: keys !== undefined,
  };
  known.set(env, fresh);
  await registryOf(env).keepGithubKeys(fresh);
  return fresh;
}

function answerOf(all: GithubKeys, identifier: string): string | undefined {
  return keyIn(all, identifier) ?? (all.isWhole ? undefined : UNKNOWN_YET);
}

function keyIn({ keys }: GithubKeys, identifier: string): string | undefined {
  return Object.hasOwn(keys, identifier) ? keys[identifier] : undefined;
}

function isRecent({ askedAt }: GithubKeys, withinMs: number): boolean {
  return Math.abs(Date.now() - askedAt) < withinMs;
}

async function fetchKeys(env: Env): Promise<Record<string, string> | undefined> {
  const config = readConfig(env);
  if (!config.ok) return undefined;
  const { githubKeysUrl, githubToken, privateAllowlist } = config.value;
  const outbound = createOutbound({
    allowlist: privateAllowlist,
    transport: createTransport(env.KEYS),
    now: () => Date.now(),
  });
  const { status, body = "" } = await outbound.send({
    method: "GET",
    url: githubKeysUrl,
    headers: {
      accept: "application/json",
      ...(githubToken !== undefined && { authorization: `Bearer ${githubToken}` }),
    },
  });
  const read = status === 200 ? documentSchema.safeParse(jsonOf(body)) : undefined;
  return read?.success
    ? Object.fromEntries(read.data.public_keys.map(({ key_identifier, key }) => [key_identifier, key]))
    : undefined;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
