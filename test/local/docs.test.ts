/** `npm run docs -- --check` in a copy of the repository: what is out of step with the code is named, and nothing is written. */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeFolder, REPOSITORY, start } from "./support.ts";

function copy(): string {
  const folder = makeFolder();
  for (const name of ["src", "docs", "README.md", "package.json"])
    cpSync(join(REPOSITORY, name), join(folder, name), { recursive: true });
  symlinkSync(join(REPOSITORY, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function docs(folder: string, ...args: string[]) {
  const program = start(process.execPath, [join(folder, "src/local/docs.ts"), ...args]);
  return { code: await program.ended, lines: program.output().trim().split("\n") };
}

function change(path: string, edit: (text: string) => string): void {
  writeFileSync(path, edit(readFileSync(path, "utf8")));
}

const PAGE = "docs/providers/bitscale.md";

it.each<[what: string, spoil: (folder: string) => void, problem: string]>([
  [
    "a stale page",
    (folder) => change(join(folder, PAGE), (text) => text.replace("BitScale", "Bitscale")),
    `${PAGE} is stale; run: npm run docs`,
  ],
  [
    "a provider without a page",
    (folder) => rmSync(join(folder, PAGE)),
    `${PAGE} is stale; run: npm run docs`,
  ],
  [
    "a page without a provider",
    (folder) => writeFileSync(join(folder, "docs/providers/nobody.md"), "# Nobody\n"),
    "docs/providers/nobody.md is of no provider; run: npm run docs",
  ],
  [
    "a stale table in the README",
    (folder) => change(join(folder, "README.md"), (text) => text.replace("| Log10x |", "| Logtenx |")),
    "README.md is stale; run: npm run docs",
  ],
  [
    "a file of a provider that is not registered",
    (folder) => cpSync(join(folder, "src/providers/bitscale.ts"), join(folder, "src/providers/other.ts")),
    "src/providers/other.ts: the provider bitscale is not in src/providers/registry.ts",
  ],
  [
    "a setting that nobody describes",
    (folder) =>
      change(join(folder, "src/providers/bitscale.ts"), (text) =>
        text.replace(/\.describe\("Where a key is rotated[^"]*"\)/, ""),
      ),
    "bitscale: connection config.rotatePath has no description",
  ],
])("a check names %s, and npm run docs mends what it can", async (_, spoil, problem) => {
  const folder = copy();
  expect(await docs(folder, "--check")).toEqual({ code: 0, lines: [""] });
  spoil(folder);
  const before = readFileSync(join(folder, "README.md"), "utf8");
  const checked = await docs(folder, "--check");
  expect(checked.code).toBe(1);
  expect(checked.lines).toContain(problem);
  expect(readFileSync(join(folder, "README.md"), "utf8")).toBe(before);
  if (!problem.includes("npm run docs")) return;
  expect((await docs(folder)).code).toBe(0);
  expect(await docs(folder, "--check")).toEqual({ code: 0, lines: [""] });
});
