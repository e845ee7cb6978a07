/**
 * Rekey on real workerd is killed 25 times at random moments during 200 rotations of keys of every kind of service. In the end every
 * promise holds, the services hold exactly what Rekey knows of, every consumer has every version, and no value was ever seen where
 * none belongs.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { z } from "zod";
import { startWorker } from "../../src/local/worker.ts";
import { KIND_NAMES, type KindName } from "../lab/kinds.ts";
import { buildLabWorker } from "../lab/node/bundle.ts";
import { Caller } from "../lab/node/caller.ts";
import { filesOf, filesThatHold, holds, spellingsOf } from "../lab/node/canary.ts";
import { Receiver } from "../lab/node/receiver.ts";
import { Rekey } from "../lab/node/rekey.ts";
import * as truth from "../lab/node/truth.ts";
import { createRandom } from "../lab/random.ts";
import { CANARY, type Inspection } from "../lab/service.ts";
import { freePort, makeFolder, start, until } from "./support.ts";

const KILLS = 25;
const ROTATIONS = 200;
const ROOT_TOKEN = "a-root-token-for-the-storm";
const MASTER_KEYS = `storm:${Buffer.alloc(32, 9).toString("base64")}`;
const KEYRINGS = ["north", "south", "west"];
/** Each outside call takes up to this long, so that a kill meets it. */
const MAX_DELAY_MS = 250;
/** How long Rekey lives between two kills. */
const LIFE_MS = { least: 1_200, most: 5_000 };
/** A rotation is started this often while it lives. */
const PACE_MS = 300;
/** A row that was cut off is taken up after its lease of 45 s; a mint in doubt without overlap takes two more tests, 10 s apart. */
const REST_WITHIN_MS = 180_000;
const POLL_MS = 1_000;

/** How many keys live at each kind of service. A kind that only a person can settle is none for a test without one. */
const KEYS_OF_KIND: Partial<Record<KindName, number>> = {
  "lab-ours-find": 6,
  "lab-ours-find-late": 4,
  "lab-ours-find-no-test": 2,
  "lab-ours-repeat": 5,
  "lab-ours-list": 4,
  "lab-ours-list-no-test": 2,
  "lab-ours-two-slots": 3,
  "lab-provider-find": 4,
  "lab-provider-list": 2,
  "lab-provider-repeat": 3,
  "lab-none-test": 2,
  "lab-none-test-late": 1,
  "lab-none-repeat": 3,
  "lab-none-conflict": 1,
};

/** Kinds that cannot say what became of a mint whose answer was lost, once the old value is dead. */
const MAY_BE_LOST: KindName[] = ["lab-none-test", "lab-none-test-late", "lab-none-conflict"];

interface Player {
  keyring: string;
  name: string;
  kind: KindName;
  /** Every other key is adopted; the first value of the rest is minted. */
  adopted: boolean;
}

const PLAYERS: Player[] = KIND_NAMES.flatMap((kind) =>
  Array.from({ length: KEYS_OF_KIND[kind] ?? 0 }, () => kind),
).map((kind, index) => ({
  keyring: KEYRINGS[index % KEYRINGS.length] ?? "",
  name: `k${index}`,
  kind,
  adopted: index % 2 === 0,
}));

const seed = Number(process.env.STORM_SEED ?? Date.now() % 1_000_000);
const random = createRandom(seed);
const receiver = new Receiver(() => random() * MAX_DELAY_MS);
afterEach(() => receiver.close());

it(`${KILLS} kills during ${ROTATIONS} rotations break no promise`, { timeout: 600_000 }, async () => {
  console.log(`The storm has the seed ${seed} (STORM_SEED).`);
  const began = Date.now();
  const state = makeFolder();
  const lab = start(process.execPath, ["test/lab/node/service-process.ts"], {
    LAB_MAX_DELAY_MS: String(MAX_DELAY_MS),
    LAB_SEED: String(seed),
  });
  const [, labUrl = ""] = await lab.printed(/^The lab listens at (\S+)$/m);
  const hookHost = await receiver.listen();
  const bundle = await buildLabWorker(makeFolder());
  const rekey = new Rekey(state, {
    ROOT_TOKEN,
    MASTER_KEYS,
    PORT: String(await freePort()),
    PRIVATE_ALLOWLIST: `${new URL(labUrl).host},${hookHost}`,
    LAB_BUNDLE: bundle,
    LAB_URL: labUrl,
    // Its lines are searched for the canary, too.
    LOG_EVENTS: "all",
  });
  await rekey.start();
  const answers: string[] = [];
  const caller = new Caller(rekey.origin, answers);
  const tokens = await makeKeyrings(caller, hookHost);
  const token = (keyring: string) => tokens.get(keyring) ?? "";
  const inspect = () => inspectLab(labUrl);

  for (const player of PLAYERS) await makeKey(caller, token(player.keyring), player, labUrl);
  const cases = () => Promise.all(PLAYERS.map((player) => readCase(caller, token(player.keyring), player)));
  await until(
    async () => ((await cases()).every(isReady) && receiver.received.length >= PLAYERS.length) || undefined,
    60_000,
    () => "not every key came to life",
  );

  // The storm.
  const idle = new Set(PLAYERS);
  const busy = new Set<Promise<void>>();
  let started = 0;
  let over = false;
  const rotateOne = (): void => {
    const player = [...idle][Math.floor(random() * idle.size)];
    if (!player) return;
    idle.delete(player);
    started += 1;
    const work = play(caller, token(player.keyring), player, () => over)
      .then((isUsable) => void (isUsable && idle.add(player)))
      .finally(() => busy.delete(work));
    busy.add(work);
  };
  const leaks: string[] = [];
  const shutOut: { player: Player; text: string }[] = [];
  const cutOff = new Set<string>();
  for (let kills = 0; kills < KILLS; ) {
    const diesAt = Date.now() + LIFE_MS.least + random() * (LIFE_MS.most - LIFE_MS.least);
    while (Date.now() < diesAt) {
      rotateOne();
      await sleep(Math.min(PACE_MS, Math.max(0, diesAt - Date.now())));
    }
    await rekey.kill(random() < 0.8);
    kills += 1;
    leaks.push(...filesThatHold(state, spellingsOf(CANARY), isForConsumers));
    const services = await inspect();
    for (const player of PLAYERS) {
      const texts = truth.shutOut(player, serviceOf(services, player), receiver.received);
      shutOut.push(...texts.map((text) => ({ player, text: `after kill ${kills}: ${text}` })));
    }
    await rekey.start();
    for (const { key } of await cases()) if (key.rotation !== null) cutOff.add(key.rotation);
  }
  // A request that a kill cut off may have started nothing.
  while (started < ROTATIONS + 2 * KILLS) {
    rotateOne();
    await sleep(PACE_MS);
  }
  const stormMs = Date.now() - began;

  // The calm after it.
  let ends: truth.Case[] = [];
  await until(
    async () => {
      await sleep(POLL_MS);
      ends = await cases();
      return ends.every((one) => truth.unsettled(one, Date.now() - POLL_MS).length === 0) || undefined;
    },
    REST_WITHIN_MS,
    () => `no rest: ${ends.flatMap((one) => truth.unsettled(one, Date.now())).join("\n")}`,
  );
  over = true;
  await Promise.all(busy);
  // A grace may have ended between two looks: what is to be compared is looked at until both sides were at rest.
  let services = await inspect();
  let disagreements: string[] = [];
  await until(
    async () => {
      services = await inspect();
      ends = await cases();
      disagreements = ends.flatMap((one) => truth.disagreements(one, serviceOf(services, one)));
      return disagreements.length === 0 || undefined;
    },
    20_000,
    () => disagreements.join("\n"),
  );

  const rotations = ends.flatMap((one) => one.rotations).filter(({ reason }) => reason === "storm");
  const lost = PLAYERS.filter((_, index) => ends[index]?.key.state === "lost");
  const orphans = ends.flatMap((one) => truth.orphans(one, serviceOf(services, one)));
  const problems = ends.flatMap(({ kind, rotations: all }) =>
    all.filter((one) => one.state !== "succeeded").map(({ problem }) => `${kind}: ${problem}`),
  );
  console.log(
    [
      `${rotations.length} rotations in ${seconds(stormMs)}, at rest after ${seconds(Date.now() - began)}`,
      `${cutOff.size} of them cut off by ${KILLS} kills, ${orphans.length} values lost with their answers`,
      `not succeeded: ${problems.join("; ") || "none"}; lost keys: ${lost.map(({ kind }) => kind).join(" ") || "none"}`,
    ].join("\n"),
  );
  // A storm that met nothing proves nothing.
  expect(rotations.length).toBeGreaterThanOrEqual(ROTATIONS);
  expect(cutOff.size).toBeGreaterThan(KILLS);
  expect(orphans.length).toBeGreaterThan(0);

  expect(ends.flatMap(truth.unexplained)).toEqual([]);
  expect(ends.flatMap(truth.notOne)).toEqual([]);
  expect(lost.filter((player) => !MAY_BE_LOST.includes(player.kind) && !isShortOfTime(player))).toEqual([]);
  expect(ends.flatMap((one) => truth.undelivered(one, serviceOf(services, one), receiver.received))).toEqual(
    [],
  );
  expect(
    ends.flatMap((one) => truth.revokedTooEarly(one, serviceOf(services, one), receiver.received)),
  ).toEqual([]);
  expect(Object.values(services).flatMap(({ broken }) => broken)).toEqual([]);
  expect(receiver.refused).toBe(0);

  const strict = shutOut.filter(({ player }) => !isShortOfTime(player));
  expect(strict.map(({ text }) => text)).toEqual([]);
  for (const keyring of KEYRINGS) {
    expect(await caller.call(token(keyring), chainSchema, "GET", "/v1/events/verify")).toEqual({ ok: true });
    const events = await caller.all(token(keyring), z.object({ type: z.string() }), "/v1/events");
    expect(events.filter(({ type }) => type === "key.rotated").length).toBeGreaterThan(0);
  }

  await rekey.stop();
  expect(await wrongInKv(state, bundle, ends, services)).toEqual([]);

  // The canary.
  const everywhere = spellingsOf(CANARY);
  expect(holds(JSON.stringify(receiver.received), everywhere)).toBe(true);
  expect(filesThatHold(state, everywhere, (path) => !isForConsumers(path))).not.toEqual([]);
  leaks.push(...filesThatHold(state, everywhere, isForConsumers));
  expect(filesOf(join(state, "storage", "do")).length).toBeGreaterThan(KEYRINGS.length);
  expect(leaks).toEqual([]);
  expect(answers.length).toBeGreaterThan(ROTATIONS);
  expect(answers.filter((answer) => holds(answer, everywhere))).toEqual([]);
  const urls = [...receiver.urls, ...Object.values(services).flatMap((service) => service.urls)];
  expect(urls.length).toBeGreaterThan(ROTATIONS);
  expect(urls.filter((url) => holds(url, everywhere))).toEqual([]);
  const printed = [lab.output(), ...rekey.outputs.map((output) => output())];
  expect(printed).toHaveLength(KILLS + 2);
  expect(printed.filter((text) => holds(text, everywhere))).toEqual([]);
  // A step that threw is a bug that the engine would have tried again and again.
  expect(printed.filter((text) => text.includes('"code":"internal"'))).toEqual([]);
});

const secretSchema = z.object({ secret: z.string() });
const hookSchema = z.object({ signingSecret: z.string() });
const chainSchema = z.object({ ok: z.boolean() });
const madeSchema = z.object({ reference: z.string(), secret: z.string() });

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}

/** The namespace that `kv` destinations write into on purpose. */
function isForConsumers(path: string): boolean {
  return path.startsWith(join("storage", "kv", "KEYS"));
}

/** Keyrings, each with a KV and a webhook destination. Returns an access key for each: root's calls would fill the history. */
async function makeKeyrings(caller: Caller, hookHost: string): Promise<Map<string, string>> {
  const tokens = new Map<string, string>();
  for (const name of KEYRINGS) {
    const asRoot = <Schema extends z.ZodType>(answer: Schema, path: string, body: unknown) =>
      caller.call(ROOT_TOKEN, answer, "POST", path, body, { "rekey-keyring": name });
    await asRoot(z.unknown(), "/v1/keyrings", { name });
    await asRoot(z.unknown(), "/v1/destinations", {
      name: "kv",
      type: "kv",
      config: { propagation: "0" },
    });
    const { signingSecret } = await asRoot(hookSchema, "/v1/destinations", {
      name: "hook",
      type: "webhook",
      config: { url: `http://${hookHost}/${name}`, secretMode: "plain" },
    });
    receiver.trust(name, signingSecret);
    const scopes = ["keys:read", "keys:write", "keys:rotate", "events:read"];
    const { secret } = await asRoot(secretSchema, "/v1/keys", { name: "storm", provider: "access", scopes });
    tokens.set(name, secret);
  }
  return tokens;
}

async function makeKey(
  caller: Caller,
  token: string,
  { name, kind, adopted }: Player,
  labUrl: string,
): Promise<void> {
  const made = adopted
    ? madeSchema.parse(await (await fetch(`${labUrl}/make/${kind}/${name}`, { method: "POST" })).json())
    : undefined;
  await caller.call(token, z.unknown(), "POST", "/v1/keys", {
    name,
    prefix: name,
    provider: kind,
    policy: { grace: graceOf(kind, adopted), deliverWithin: "30m" },
    destinations: [{ id: "kv" }, { id: "hook" }],
    ...(made && { fields: { secret: made.secret }, reference: made.reference }),
  });
}

function graceOf(kind: KindName, adopted: boolean): string {
  if (!kind.startsWith("lab-provider")) return "3s";
  return adopted ? "90s" : "10m";
}

/** A service's own clock goes on while Rekey is dead: these keys are seen to end, but two leases in a row are too long for them. */
function isShortOfTime({ kind, adopted }: Player): boolean {
  return graceOf(kind, adopted) === "90s";
}

function isReady({ key }: truth.Case): boolean {
  return key.state === "active" && key.rotation === null;
}

/** Rotates a key and waits until it is through, whatever happens meanwhile. False when the key is of no more use. */
async function play(
  caller: Caller,
  token: string,
  { name }: Player,
  isOver: () => boolean,
): Promise<boolean> {
  const path = `/v1/keys/${name}`;
  await caller
    .call(token, z.unknown(), "POST", `${path}/rotate?wait=30s`, { reason: "storm" })
    .catch(() => undefined);
  while (!isOver()) {
    const key = await caller.call(token, truth.keySchema, "GET", path).catch(() => undefined);
    if (key?.rotation === null) return key.state === "active";
    await sleep(POLL_MS);
  }
  return false;
}

async function readCase(caller: Caller, token: string, { keyring, name, kind }: Player): Promise<truth.Case> {
  const key = await caller.call(token, truth.keySchema, "GET", `/v1/keys/${name}`);
  const page = z.object({ items: z.array(truth.rotationSchema) });
  const { items } = await caller.call(token, page, "GET", `/v1/rotations?key=${name}&limit=100`);
  return { keyring, kind, key, rotations: items };
}

async function inspectLab(url: string): Promise<Record<string, Inspection>> {
  return (await (await fetch(`${url}/inspect`)).json()) as Record<string, Inspection>;
}

function serviceOf(services: Record<string, Inspection>, { kind }: { kind: KindName }): Inspection {
  const service = services[kind];
  if (!service) throw new Error(`no service ${kind}`);
  return service;
}

/** What Workers KV holds for each key, read as its consumers read it. */
async function wrongInKv(
  state: string,
  bundle: string,
  ends: truth.Case[],
  services: Record<string, Inspection>,
): Promise<string[]> {
  const folder = { storage: join(state, "storage"), runtime: join(state, "workerd") };
  const bindings = { MASTER_KEYS, ROOT_TOKEN, LOG_EVENTS: "none", LAB_URL: "http://127.0.0.1:1" };
  const worker = await startWorker(bundle, folder, { port: 0, bindings });
  const wrong: string[] = [];
  for (const one of ends) {
    const held = await worker.readKey(`${one.keyring}/${one.key.name}`);
    const current = one.key.versions.find(({ stage }) => stage === "current");
    const value = serviceOf(services, one).credentials.find(({ secret }) => secret === held);
    if (!current) continue;
    if (!value?.secret.endsWith(`-${current.hint}`)) {
      wrong.push(`${one.keyring}/${one.key.name}: KV does not hold version ${current.number}`);
    }
  }
  await worker.stop();
  return wrong;
}
