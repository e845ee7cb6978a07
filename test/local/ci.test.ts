import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeFolder, REPOSITORY, start } from "./support.ts";

/** Runs `.ci/run` with an npm that notes how it was called and does what is given for each of its two commands. */
async function judge(ci: string, test: string) {
  const folder = makeFolder();
  const npm = join(folder, "npm");
  const calls = join(folder, "calls");
  writeFileSync(npm, `#!/bin/sh\necho "npm $*" >> ${calls}\ncase "$1" in ci) ${ci};; test) ${test};; esac\n`);
  chmodSync(npm, 0o755);
  const program = start(join(REPOSITORY, ".ci/run"), [], { PATH: `${folder}:${process.env.PATH}` });
  const code = await program.ended;
  return { code, last: program.output().trimEnd().split("\n").at(-1) };
}

describe(".ci/run", () => {
  it.each([
    ["all pass", "true", "echo '12 passed, 0 failed'", 0, "12 passed, 0 failed"],
    [
      "some are skipped",
      "true",
      "echo '12 passed, 0 failed, 3 skipped'",
      0,
      "12 passed, 0 failed, 3 skipped",
    ],
    [
      "npm talks on after the tests",
      "true",
      "echo '2 passed, 1 failed'; echo bye; exit 1",
      1,
      "2 passed, 1 failed",
    ],
    [
      "a failure went unnoticed by the exit code",
      "true",
      "echo '2 passed, 1 failed'",
      1,
      "2 passed, 1 failed",
    ],
    [
      "the command fails though no test did",
      "true",
      "echo '5 passed, 0 failed'; exit 7",
      1,
      "5 passed, 1 failed",
    ],
    ["no test ran", "true", "echo '0 passed, 0 failed'", 1, "0 passed, 1 failed"],
    ["the tests never began", "true", "echo oops", 1, "0 passed, 1 failed"],
    ["the installation fails", "exit 3", "echo '9 passed, 0 failed'", 1, "0 passed, 1 failed"],
  ])("when %s", async (_, ci, test, code, last) => {
    expect(await judge(ci, test)).toEqual({ code, last });
  });
});

describe("the summary of npm test", () => {
  it("counts every test, and what keeps tests from running as failed", async () => {
    const folder = makeFolder();
    symlinkSync(join(REPOSITORY, "node_modules"), join(folder, "node_modules"));
    mkdirSync(join(folder, "test"));
    const write = (name: string, text: string) =>
      writeFileSync(
        join(folder, "test", name),
        `import { beforeAll, describe, expect, it } from "vitest";\n${text}`,
      );
    write("some.test.ts", 'it("a", () => {});\nit("b", () => expect(1).toBe(2));\nit.skip("c", () => {});\n');
    write(
      "hook.test.ts",
      'describe("d", () => { beforeAll(() => { throw new Error("no"); }); it("e", () => {}); });\n',
    );
    write("broken.test.ts", 'import "./nowhere.ts";\nit("f", () => {});\n');
    const program = start(join(REPOSITORY, "node_modules/.bin/vitest"), [
      ...["run", "--root", folder],
      ...["--reporter", "default", "--reporter", join(REPOSITORY, "test/support/summary.ts")],
    ]);
    expect(await program.ended).toBe(1);
    expect(program.output().trimEnd().split("\n").at(-1)).toBe("1 passed, 3 failed, 2 skipped");
  });
});
