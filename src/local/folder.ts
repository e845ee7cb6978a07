/**
 * The state folder of a local Rekey: everything it keeps is in it, one process serves it at a time, and a runtime that a
 * killed process left behind is ended before the next one starts.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { listProcesses } from "./processes.ts";

/** What can be told to the person at the keyboard as it stands; no bug. */
export class Refusal extends Error {}

export interface Folder {
  /** Absolute, without links. */
  path: string;
  /** Databases and KV. */
  storage: string;
  /** What the runtime is started as; its processes are known by this name. */
  runtime: string;
  secrets: string;
  bundle: string;
  release(): void;
}

const ORPHAN_GONE_WITHIN_MS = 5_000;

/**
 * Takes the folder for this process, makes it when it is new, and ends the runtime that a killed process left in it.
 * @throws Refusal when another live process has it
 */
export async function takeFolder(path: string): Promise<Folder> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const root = realpathSync(path);
  const release = lock(root);
  // Wherever the folder is, nothing in it belongs into a repository.
  if (!existsSync(join(root, ".gitignore"))) writeFileSync(join(root, ".gitignore"), "*\n");
  const folder: Folder = {
    path: root,
    storage: join(root, "storage"),
    runtime: join(root, "workerd"),
    secrets: join(root, "secrets.env"),
    bundle: join(root, "bundle"),
    release,
  };
  await endOrphans(folder.runtime);
  return folder;
}

/** True when the folder holds databases already. */
export function hasState(folder: Pick<Folder, "storage">): boolean {
  return existsSync(folder.storage) && readdirSync(folder.storage).length > 0;
}

/**
 * Locks with a lock of the system's, on a database file: it ends with its process however that ends, so none is ever stale
 * and no process id has to be trusted. The runtime does not inherit it.
 */
function lock(root: string): () => void {
  const file = join(root, "lock");
  const holder = join(root, "pid");
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch {
    database.close();
    const pid = existsSync(holder) ? ` (process ${readFileSync(holder, "utf8").trim()})` : "";
    throw new Refusal(
      `another Rekey${pid} is running on ${root}; stop it, or set REKEY_DATA to another folder`,
    );
  }
  chmodSync(file, 0o600);
  writeFileSync(holder, `${process.pid}\n`);
  held.add(database);
  return () => {
    held.delete(database);
    database.close();
  };
}

/** A connection that nothing refers to is collected, and its lock with it. */
const held = new Set<DatabaseSync>();

/**
 * A runtime outlives the process that started it when that is killed outright: it keeps the port and the databases, and no
 * cron comes. As it was started by a name inside this folder, and the folder is ours alone, whatever runs by that name is
 * such an orphan, and nothing else is.
 */
async function endOrphans(runtime: string): Promise<void> {
  const orphans = () => listProcesses().filter(({ command }) => command === runtime);
  for (const { pid } of orphans()) kill(pid);
  const until = Date.now() + ORPHAN_GONE_WITHIN_MS;
  while (orphans().length > 0) {
    if (Date.now() > until) {
      const pids = orphans().map(({ pid }) => pid);
      throw new Refusal(`a runtime left behind by a killed Rekey does not end: process ${pids.join(", ")}`);
    }
    await sleep(20);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself meanwhile; one that is not ours to end is reported by who waits for it.
  }
}
