import { availableParallelism } from "node:os";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import LongestFirst from "./test/support/sequence.ts";

/** Obvious fakes: they open nothing outside these tests. Set here, as wrangler looks for required secrets in the environment. */
const masterKey = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString("base64")}`;
process.env.MASTER_KEYS = `${masterKey("test", 7)},${masterKey("older", 6)}`;
process.env.ROOT_TOKEN = "root-token-for-tests-only,second-root-token-for-tests";

/**
 * One group of files for all projects: one that waits for a lease leaves its core to those that work. By itself vitest runs one file
 * at a time on two cores, and projects one after the other.
 */
const MAX_WORKERS = Math.max(4, availableParallelism());

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: ["default", "./test/support/summary.ts"],
    projects: [
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            // A test that looks at the console sees bugs only; those of the lines of events turn them on.
            miniflare: { bindings: { LOG_EVENTS: "none" } },
          }),
        ],
        test: {
          name: "worker",
          include: ["test/**/*.test.ts"],
          exclude: ["test/local/**", "test/sim/**"],
          setupFiles: ["test/support/network.ts"],
          maxWorkers: MAX_WORKERS,
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: "sim",
          include: ["test/sim/**/*.test.ts"],
          maxWorkers: MAX_WORKERS,
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: "local",
          include: ["test/local/**/*.test.ts"],
          maxWorkers: MAX_WORKERS,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
