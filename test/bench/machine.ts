/** Where and when it was measured. */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { z } from "zod";
import { ROOT } from "../../src/local/worker.ts";

export function describeMachine(): Record<string, string> {
  const versionOf = (name: string) =>
    z
      .object({ version: z.string() })
      .parse(JSON.parse(readFileSync(`${ROOT}node_modules/${name}/package.json`, "utf8"))).version;
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: String(availableParallelism()),
    processor: cpus()[0]?.model.trim() ?? "unknown",
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.versions.node,
    workerd: versionOf("workerd"),
  };
}
