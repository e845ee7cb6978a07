/**
 * The demo's other story: a key that a service outside issues, played against its fake. Cron finds it past its age, the service is asked
 * for a new value, and the old one ends as the service has it. Each line with a tick was checked when it happened.
 */
import { z } from "zod";
import type { Provider } from "../providers/provider.ts";
import { chainSchema, createdKeySchema } from "./client.ts";
import { digestOf, hear, SOON_MS, type Stage, shorten, watch } from "./observe.ts";
import type { Service } from "./service-process.ts";
import type { Beginning } from "./service-protocol.ts";

const MAX_AGE_DAYS = 30;
const AGE_DAYS = 31;
const DAY_MS = 86_400_000;

export interface Served {
  provider: Provider;
  service: Service;
  url: string;
  beginning: Beginning;
}

/** Makes the connection, which says where the service is, and hands in the key's present value. Returns its digest. */
export async function adoptKey(stage: Stage, { provider, service, url, beginning }: Served): Promise<string> {
  const { screen, checks, client, keyName } = stage;
  const { name, title, overlap } = provider;
  const { connection = {}, key } = beginning;
  await client.call(z.unknown(), "POST", "/v1/connections", {
    name: "account",
    provider: name,
    ...connection,
    config: { ...connection.config, baseUrl: url },
  });
  screen.done("Connection", `${title} let it in`);
  await client.call(createdKeySchema, "POST", "/v1/keys", {
    name: keyName,
    provider: name,
    connection: "account",
    ...key,
    issuedAt: new Date(Date.now() - AGE_DAYS * DAY_MS).toISOString(),
    policy: { maxAge: `${MAX_AGE_DAYS}d`, grace: "24h", ...(overlap === "none" && { allowDowntime: true }) },
    destinations: [{ id: "partner-app" }],
  });
  const { secret } = key.fields;
  screen.done(keyName, `adopted  ${shorten(secret)}  ${AGE_DAYS} of ${MAX_AGE_DAYS} days old: overdue`);
  const first = await hear(stage, "installed", 1);
  checks.equal("what the receiver got", first.digest, digestOf(secret));
  screen.done("Receiver", `holds version 1 (…${first.hint})`);
  checks.equal("version 1 at the service", await service.opens(first.digest), true);
  screen.done(title, "accepts version 1");
  return first.digest;
}

/** Fires the cron trigger once and watches the rotation that it starts. Returns the digest of the new value. */
export async function rotate(stage: Stage, { provider, service }: Served, old: string): Promise<string> {
  const { screen, checks, client, worker, keyName } = stage;
  const { title, overlap } = provider;
  const before = service.calls.length;
  await worker.fireCron();
  const started = await watch(stage, "a rotation", (_, rotation) => rotation);
  checks.equal("who started it", `${started.trigger} by ${started.requestedBy}`, "schedule by cron");
  screen.done("Cron trigger", `fired, found ${keyName} past its age, started a rotation`);
  const minted = await watch(stage, "minted", (key) => key.versions.find(({ number }) => number === 2));
  screen.done("Minted", `version 2 (…${minted.hint})`);
  const installed = await hear(stage, "installed", 2);
  checks.holds("the new value", installed.digest !== old, "another one", "the old one");
  screen.done("Receiver", `holds version 2 (…${installed.hint}), signature good`);
  await checks.until("version 2 at the service", "accepted", SOON_MS, async () => {
    const opens = await service.opens(installed.digest);
    return { found: opens || undefined, seen: "refused" };
  });
  screen.done(title, "accepts version 2");
  const opensOld = await service.opens(old);
  checks.equal("whether the service still accepts version 1", opensOld, overlap !== "none");
  screen.done(title, opensOld ? "accepts version 1 still" : "refuses version 1 since version 2 is there");
  await watch(stage, "over", (_, { live }) => (live ? undefined : true));
  const [rotation] = await client.rotationsOf(keyName);
  checks.equal("how the rotation ended", `${rotation?.state}: ${rotation?.problem}`, "succeeded: null");
  const asked = service.calls.slice(before).filter(({ purpose }) => purpose === "mint").length;
  checks.equal("calls that ask for a new value", asked, 1);
  screen.done("Rotated", `version 2 is current; ${title} was asked for one new value, once`);
  return installed.digest;
}

/** The old value ends: at once, or as its grace is ended by hand, so that nobody has to wait for hours. */
export async function seeOldEnd(stage: Stage, { provider, service }: Served, old: string): Promise<void> {
  const { screen, checks, client, keyName } = stage;
  const { cooldownUntil, versions } = await client.key(keyName);
  const graceEndsAt = versions.find(({ number }) => number === 1)?.graceEndsAt ?? "";
  if (provider.overlap !== "none") {
    screen.done("Grace", `of version 1 until ${graceEndsAt}; nobody waits for that here`);
    const path = `/v1/keys/${keyName}/versions/1/finish`;
    await client.call(z.unknown(), "POST", path, { reason: "the demo is over" });
  }
  await checks.until("version 1", "revoked, and seen to be refused", SOON_MS, async () => {
    const one = (await client.key(keyName)).versions.find(({ number }) => number === 1);
    return { found: one?.stage === "revoked" && one.confirmed ? one : undefined, seen: `${one?.stage}` };
  });
  checks.equal("version 1 at the service", await service.opens(old), false);
  screen.done("Revoked", `version 1, seen to be refused by ${provider.title}`);
  if (cooldownUntil !== null)
    screen.done("Cooldown", `until ${cooldownUntil}, as the service says: no rotation before that`);
  const chain = await client.call(chainSchema, "GET", "/v1/events/verify");
  checks.equal("the history's hash chain", chain.ok, true);
  screen.lines(`\n    History: ${chain.count} events, hash chain intact.`);
}
