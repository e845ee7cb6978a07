/** Runs the very Worker that is deployed, on real workerd in this process's care, with its state on disk. Node only. */
import { execFile } from "node:child_process";
import { rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig } from "wrangler";
import { z } from "zod";
import { type Folder, Refusal } from "./folder.ts";

/** The repository, with a slash at the end. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const WRANGLER = `${ROOT}node_modules/wrangler/bin/wrangler.js`;
const run = promisify(execFile);

/** What is taken from `wrangler.toml`. */
const configSchema = z.object({
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()),
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
  kv_namespaces: z.array(z.object({ binding: z.string() })),
  triggers: z.object({ crons: z.array(z.string()).min(1) }),
});

/** The parts of miniflare's stubs that are used; their own types need the Workers' globals. */
interface CronTarget {
  scheduled(options: { cron: string; scheduledTime: Date }): Promise<{ outcome: string }>;
}

interface KeyReader {
  get(name: string): Promise<string | null>;
}

export interface LocalOptions {
  /** 0 takes a free one. */
  port: number;
  /** Also listens on a socket of the runtime's own, past miniflare's entry. */
  direct?: boolean;
  /** Variables and secrets by name. */
  bindings: Record<string, string>;
}

export interface LocalWorker {
  url: URL;
  /** With `direct`. */
  directUrl: URL | undefined;
  /** Runs the cron trigger now, as if it had been due at `scheduledTime`. */
  fireCron(scheduledTime?: Date): Promise<void>;
  /** Reads the namespace that consumers read. */
  readKey(name: string): Promise<string | null>;
  stop(): Promise<void>;
}

/** Bundles the Worker exactly as a deploy would. Returns the path of the bundle. */
export async function buildWorker(outDir: string): Promise<string> {
  try {
    await run(process.execPath, [WRANGLER, "deploy", "--dry-run", "--outdir", outDir], {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true", CI: "true" },
    });
  } catch (error) {
    const said = z.object({ stderr: z.string() }).safeParse(error);
    throw new Refusal(`the Worker could not be bundled:\n${said.success ? said.data.stderr : String(error)}`);
  }
  return join(outDir, "index.js");
}

/** Starts the Worker. What `wrangler.toml` says of bindings and compatibility holds here too. */
export async function startWorker(
  bundle: string,
  folder: Pick<Folder, "storage" | "runtime">,
  options: LocalOptions,
): Promise<LocalWorker> {
  const config = configSchema.parse(unstable_readConfig({ config: `${ROOT}wrangler.toml` }));
  const [cron = ""] = config.triggers.crons;
  nameRuntime(folder.runtime);
  const miniflare = withoutItsSignals(
    () =>
      new Miniflare(
        convertV4MiniflareOptions({
          name: "rekey",
          modules: true,
          scriptPath: bundle,
          modulesRoot: dirname(bundle),
          compatibilityDate: config.compatibility_date,
          compatibilityFlags: config.compatibility_flags,
          durableObjects: Object.fromEntries(
            config.durable_objects.bindings.map(({ name, class_name: className }) => [
              name,
              { className, useSQLite: true },
            ]),
          ),
          kvNamespaces: config.kv_namespaces.map(({ binding }) => binding),
          bindings: options.bindings,
          ...(options.direct && { unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }] }),
          resourcePersistencePath: folder.storage,
          host: "127.0.0.1",
          port: options.port,
          log: new Log(LogLevel.ERROR),
        }),
      ),
  );
  const url = await readyUrl(miniflare, options.port);
  return {
    url,
    directUrl: options.direct ? new URL(String(await miniflare.unsafeGetDirectURL())) : undefined,
    async fireCron(scheduledTime = new Date()) {
      const worker = (await miniflare.getWorker()) as unknown as CronTarget;
      const { outcome } = await worker.scheduled({ cron, scheduledTime });
      if (outcome !== "ok") throw new Error(`the cron trigger ended with ${outcome}`);
    },
    async readKey(name) {
      const keys = (await miniflare.getKVNamespace("KEYS")) as unknown as KeyReader;
      return keys.get(name);
    },
    stop: () => miniflare.dispose(),
  };
}

async function readyUrl(miniflare: Miniflare, port: number): Promise<URL> {
  try {
    return new URL(String(await miniflare.ready));
  } catch (error) {
    await miniflare.dispose().catch(() => undefined);
    const { code } = z.object({ code: z.string().optional() }).catch({}).parse(error);
    if (code === "ERR_ADDRESS_IN_USE") {
      throw new Refusal(`port ${port} of 127.0.0.1 is in use; choose another with PORT=…`);
    }
    throw error;
  }
}

/**
 * Has miniflare start the runtime by a name inside the state folder, which tells its process from every other workerd of this
 * machine (see `endOrphans`). A runtime that the environment names is respected: the link points at it.
 */
function nameRuntime(link: string): void {
  const target = process.env.MINIFLARE_WORKERD_PATH ?? installedRuntime();
  if (target === link) return;
  rmSync(link, { force: true });
  symlinkSync(target, link);
  process.env.MINIFLARE_WORKERD_PATH = link;
}

/** The workerd that miniflare would take. */
function installedRuntime(): string {
  const fromMiniflare = createRequire(createRequire(import.meta.url).resolve("miniflare"));
  return z.object({ default: z.string() }).parse(fromMiniflare("workerd")).default;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Miniflare ends the process at a signal, with the signal's code. How this process stops is for its own handlers to say. */
function withoutItsSignals<T>(make: () => T): T {
  const before = SIGNALS.map((signal) => process.listeners(signal));
  const made = make();
  SIGNALS.forEach((signal, index) => {
    for (const listener of process.listeners(signal)) {
      if (!before[index]?.includes(listener)) process.off(signal, listener);
    }
  });
  return made;
}
