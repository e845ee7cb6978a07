/**
 * `npm run docs`: writes the pages that are made from the code. With `--check` it writes nothing and fails on a page that is stale,
 * missing or of no provider, on a provider that is not registered, and on one that does not say enough of itself.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Provider } from "../providers/provider.ts";
import { PROVIDERS } from "../providers/registry.ts";
import { findUnregistered, PAGES, PROVIDER_PAGES } from "./pages/all.ts";
import { findGaps } from "./pages/provider.ts";

const { check } = parseArgs({ options: { check: { type: "boolean", default: false } } }).values;
const root = fileURLToPath(new URL("../..", import.meta.url));
const PROVIDERS_FOLDER = "src/providers/";

function fail(problem: string): void {
  console.error(problem);
  process.exitCode = 1;
}

const files = readdirSync(root + PROVIDERS_FOLDER)
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `${PROVIDERS_FOLDER}${name}`);
const modules = await Promise.all(files.map(async (path) => [path, await import(root + path)] as const));
const providers: Provider[] = Object.values(PROVIDERS);
for (const problem of [...findUnregistered(Object.fromEntries(modules)), ...providers.flatMap(findGaps)])
  fail(problem);

for (const { path, render } of PAGES) {
  const file = root + path;
  const present = existsSync(file) ? readFileSync(file, "utf8") : "";
  const text = render(present);
  if (text === present) continue;
  if (check) fail(`${path} is stale; run: npm run docs`);
  else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`${path} written`);
  }
}

const known = PAGES.map(({ path }) => path);
const present = existsSync(root + PROVIDER_PAGES) ? readdirSync(root + PROVIDER_PAGES) : [];
for (const path of present.map((name) => `${PROVIDER_PAGES}${name}`).filter((one) => !known.includes(one))) {
  if (check) fail(`${path} is of no provider; run: npm run docs`);
  else {
    rmSync(root + path);
    console.log(`${path} removed`);
  }
}
