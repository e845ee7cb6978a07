/** `npm run docs`: writes the pages that are made from the code. With `--check` it writes nothing and fails on a stale one. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { renderDestinationPage } from "../destinations/page.ts";
import { DESTINATIONS } from "../destinations/registry.ts";
import { renderErrorsPage } from "../errors/page.ts";

const PAGES = [
  { path: "docs/errors.md", render: renderErrorsPage },
  ...Object.values(DESTINATIONS).map((destination) => ({
    path: `docs/destinations/${destination.type}.md`,
    render: () => renderDestinationPage(destination),
  })),
];

const { check } = parseArgs({ options: { check: { type: "boolean", default: false } } }).values;
const root = new URL("../..", import.meta.url);

for (const { path, render } of PAGES) {
  const file = fileURLToPath(new URL(path, root));
  const text = render();
  if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
  if (check) {
    console.error(`${path} is stale; run: npm run docs`);
    process.exitCode = 1;
  } else {
    writeFileSync(file, text);
    console.log(`${path} written`);
  }
}
