/** What the benchmarks run on: Rekey on real workerd with its state in a folder of its own, and a receiver in its own process. */
import { type ChildProcess, execFile, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { Client, createdKeySchema, destinationSchema } from "../../src/local/client.ts";
import { type LocalWorker, ROOT, startWorker, WRANGLER } from "../../src/local/worker.ts";
import { type Notice, noticeSchema, type Order } from "./receiver-protocol.ts";

const RECEIVER = fileURLToPath(new URL("receiver-process.ts", import.meta.url));
const CREATED_AT_ONCE = 10;
const POLL_MS = 10;
const QUIET_WITHIN_MS = 90_000;

/** Folder, bundle and everything that was started, so that one call ends it all. */
export class Stage {
  readonly #folder = mkdtempSync(join(tmpdir(), "rekey-bench-"));
  readonly #stops: (() => Promise<void> | void)[] = [];
  #bundle: Promise<string> | undefined;
  #worlds = 0;

  /**
   * Starts Rekey with nothing in it, and a receiver.
   * @param also `host:port` of whatever else it may call
   */
  async open(...also: string[]): Promise<World> {
    this.#bundle ??= bundleWorker(join(this.#folder, "bundle"));
    const bundle = await this.#bundle;
    this.#worlds += 1;
    const receiver = await Receiver.start();
    this.#stops.push(() => receiver.stop());
    const rootToken = randomBytes(32).toString("hex");
    const worker = await startWorker(
      bundle,
      { storage: join(this.#folder, `storage-${this.#worlds}`), runtime: join(this.#folder, "workerd") },
      {
        port: 0,
        direct: true,
        bindings: {
          LOG_EVENTS: "none",
          MASTER_KEYS: `bench:${randomBytes(32).toString("base64")}`,
          ROOT_TOKEN: rootToken,
          PRIVATE_ALLOWLIST: [receiver.host, ...also].join(),
        },
      },
    );
    this.#stops.push(() => worker.stop());
    // As anywhere, cron was there before: its times prove to the keyrings that their clock is right.
    await worker.fireCron();
    return new World(worker, receiver, new Client(worker.url.origin, rootToken));
  }

  /** Ends whatever runs. The stage may be opened again. */
  async close(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }

  /** Ends whatever runs and leaves nothing behind. */
  async end(): Promise<void> {
    await this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One Rekey, its receiver, and the calls by which benchmarks drive both. */
export class World {
  readonly receiver: Receiver;
  readonly client: Client;
  /** Past the layer that miniflare puts before a Worker, which takes longer than the Worker itself. */
  readonly directUrl: URL;
  readonly #worker: LocalWorker;

  constructor(worker: LocalWorker, receiver: Receiver, client: Client) {
    this.directUrl = worker.directUrl ?? worker.url;
    this.#worker = worker;
    this.receiver = receiver;
    this.client = client;
  }

  fireCron(): Promise<void> {
    return this.#worker.fireCron();
  }

  /** Asks the Worker's own benchmark routes; see `worker/index.ts`. */
  async ask<Schema extends z.ZodType>(
    answer: Schema,
    route: string,
    body: object,
  ): Promise<z.output<Schema>> {
    const response = await fetch(`${this.#worker.url.origin}/bench/${route}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${route} answered ${response.status}: ${text.slice(0, 500)}`);
    return answer.parse(JSON.parse(text));
  }

  /** Makes the KV destination and a webhook to the receiver's path. */
  async makeDestinations(...webhooks: string[]): Promise<void> {
    const make = (body: object) => this.client.call(destinationSchema, "POST", "/v1/destinations", body);
    await make({ name: "kv", type: "kv", config: { propagation: "0" } });
    for (const name of webhooks) {
      const url = `http://${this.receiver.host}/${name}`;
      await make({ name, type: "webhook", config: { url, secretMode: "plain" } });
    }
  }

  /** Issues keys and waits until each destination holds the first version. Returns their names. */
  async makeKeys(
    prefix: string,
    count: number,
    grace: string,
    destinations: readonly string[],
  ): Promise<string[]> {
    const names = Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
    const next = names.values();
    const make = async () => {
      for (const name of next) {
        await this.client.call(createdKeySchema, "POST", "/v1/keys", {
          name,
          provider: "issuer",
          policy: { maxAge: "30d", grace },
          destinations: destinations.map((id) => ({ id })),
        });
      }
    };
    await Promise.all(Array.from({ length: CREATED_AT_ONCE }, make));
    await this.quiet();
    return names;
  }

  /** Waits until nothing is under way and nothing is waited for but scheduled starts. */
  async quiet(): Promise<void> {
    const until = Date.now() + QUIET_WITHIN_MS;
    for (;;) {
      const busy = await this.ask(z.int(), "busy", {});
      if (busy === 0) return;
      if (Date.now() > until) throw new Error(`${busy} pieces of work are still not done`);
      await sleep(POLL_MS);
    }
  }

  /** Makes keys too old and lets cron rotate them to the end. Returns the milliseconds from cron to the last old version's death. */
  async rotateAll(prefix: string): Promise<number> {
    await this.ask(z.int(), "age", { prefix });
    return this.runCron();
  }

  /** Fires cron and waits for the end of all that it started. Returns the milliseconds that took. */
  async runCron(): Promise<number> {
    const begun = performance.now();
    await this.fireCron();
    await this.quiet();
    return performance.now() - begun;
  }
}

/** The receiver's process. */
class Receiver {
  readonly host: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.host = `127.0.0.1:${port}`;
  }

  static async start(): Promise<Receiver> {
    const child = fork(RECEIVER, { env: { PATH: process.env.PATH } });
    const { port } = await heard(child, "listening");
    return new Receiver(child, port);
  }

  /** How many messages arrived at each path so far, and the last one of each. */
  async tally(): Promise<Extract<Notice, { kind: "tally" }>["paths"]> {
    const told = heard(this.#child, "tally");
    this.#order({ kind: "tally" });
    return (await told).paths;
  }

  /** From now on a path answers nothing but pings. */
  hold(path: string): void {
    this.#order({ kind: "hold", path });
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }

  #order(order: Order): void {
    this.#child.send(order);
  }
}

/** The next notice of a kind. */
function heard<Kind extends Notice["kind"]>(
  child: ChildProcess,
  kind: Kind,
): Promise<Extract<Notice, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error("the receiver's process ended")));
    child.on("message", function listen(message) {
      const notice = noticeSchema.parse(message);
      if (notice.kind !== kind) return;
      child.off("message", listen);
      resolve(notice as Extract<Notice, { kind: Kind }>);
    });
  });
}

/** The Worker of the benchmarks, bundled as a deploy would bundle it. Returns the path of the bundle. */
async function bundleWorker(folder: string): Promise<string> {
  mkdirSync(folder);
  const config = join(folder, "wrangler.toml");
  const original = readFileSync(`${ROOT}wrangler.toml`, "utf8");
  const entry = `main = ${JSON.stringify(`${ROOT}test/bench/worker/index.ts`)}`;
  const changed = original.replace('main = "src/index.ts"', () => entry);
  if (changed === original) throw new Error("wrangler.toml no longer names its entry as expected");
  writeFileSync(config, changed);
  await promisify(execFile)(
    process.execPath,
    [WRANGLER, "deploy", "--dry-run", "--config", config, "--outdir", join(folder, "out")],
    { cwd: ROOT, env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "true" } },
  );
  return join(folder, "out", "index.js");
}
