/**
 * The demo's story, act by act: a key past its age is found by cron, replaced, handed out, and its old value dies. Each line
 * with a tick is printed once what it says was checked, when it happens.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { chainSchema, createdKeySchema, destinationSchema, keyringPageSchema } from "./client.ts";
import {
  digestOf,
  hear,
  LEGACY,
  readKv,
  SOON_MS,
  type Stage,
  sendForged,
  shorten,
  watch,
} from "./observe.ts";

/** Values by key; they are compared and verified, never printed. */
export interface Values {
  billing: string;
  mobile: string;
  legacyOld: string;
  legacyNew: string;
}

const BILLING = "billing-api";
const MOBILE = "mobile-app";
const DAY_MS = 86_400_000;
const MAX_AGE_DAYS = 30;
const LEGACY_AGE_DAYS = 31;
const GRACE_SECONDS = 8;
/** The receiver takes at least this long to install the new value, so that the rotation can be watched while it is live. */
const INSTALL_MS = 1_000;
/** How late an alarm may ring, on a machine that is busy. */
const ALARM_SLACK_MS = 5_000;
/** The last look at both values keeps this distance from the end of the grace. */
const LAST_LOOK_SECONDS = 2;

export async function makeDestinations(stage: Stage): Promise<void> {
  const { screen, client } = stage;
  // Other places see a KV write within a minute; here there is only one place, so nothing has to wait for it.
  await client.call(destinationSchema, "POST", "/v1/destinations", {
    name: "kv",
    type: "kv",
    config: { propagation: "0" },
  });
  screen.done("Destination", "Workers KV, namespace KEYS");
  await makeWebhook(stage);
}

/** Makes the destination `partner-app`, the receiver, which trusts what Rekey signs and nothing else. */
export async function makeWebhook(stage: Stage): Promise<void> {
  const { screen, checks, client, receiver, receiverUrl } = stage;
  const { signingSecret } = await client.call(destinationSchema, "POST", "/v1/destinations", {
    name: "partner-app",
    type: "webhook",
    config: { url: receiverUrl, secretMode: "plain" },
  });
  if (signingSecret === undefined) throw new Error("a webhook destination came without its signing secret");
  receiver.order({ kind: "trust", signingSecret });
  screen.done("Destination", "webhook to the receiver, with a signing secret of its own");
  checks.equal("answer to a message signed with another secret", await sendForged(receiverUrl), 401);
  screen.done("Receiver", "refused a message signed with another secret (401)");
}

/** Issues two keys and adopts one that was made elsewhere, longer ago than its policy allows. */
export async function makeKeys({ screen, client }: Stage): Promise<Values> {
  const policy = { maxAge: `${MAX_AGE_DAYS}d`, grace: `${GRACE_SECONDS}s` };
  const create = (body: object) =>
    client.call(createdKeySchema, "POST", "/v1/keys", { provider: "issuer", policy, ...body });
  const tell = (name: string, how: string, value: string, age: number) =>
    screen.done(
      name,
      `${how}  ${shorten(value).padEnd(14)}  ${age} of ${MAX_AGE_DAYS} days old${age > MAX_AGE_DAYS ? ": overdue" : ""}`,
    );
  const issue = async (name: string, more: object): Promise<string> => {
    const { secret } = await create({ name, destinations: [{ id: "kv" }], ...more });
    if (secret === undefined) throw new Error(`${name} came without its value`);
    tell(name, "issued ", secret, 0);
    return secret;
  };
  const billing = await issue(BILLING, {});
  const mobile = await issue(MOBILE, { prefix: "sk_live" });
  const legacyOld = `partner_${randomBytes(16).toString("hex")}`;
  await create({
    name: LEGACY,
    destinations: [{ id: "kv" }, { id: "partner-app" }],
    fields: { secret: legacyOld },
    issuedAt: new Date(Date.now() - LEGACY_AGE_DAYS * DAY_MS).toISOString(),
  });
  tell(LEGACY, "adopted", legacyOld, LEGACY_AGE_DAYS);
  return { billing, mobile, legacyOld, legacyNew: "" };
}

/** What is so before anything is rotated: every value works, and the adopted one is where it is used. */
export async function seeThemInUse(stage: Stage, { billing, mobile, legacyOld }: Values): Promise<void> {
  const { screen, checks, client } = stage;
  await hear(stage, "ping");
  screen.done("Receiver", "got a signed ping, signature good");
  const first = await hear(stage, "installed", 1);
  checks.equal("what the receiver got", first.digest, digestOf(legacyOld));
  screen.done("Receiver", `holds version 1 of ${LEGACY} (…${first.hint})`);
  await readKv(stage, "version 1", (value) => value === legacyOld);
  screen.done("Workers KV", `holds version 1 of ${LEGACY}`);
  for (const [name, value] of Object.entries({ [BILLING]: billing, [MOBILE]: mobile, [LEGACY]: legacyOld })) {
    checks.equal(`${name} before the rotation`, (await client.verify(value)).code, "valid");
  }
  screen.done("Verified", "all three values are valid");
  await checks.until("the registry", "a rotation that is due", SOON_MS, async () => {
    const { items } = await client.call(keyringPageSchema, "GET", "/v1/keyrings");
    const due = items.some(({ nextRotationAt: at }) => at !== null && Date.parse(at) <= Date.now());
    return { found: due || undefined, seen: "none" };
  });
}

/** Fires the cron trigger once and watches the rotation that it starts. Returns the new value. */
export async function rotate(stage: Stage, { legacyOld }: Values): Promise<string> {
  const { screen, checks, client, worker, receiver } = stage;
  receiver.order({ kind: "pause" });
  await worker.fireCron();
  const started = await checks.until(`${LEGACY} after the cron trigger`, "a rotation", SOON_MS, async () => {
    const [rotation] = await client.rotationsOf(LEGACY);
    return { found: rotation, seen: "none" };
  });
  checks.equal("who started it", `${started.trigger} by ${started.requestedBy}`, "schedule by cron");
  screen.done("Cron trigger", `fired, found ${LEGACY} past its age, started a rotation`);
  for (const name of [BILLING, MOBILE]) {
    checks.equal(`rotations of ${name}`, (await client.rotationsOf(name)).length, 0);
  }
  screen.done("Left alone", `${BILLING} and ${MOBILE}, not due`);

  const minted = await watch(stage, "minted", (key) => key.versions.find(({ number }) => number === 2));
  screen.done("Minted", `version 2 (…${minted.hint}), pending`);
  await watch(stage, "tested", (_, { step }) => step === "deliver" || step === "done" || undefined);
  screen.done("Tested", "version 2 is accepted");
  const legacyNew = await readKv(stage, "version 2", (value) => value !== legacyOld);
  checks.equal("the value in KV ends in", legacyNew.slice(-4), minted.hint);
  screen.done("Workers KV", `holds version 2 (…${legacyNew.slice(-4)})`);
  await hear(stage, "arrived", 2);
  screen.note("Receiver", "got version 2, signature good; installing it");
  await checkBoth(stage, { legacyOld, legacyNew });
  const { currentVersion } = await client.key(LEGACY);
  checks.equal("current while a destination still lacks the new one", currentVersion, 1);
  screen.done("Not yet", "version 1 stays current until each destination holds version 2; both are valid");
  await sleep(INSTALL_MS);
  receiver.order({ kind: "resume" });
  const installed = await hear(stage, "installed", 2);
  checks.equal("what the receiver got", installed.digest, digestOf(legacyNew));
  screen.done("Receiver", `holds version 2 (…${installed.hint})`);
  await watch(stage, "over", (_, { live }) => (live ? undefined : true));
  const [rotation] = await client.rotationsOf(LEGACY);
  checks.equal("how the rotation ended", `${rotation?.state}: ${rotation?.problem}`, "succeeded: null");
  screen.done("Promoted", "version 2 is current, version 1 is in its grace");
  return legacyNew;
}

/** Lets the grace pass. Nothing is asked of Rekey but whether the values are valid. */
export async function waitOutGrace(stage: Stage, values: Values): Promise<void> {
  const { screen, checks, client } = stage;
  const { graceEndsAt } = await client.verify(values.legacyOld);
  const endsAt = Date.parse(graceEndsAt ?? "");
  const leftMs = endsAt - Date.now();
  checks.holds(
    "the grace left",
    leftMs > 0 && leftMs <= GRACE_SECONDS * 1_000,
    `${GRACE_SECONDS} s or less`,
    `${leftMs} ms`,
  );
  for (let left = Math.floor(leftMs / 1_000); left >= LAST_LOOK_SECONDS; left -= 2) {
    await sleep(Math.max(0, endsAt - left * 1_000 - Date.now()));
    await checkBoth(stage, values);
    screen.done("Both valid", `versions 1 and 2; ${left} s of grace left`);
  }
}

/** The alarm ends the grace: no cron was fired since the one that started the rotation. */
export async function seeItDie({ screen, checks, client }: Stage, values: Values): Promise<void> {
  const refused = await checks.until("version 1 after its grace", "refused", SOON_MS, async () => {
    const { code, version, graceEndsAt } = await client.verify(values.legacyOld);
    return { found: code === "valid" ? undefined : { code, version, graceEndsAt }, seen: code };
  });
  checks.equal("why version 1 is refused", refused.code, "grace-ended");
  screen.done("Refused", "version 1: grace-ended");
  const dead = await checks.until("version 1", "revoked, and seen to be refused", SOON_MS, async () => {
    const old = (await client.key(LEGACY)).versions.find(({ number }) => number === 1);
    return { found: old?.stage === "revoked" && old.confirmed ? old : undefined, seen: `${old?.stage}` };
  });
  const lateMs = Date.parse(dead.revokedAt ?? "") - Date.parse(dead.graceEndsAt ?? "");
  const onTime = lateMs >= 0 && lateMs <= ALARM_SLACK_MS;
  checks.holds(
    "from the end of the grace to the revocation",
    onTime,
    `0 to ${ALARM_SLACK_MS} ms`,
    `${lateMs} ms`,
  );
  screen.done("Revoked", `by the alarm, ${lateMs} ms after the grace ended; seen to be refused`);
  checks.equal("version 2", (await client.verify(values.legacyNew)).code, "valid");
  screen.done("Verified", "version 2 is valid");
}

/** What is left: a table of all versions, and a history that holds. */
export async function summarize({ screen, checks, client }: Stage, values: Values): Promise<void> {
  const rows = [["key", "version", "stage", "ends in", "verifies as"]];
  const known: [string, number, string, string, string][] = [
    [BILLING, 1, values.billing, "current", "valid"],
    [MOBILE, 1, values.mobile, "current", "valid"],
    [LEGACY, 1, values.legacyOld, "revoked", "grace-ended"],
    [LEGACY, 2, values.legacyNew, "current", "valid"],
  ];
  for (const [name, number, value, stage, code] of known) {
    const version = (await client.key(name)).versions.find((one) => one.number === number);
    const verdict = await client.verify(value);
    checks.equal(`${name}, version ${number}`, `${version?.stage}, ${verdict.code}`, `${stage}, ${code}`);
    rows.push([name, String(number), stage, `…${version?.hint}`, code]);
  }
  screen.table(rows);
  const chain = await client.call(chainSchema, "GET", "/v1/events/verify");
  checks.equal("the history's hash chain", chain.ok, true);
  screen.lines(`\n    History: ${chain.count} events, hash chain intact.`);
}

async function checkBoth(
  { checks, client }: Stage,
  { legacyOld, legacyNew }: Pick<Values, "legacyOld" | "legacyNew">,
): Promise<void> {
  const [old, fresh] = await Promise.all([client.verify(legacyOld), client.verify(legacyNew)]);
  checks.equal("the old value", `version ${old.version} ${old.code}`, "version 1 valid");
  checks.equal("the new value", `version ${fresh.version} ${fresh.code}`, "version 2 valid");
}
