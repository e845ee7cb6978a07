/**
 * `npm run contract`: writes the document of the API to dist/openapi.json and holds it to the rules of redocly.yaml.
 * With the path of a file it writes nothing and judges that one.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { createApp } from "../../src/app.ts";

const fromRoot = (path: string) => fileURLToPath(import.meta.resolve(`../../${path}`));

const [given] = process.argv.slice(2);
const file = given ?? fromRoot("dist/openapi.json");
if (given === undefined) {
  const answer = await createApp().request("/openapi.json");
  if (!answer.ok) throw new Error(`/openapi.json answers ${answer.status}`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(await answer.json(), null, 2)}\n`);
}
const linter = fileURLToPath(import.meta.resolve("@redocly/cli/bin/cli.js"));
const { status } = spawnSync(
  process.execPath,
  [linter, "lint", file, "--config", fromRoot("redocly.yaml"), "--lint-config", "error"],
  {
    stdio: "inherit",
    // It says nothing to anybody, and asks nobody whether there is a newer one.
    env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
  },
);
process.exitCode = status ?? 1;
