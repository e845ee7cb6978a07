/**
 * `npm run demo`: the main job on real workerd in real time, every step printed as it happens. Exit code 0 only when every
 * claim was checked and held. With `--stay` it goes on running afterwards, with calls to try; with `--provider` the key is one of a service
 * outside, played by its fake.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Provider } from "../providers/provider.ts";
import { PROVIDERS } from "../providers/registry.ts";
import { Checks, Unexpected } from "./checks.ts";
import { Client } from "./client.ts";
import { startCron } from "./cron.ts";
import { takeFolder } from "./folder.ts";
import { LEGACY, type Stage } from "./observe.ts";
import { settingsOf } from "./pages/settings.ts";
import { Receiver } from "./receiver-process.ts";
import { Screen } from "./screen.ts";
import { Service } from "./service-process.ts";
import * as serviceStory from "./service-story.ts";
import { listenForStop } from "./signals.ts";
import * as story from "./story.ts";
import { buildWorker, type LocalWorker, startWorker } from "./worker.ts";

const MAX_SECONDS = 60;
/** What a shell reports for a command that Ctrl-C ended. */
const STOPPED = 130;

const { stay, provider } = readArguments();
const screen = new Screen();
const stop = listenForStop();
const path = mkdtempSync(join(tmpdir(), `rekey-demo-${process.pid}-`));
const rootToken = randomBytes(32).toString("hex");
let receiver: Receiver | undefined;
let service: Service | undefined;
let worker: LocalWorker | undefined;

interface Arguments {
  stay: boolean;
  /** Whose key is rotated; without it the story is of Rekey's own. */
  provider: Provider | undefined;
}

function readArguments(): Arguments {
  const playable: Provider[] = Object.values(PROVIDERS).filter(isPlayable);
  try {
    const options = { stay: { type: "boolean", default: false }, provider: { type: "string" } } as const;
    const { stay: stays, provider: name } = parseArgs({ options }).values;
    const found = playable.find((one) => one.name === name);
    if (name === undefined || (found && !stays)) return { stay: stays, provider: found };
  } catch {
    // Said below.
  }
  const names = playable.map(({ name }) => name).join(" | ");
  console.error(`usage: npm run demo [-- --stay | --provider (${names})]`);
  process.exit(2);
}

/** Whether a connection's settings can send a provider to another place: its fake. */
function isPlayable({ connection }: Provider): boolean {
  return settingsOf(connection?.config).some(({ name }) => name === "baseUrl");
}

interface Played {
  origin: string;
  worker: LocalWorker;
  receiver: Receiver;
}

/** Starts whatever the story needs, each in a process of its own. */
async function setStage(keyName: string): Promise<{ stage: Stage; origin: string }> {
  const folder = await takeFolder(path);
  const consumer = new Receiver();
  receiver = consumer;
  const checks = new Checks(() => (stop.asked ? "a request to stop" : (consumer.died ?? service?.died)));
  const port = await checks.until("the receiver", "listening", 10_000, async () => {
    const notice = consumer.notices.find(({ kind }) => kind === "listening");
    return { found: notice?.kind === "listening" ? notice.port : undefined, seen: "nothing" };
  });
  const receiverUrl = `http://127.0.0.1:${port}`;
  screen.done("Receiver", `${receiverUrl}, process ${consumer.pid}, verifies with standardwebhooks`);
  const bindings = {
    MASTER_KEYS: `demo:${randomBytes(32).toString("base64")}`,
    ROOT_TOKEN: rootToken,
    PRIVATE_ALLOWLIST: [receiverUrl, ...(service ? [(await served(checks, service)).url] : [])]
      .map((url) => new URL(url).host)
      .join(","),
    LOG_EVENTS: "none",
  };
  worker = await startWorker(await buildWorker(folder.bundle), folder, { port: 0, bindings });
  const { origin } = worker.url;
  screen.done("Worker", `${origin}, on workerd, databases on disk`);
  const client = new Client(origin, rootToken);
  return { stage: { keyName, screen, checks, client, worker, receiver: consumer, receiverUrl }, origin };
}

/** Where the fake service is, once it listens. */
function served(checks: Checks, fake: Service) {
  return checks.until("the service", "listening", 10_000, async () => ({
    found: fake.ready,
    seen: "nothing",
  }));
}

async function play(): Promise<Played> {
  screen.title(
    "Rekey demo",
    "an API key past its age is replaced while it is in use; the old value dies. In real time.",
  );
  screen.section("Start");
  const { stage, origin } = await setStage(LEGACY);
  await story.makeDestinations(stage);
  screen.section("Three keys");
  const values = await story.makeKeys(stage);
  await story.seeThemInUse(stage, values);
  screen.section("The cron trigger finds the one past its age");
  values.legacyNew = await story.rotate(stage, values);
  screen.section("Grace: old and new both work");
  await story.waitOutGrace(stage, values);
  screen.section("The grace ends by alarm");
  await story.seeItDie(stage, values);
  screen.section("Summary");
  await story.summarize(stage, values);
  count(stage.checks);
  return { origin, worker: stage.worker, receiver: stage.receiver };
}

/** The story of a key at a service outside. */
async function playService(of: Provider, fake: Service): Promise<void> {
  const { title } = of;
  screen.title("Rekey demo", `a key of ${title} past its age is replaced, against a fake of the service.`);
  screen.section("Start");
  const { stage } = await setStage("service-key");
  const { url, beginning } = await served(stage.checks, fake);
  screen.done(title, `a fake of it, ${url}, process ${fake.pid}`);
  fake.onCall(({ call, status }) => screen.note(title, `${call}, answered ${status}`));
  await story.makeWebhook(stage);
  const at = { provider: of, service: fake, url, beginning };
  screen.section("A key that the service issued");
  const old = await serviceStory.adoptKey(stage, at);
  screen.section("The cron trigger finds it past its age");
  await serviceStory.rotate(stage, at, old);
  screen.section("The old value");
  await serviceStory.seeOldEnd(stage, at, old);
  count(stage.checks);
}

function count({ passed }: Checks): void {
  screen.lines(`    ${passed} checks passed in ${screen.elapsed.toFixed(1)} s.\n`);
}

/** Leaves it running with a cron of its own, until Ctrl-C. */
async function stayOn({ origin, worker: running, receiver: consumer }: Played): Promise<void> {
  const tokenFile = join(path, "root-token");
  writeFileSync(tokenFile, rootToken, { mode: 0o600 });
  const auth = `-H "Authorization: Bearer $(cat ${tokenFile})"`;
  const json = `-H "Content-Type: application/json"`;
  const key = `${origin}/v1/keys/${LEGACY}`;
  screen.section("Still running: calls to try in another terminal (Ctrl-C ends it)");
  screen.lines(`
    # Rotate by HTTP, and wait until the new value is held everywhere
    curl -s -X POST "${key}/rotate?wait=30s" ${auth} ${json} -d '{"grace":"20s","reason":"trying it"}'

    # Its versions: current, in grace, revoked
    curl -s ${key} ${auth}

    # All keys, and the history
    curl -s ${origin}/v1/keys ${auth}
    curl -s "${origin}/v1/events?limit=5" ${auth}
    curl -s ${origin}/v1/events/verify ${auth}

    # Issue a key (its value is shown this once), and verify one
    curl -s -X POST ${origin}/v1/keys ${auth} ${json} -d '{"name":"mine","provider":"issuer"}'
    curl -s -X POST ${origin}/v1/verify ${auth} ${json} -d '{"key":"paste-a-value-here"}'
`);
  consumer.onNotice((notice) => {
    if (notice.kind === "installed") {
      screen.note("Receiver", `holds version ${notice.version} of ${notice.keyName} (…${notice.hint})`);
    }
  });
  const cron = startCron(running.fireCron, (error) => screen.note("Cron", `failed: ${String(error)}`));
  await stop.received;
  cron.stop();
}

async function run(): Promise<void> {
  if (provider) {
    const fake = new Service(provider.name);
    service = fake;
    await Promise.race([playService(provider, fake), failLate()]);
    return;
  }
  const played = await Promise.race([play(), failLate()]);
  if (stay) await stayOn(played);
}

/** Whatever hangs, the demo does not. */
async function failLate(): Promise<never> {
  await sleep(MAX_SECONDS * 1_000, undefined, { ref: false });
  throw new Unexpected("the demo", `over in ${MAX_SECONDS} s`, "still running");
}

async function cleanUp(): Promise<void> {
  receiver?.stop();
  service?.stop();
  await worker?.stop();
  rmSync(path, { recursive: true, force: true });
}

let exitCode = 0;
try {
  await run();
} catch (error) {
  exitCode = stop.asked ? STOPPED : 1;
  if (stop.asked) screen.lines("\n  Stopped.");
  else if (error instanceof Unexpected) {
    screen.failed("Unexpected", [error.message, `expected: ${error.expected}`, `seen:     ${error.seen}`]);
  } else {
    screen.failed("Unexpected", [error instanceof Error ? error.message : String(error)]);
  }
}
await cleanUp();
process.exit(exitCode);
