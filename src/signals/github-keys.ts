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

/** Chosen by identifier: one that is no longer current may have signed what is still on its way. */
const documentSchema = z.object({
  public_keys: z.array(z.object({ key_identifier: z.string(), key: z.string() })).max(100),
});

/** What this isolate knows, of each deployment. */
const known = new WeakMap<object, GithubKeys>();

/** The key of an identifier as PEM, or undefined when GitHub has none of it. */
export async function findGithubKey(env: Env, identifier: string): Promise<string | undefined> {
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(identifier)) return undefined;
  const inMemory = known.get(env)?.keys;
  if (inMemory && Object.hasOwn(inMemory, identifier)) return inMemory[identifier];
  const stored = await registryOf(env).githubKeys();
  if (stored) known.set(env, stored);
  if (stored && Object.hasOwn(stored.keys, identifier)) return stored.keys[identifier];
  const now = Date.now();
  if (stored && Math.abs(now - stored.askedAt) < REFETCHED_AFTER_MS) return undefined;
  // Kept before the call, so that a flood of unknown identifiers makes one call.
  await registryOf(env).keepGithubKeys({ keys: stored?.keys ?? {}, askedAt: now });
  const keys = await fetchKeys(env);
  if (!keys) return undefined;
  const fresh = { keys, askedAt: now };
  known.set(env, fresh);
  await registryOf(env).keepGithubKeys(fresh);
  return Object.hasOwn(keys, identifier) ? keys[identifier] : undefined;
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
