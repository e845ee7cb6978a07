/** `npm run sim -- --runs 100000`: the random simulation alone, for a night. Prints the seed of a run that breaks a promise. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";

const DEFAULT_RUNS = "20000";

const { values } = parseArgs({ options: { runs: { type: "string", default: DEFAULT_RUNS } } });
if (!/^[1-9]\d{0,8}$/.test(values.runs)) {
  console.error("--runs takes a whole number");
  process.exit(2);
}
const vitest = new URL("../../node_modules/vitest/vitest.mjs", import.meta.url).pathname;
const child = spawn(process.execPath, [vitest, "run", "--project", "sim", "test/sim/random.test.ts"], {
  stdio: "inherit",
  env: { ...process.env, SIM_RUNS: values.runs },
});
const [code] = await once(child, "exit");
process.exitCode = typeof code === "number" ? code : 1;
