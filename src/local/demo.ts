/**
 * `npm run demo`: the main job on real workerd in real time, every step printed as it happens. Exit code 0 only when every
 * claim was checked and held. With `--stay` it goes on running afterwards, with calls to try.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Checks, Unexpected } from "./checks.ts";
import { Client } from "./client.ts";
import { startCron } from "./cron.ts";
import { takeFolder } from "./folder.ts";
import { LEGACY } from "./observe.ts";
import { Receiver } from "./receiver-process.ts";
import { Screen } from "./screen.ts";
import { listenForStop } from "./signals.ts";
import * as story from "./story.ts";
import { buildWorker, type LocalWorker, startWorker } from "./worker.ts";

const MAX_SECONDS = 60;
/** What a shell reports for a command that Ctrl-C ended. */
const STOPPED = 130;

const { stay } = readArguments();
const screen = new Screen();
const stop = listenForStop();
const path = mkdtempSync(join(tmpdir(), `rekey-demo-${process.pid}-`));
const rootToken = randomBytes(32).toString("hex");
let receiver: Receiver | undefined;
let worker: LocalWorker | undefined;

function readArguments(): { stay: boolean } {
  try {
    return parseArgs({ options: { stay: { type: "boolean", default: false } } }).values;
  } catch {
    console.error("usage: npm run demo [-- --stay]");
    process.exit(2);
  }
}

interface Played {
  origin: string;
  worker: LocalWorker;
  receiver: Receiver;
}

async function play(): Promise<Played> {
  screen.title(
    "Rekey demo",
    "an API key past its age is replaced while it is in use; the old value dies. In real time.",
  );

  screen.section("Start");
  const folder = await takeFolder(path);
  const consumer = new Receiver();
  receiver = consumer;
  const checks = new Checks(() => (stop.asked ? "a request to stop" : consumer.died));
  const port = await checks.until("the receiver", "listening", 10_000, async () => {
    const notice = consumer.notices.find(({ kind }) => kind === "listening");
    return { found: notice?.kind === "listening" ? notice.port : undefined, seen: "nothing" };
  });
  const receiverUrl = `http://127.0.0.1:${port}`;
  screen.done("Receiver", `${receiverUrl}, process ${consumer.pid}, verifies with standardwebhooks`);
  const bindings = {
    MASTER_KEYS: `demo:${randomBytes(32).toString("base64")}`,
    ROOT_TOKEN: rootToken,
    PRIVATE_ALLOWLIST: `127.0.0.1:${port}`,
    LOG_EVENTS: "none",
  };
  worker = await startWorker(await buildWorker(folder.bundle), folder, { port: 0, bindings });
  const origin = worker.url.origin;
  screen.done("Worker", `${origin}, on workerd, databases on disk`);
  const client = new Client(origin, rootToken);
  const stage = { screen, checks, client, worker, receiver: consumer, receiverUrl };
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
  screen.lines(`    ${checks.passed} checks passed in ${screen.elapsed.toFixed(1)} s.\n`);
  return { origin, worker, receiver: consumer };
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

/** Whatever hangs, the demo does not. */
async function failLate(): Promise<never> {
  await sleep(MAX_SECONDS * 1_000, undefined, { ref: false });
  throw new Unexpected("the demo", `over in ${MAX_SECONDS} s`, "still running");
}

async function cleanUp(): Promise<void> {
  receiver?.stop();
  await worker?.stop();
  rmSync(path, { recursive: true, force: true });
}

let exitCode = 0;
try {
  const played = await Promise.race([play(), failLate()]);
  if (stay) await stayOn(played);
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
