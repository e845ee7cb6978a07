/** Rekey in a process that is killed and started again on the same state. Everything that it ever printed is kept. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { killOutright, type Running, runtimesOf, signalGroup, start } from "../../local/support.ts";

const PROGRAM = fileURLToPath(new URL("worker-process.ts", import.meta.url));

export class Rekey {
  readonly folder: string;
  /** What each process printed. */
  readonly outputs: (() => string)[] = [];
  origin = "";
  readonly #env: Record<string, string>;
  #running: Running | undefined;

  /** @param env everything that `worker-process.ts` reads, without the folder */
  constructor(folder: string, env: Record<string, string>) {
    this.folder = folder;
    // What a killed runtime leaves behind stays in the folder, where it is searched and removed.
    const temporary = join(folder, "tmp");
    mkdirSync(temporary, { recursive: true });
    this.#env = { ...env, REKEY_DATA: folder, TMPDIR: temporary };
  }

  async start(): Promise<void> {
    const running = start(process.execPath, [PROGRAM], this.#env);
    this.#running = running;
    this.outputs.push(running.output);
    const [, origin = ""] = await running.printed(/^Rekey runs at (\S+)$/m);
    this.origin = origin;
  }

  /** Kills it outright; with the runtime as when the power goes, or without, which leaves an orphan that works on. */
  async kill(alsoTheRuntime: boolean): Promise<void> {
    const runtimes = runtimesOf(this.folder);
    if (!this.#running || runtimes.length !== 1) throw new Error("there is nothing to kill");
    killOutright(this.#running.pid);
    if (alsoTheRuntime) for (const pid of runtimes) killOutright(pid);
    // An orphan holds the pipes open: its keeper has exited all the same.
    await exited(this.#running);
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    signalGroup(this.#running, "SIGTERM");
    await this.#running.ended;
  }
}

function exited({ child }: Running): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });
}
