/** The lab's Worker, bundled as a deploy would bundle it, with everything that `wrangler.toml` says but another entry. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT, WRANGLER } from "../../../src/local/worker.ts";

/** @returns the path of the bundle, in a folder that is made */
export async function buildLabWorker(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "wrangler.toml");
  const original = readFileSync(`${ROOT}wrangler.toml`, "utf8");
  const entry = `main = ${JSON.stringify(`${ROOT}test/lab/worker.ts`)}`;
  const changed = original.replace('main = "src/index.ts"', () => entry);
  if (changed === original) throw new Error("wrangler.toml no longer names its entry as expected");
  writeFileSync(config, changed);
  await promisify(execFile)(
    process.execPath,
    [WRANGLER, "deploy", "--dry-run", "--config", config, "--outdir", join(folder, "out")],
    { cwd: ROOT, env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "true" } },
  );
  return join(folder, "out", "worker.js");
}
