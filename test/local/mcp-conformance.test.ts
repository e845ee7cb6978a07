/** The official conformance suite against the Worker as it is deployed, at both revisions that it speaks. */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { EXPECTED_FAILURES, type Expected } from "./mcp-expected-failures.ts";
import { openKeyring, type Running, startForAll, startProxy } from "./mcp-support.ts";
import { makeFolder, start } from "./support.ts";

const require = createRequire(import.meta.url);
const SUITE = join(
  dirname(require.resolve("@modelcontextprotocol/conformance/package.json")),
  "dist/index.js",
);
const SUITE_MS = 60_000;
/** Of one scenario. */
const SCENARIO_MS = 10_000;

const checksSchema = z.array(z.object({ id: z.string(), status: z.string() }));

/** What must pass, whatever else the suite calls required. */
const MUST_PASS = {
  "2026-07-28": [
    "tools-list",
    "resources-list",
    "prompts-list",
    "dns-rebinding-protection",
    "caching",
    "http-header-validation",
    "sep-2164-resource-not-found",
    "input-required-result-unsupported-methods",
    "input-required-result-validate-input",
  ],
  "2025-11-25": [
    "server-initialize",
    "ping",
    "logging-set-level",
    "tools-list",
    "resources-list",
    "prompts-list",
    "dns-rebinding-protection",
  ],
} as const;

type Revision = keyof typeof EXPECTED_FAILURES;

/** Runs all that a revision requires. Returns the checks that failed, by scenario, and the number of those that passed. */
async function conform(revision: Revision): Promise<Map<string, { failed: string[]; passed: number }>> {
  const { origin } = await openBehindProxy();
  const folder = makeFolder();
  const args = ["server", "--url", `${origin}/mcp`, "--requirements", revision];
  const limits = ["--timeout", String(SCENARIO_MS), "--output-dir", folder];
  const suite = start(process.execPath, [SUITE, ...args, ...limits]);
  await suite.printed(/^Not scored for .*$/m, SUITE_MS);
  await suite.ended;
  return new Map(
    readdirSync(folder).map((name) => {
      const checks = checksSchema.parse(JSON.parse(readFileSync(join(folder, name, "checks.json"), "utf8")));
      const failed = checks.filter(({ status }) => status === "FAILURE").map(({ id }) => id);
      const passed = checks.filter(({ status }) => status === "SUCCESS").length;
      const scenario = /^server-(.*)-\d{4}-\d\d-\d\dT/.exec(name)?.[1] ?? name;
      return [scenario, { failed: [...new Set(failed)].sort(), passed }];
    }),
  );
}

let running: Running;

beforeAll(async () => {
  running = await startForAll();
  return running.end;
});

async function openBehindProxy(): Promise<{ origin: string }> {
  const rekey = await openKeyring(running);
  const { secret } = await rekey.makeAccessKey();
  return { origin: await startProxy(rekey.origin, secret) };
}

describe("the conformance suite of the protocol", () => {
  it.each(Object.keys(EXPECTED_FAILURES) as Revision[])(
    "finds nothing at revision %s but what is on the list of expected failures, and all of that",
    async (revision) => {
      const expected: Record<string, Expected> = EXPECTED_FAILURES[revision];
      const found = await conform(revision);
      const failing = [...found].filter(([, { failed }]) => failed.length > 0);
      expect(failing.map(([scenario]) => scenario).sort()).toEqual(Object.keys(expected).sort());
      for (const [scenario, { failed }] of failing) {
        const { checks } = expected[scenario] ?? {};
        if (checks) expect(failed, scenario).toEqual([...checks].sort());
      }
      for (const scenario of MUST_PASS[revision]) {
        expect(found.get(scenario), scenario).toMatchObject({ failed: [] });
        expect(found.get(scenario)?.passed, scenario).toBeGreaterThan(0);
      }
    },
  );

  it("is told why of each", () => {
    for (const { reason } of Object.values(EXPECTED_FAILURES).flatMap((one) => Object.values(one)))
      expect(reason.length).toBeGreaterThan(20);
  });
});
