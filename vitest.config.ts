import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** Obvious fakes: they open nothing outside these tests. Set here, as wrangler looks for required secrets in the environment. */
const masterKey = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString("base64")}`;
process.env.MASTER_KEYS = `${masterKey("test", 7)},${masterKey("older", 6)}`;
process.env.ROOT_TOKEN = "root-token-for-tests-only,second-root-token-for-tests";

export default defineConfig({
  test: {
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
          testTimeout: 30_000,
        },
      },
      {
        test: { name: "sim", include: ["test/sim/**/*.test.ts"], testTimeout: 60_000 },
      },
      {
        test: {
          name: "local",
          include: ["test/local/**/*.test.ts"],
          // They wait more than they work; after the others, whose work would spoil their times.
          maxWorkers: 6,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
