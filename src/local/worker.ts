/** Runs the very Worker that is deployed, on real workerd in this process's care, with its state on disk. Node only. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";
import { z } from "zod";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

/** What is taken from `wrangler.toml`. */
const configSchema = z.object({
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()),
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
  kv_namespaces: z.array(z.object({ binding: z.string() })),
});

/** The parts of miniflare's stubs that are used; their own types need the Workers' globals. */
interface CronTarget {
  scheduled(options: { cron: string; scheduledTime: Date }): Promise<{ outcome: string }>;
}

interface KeyReader {
  get(name: string): Promise<string | null>;
}

export interface LocalOptions {
  /** Folder for databases and KV. */
  state: string;
  /** 0 takes a free one. */
  port: number;
  /** Variables and secrets by name. */
  bindings: Record<string, string>;
}

export interface LocalWorker {
  url: URL;
  /** Runs the cron trigger now. */
  fireCron(): Promise<void>;
  /** Reads the namespace that consumers read. */
  readKey(name: string): Promise<string | null>;
  stop(): Promise<void>;
}

/** Bundles the Worker exactly as a deploy would. Returns the path of the bundle. */
export async function buildWorker(): Promise<string> {
  const wrangler = `${ROOT}node_modules/wrangler/bin/wrangler.js`;
  await run(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", "dist"], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "true" },
  });
  return `${ROOT}dist/index.js`;
}

/** Starts the Worker. What `wrangler.toml` says of bindings and compatibility holds here too. */
export async function startWorker(bundle: string, options: LocalOptions): Promise<LocalWorker> {
  const config = configSchema.parse(unstable_readConfig({ config: `${ROOT}wrangler.toml` }));
  const objects = config.durable_objects.bindings.map(({ name, class_name: className }) => [
    name,
    { className, useSQLite: true },
  ]);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: "rekey",
      modules: true,
      scriptPath: bundle,
      compatibilityDate: config.compatibility_date,
      compatibilityFlags: config.compatibility_flags,
      durableObjects: Object.fromEntries(objects),
      kvNamespaces: config.kv_namespaces.map(({ binding }) => binding),
      bindings: options.bindings,
      resourcePersistencePath: options.state,
      host: "127.0.0.1",
      port: options.port,
      log: new Log(LogLevel.ERROR),
    }),
  );
  const url = new URL(String(await miniflare.ready));
  return {
    url,
    async fireCron() {
      const worker = (await miniflare.getWorker()) as unknown as CronTarget;
      const { outcome } = await worker.scheduled({ cron: "*/5 * * * *", scheduledTime: new Date() });
      if (outcome !== "ok") throw new Error(`the cron trigger ended with ${outcome}`);
    },
    async readKey(name) {
      const keys = (await miniflare.getKVNamespace("KEYS")) as unknown as KeyReader;
      return keys.get(name);
    },
    stop: () => miniflare.dispose(),
  };
}
