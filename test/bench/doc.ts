/** Puts what was measured into `docs/performance.md`, between two marks; the words around it are written by hand. */
import { readFileSync, writeFileSync } from "node:fs";
import { ROOT } from "../../src/local/worker.ts";

const PAGE = `${ROOT}docs/performance.md`;
const BEGIN = "<!-- measured: npm run bench -- --doc -->";
const END = "<!-- end of what was measured -->";

export function writePage(text: string): void {
  const page = readFileSync(PAGE, "utf8");
  const [before, rest] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (before === -1 || rest < before) throw new Error(`${PAGE} has lost its marks`);
  writeFileSync(PAGE, `${page.slice(0, before)}${BEGIN}\n\n${text}\n\n${page.slice(rest)}`);
}
