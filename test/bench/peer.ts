/** The peer of the verification benchmark: installed on demand into its own folder, in a process of its own on plain Node. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

const FOLDER = fileURLToPath(new URL("peer", import.meta.url));
const helloSchema = z.object({ port: z.int(), key: z.string() });

export interface Peer {
  url: string;
  key: string;
  stop(): void;
}

export async function startPeer(): Promise<Peer> {
  if (!existsSync(join(FOLDER, "node_modules/better-sqlite3"))) {
    console.error("installing better-auth for the benchmark, in test/bench/peer");
    const arguments_ = ["install", "--legacy-peer-deps", "--no-package-lock", "--no-audit", "--no-fund"];
    await promisify(execFile)("npm", arguments_, { cwd: FOLDER });
  }
  const storage = mkdtempSync(join(tmpdir(), "rekey-bench-peer-"));
  const child = spawn(process.execPath, ["server.mjs", join(storage, "peer.sqlite")], {
    cwd: FOLDER,
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: { PATH: process.env.PATH, NODE_ENV: "production" },
  });
  const { port, key } = helloSchema.parse(JSON.parse(await firstLine(child)));
  return {
    url: `http://127.0.0.1:${port}/`,
    key,
    stop() {
      child.kill("SIGKILL");
      rmSync(storage, { recursive: true, force: true });
    },
  };
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (!stdout) throw new Error("the peer has no output");
  for await (const line of createInterface(stdout)) {
    if (line.startsWith("{")) return line;
  }
  throw new Error("the peer ended before it listened");
}
