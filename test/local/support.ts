/** Starts the local programs as a user does, in state folders of their own, and leaves nothing running behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach } from "vitest";
import { listProcesses } from "../../src/local/processes.ts";

export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const OUR_VARIABLES = [
  "MASTER_KEYS",
  "ROOT_TOKEN",
  "PORT",
  "REKEY_DATA",
  "PRIVATE_ALLOWLIST",
  "LOG_EVENTS",
  "GITHUB_KEYS_URL",
  "GITHUB_TOKEN",
];
const POLL_MS = 25;

export interface Running {
  child: ChildProcess;
  pid: number;
  /** All that it printed so far, errors included. */
  output(): string;
  /** Resolves when it has printed this, with what matched. */
  printed(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  /** Exit code, or the name of the signal that ended it. */
  ended: Promise<number | string>;
}

const folders: string[] = [];
const running = new Set<ChildProcess>();

/**
 * Has programs and their folder live on after the present test, for all tests of a file.
 * @returns what ends them
 */
export function keepForAll(programs: readonly Running[], folder: string): () => void {
  for (const { child } of programs) running.delete(child);
  folders.splice(folders.indexOf(folder), 1);
  return () => {
    for (const { pid } of programs) killOutright(-pid);
    for (const pid of runtimesOf(folder)) killOutright(pid);
    rmSync(folder, { recursive: true, force: true });
  };
}

/** A fresh folder, removed after the test with every runtime that was started from it. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "rekey-test-"));
  folders.push(folder);
  return folder;
}

/** The runtimes that were started from a folder. */
export function runtimesOf(folder: string): number[] {
  return listProcesses()
    .filter(({ command }) => command === join(folder, "workerd"))
    .map(({ pid }) => pid);
}

/** Runs a command in a process group of its own, as a terminal does, with nothing of ours in its environment but `env`. */
export function start(command: string, args: string[], env: Record<string, string> = {}): Running {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !OUR_VARIABLES.includes(name) && !name.startsWith("VITEST"),
    ),
  );
  const child = spawn(command, args, {
    cwd: REPOSITORY,
    env: { ...inherited, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let text = "";
  const take = (chunk: Buffer) => {
    text += chunk.toString("utf8");
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const { promise: ended, resolve } = Promise.withResolvers<number | string>();
  child.on("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  child.on("exit", () => running.delete(child));
  if (child.pid === undefined) throw new Error(`${command} did not start`);
  return {
    child,
    pid: child.pid,
    output: () => text,
    ended,
    printed: (pattern, withinMs = 30_000) =>
      until(
        () => pattern.exec(text) ?? undefined,
        withinMs,
        () => `${pattern} was not printed; instead:\n${text}`,
      ),
  };
}

/** `npm start` without npm. Resolves when it serves. */
export async function serve(env: Record<string, string>): Promise<Running & { origin: string }> {
  const program = start(process.execPath, ["src/local/serve.ts"], { PORT: "0", ...env });
  const [, origin = ""] = await program.printed(/^Rekey runs at (\S+)$/m);
  return { ...program, origin };
}

/** Sends a signal to the whole group, as Ctrl-C does. */
export function signalGroup({ pid }: Pick<Running, "pid">, signal: NodeJS.Signals): void {
  process.kill(-pid, signal);
}

/** Kills one process, or with a negative number its group, outright; it may be gone already. */
export function killOutright(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone.
  }
}

/** Waits for a value; fails with `why` when it does not come in time. */
export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  withinMs: number,
  why: () => string,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(why());
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** A port that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address ? resolve(address.port) : reject()));
    });
  });
}

/** True when the port can be listened on. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

afterEach(() => {
  for (const child of running) if (child.pid !== undefined) killOutright(-child.pid);
  running.clear();
  for (const folder of folders.splice(0)) {
    for (const pid of runtimesOf(folder)) killOutright(pid);
    rmSync(folder, { recursive: true, force: true });
  }
});
