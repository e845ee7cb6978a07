/** The commands of the pages for operators, run by a shell as they stand there. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { makeFolder, REPOSITORY, serve, signalGroup } from "./support.ts";

const run = promisify(execFile);
const ROOT_TOKEN = "root-token-for-the-pages-of-docs";
const OLD = `k1:${Buffer.alloc(32, 1).toString("base64")}`;

/** The shell blocks of a page in order. */
function commandsOf(page: string): string[] {
  const text = readFileSync(join(REPOSITORY, "docs", page), "utf8");
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
}

/** Runs a block in a shell that stops at the first error. */
async function sh(block: string, env: Record<string, string>, cwd = REPOSITORY): Promise<string> {
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", block], {
    cwd,
    env: { PATH: process.env.PATH ?? "", ...env },
  });
  return stdout;
}

describe("docs/export.md", () => {
  it("moves a keyring to another deployment with another master key", async () => {
    const [take = "", give = "", release = ""] = commandsOf("export.md");
    const PASSPHRASE = "correct horse battery staple";
    const cwd = makeFolder();
    const call = (origin: string, path: string, body: object) =>
      fetch(`${origin}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${ROOT_TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      }).then((response) => response.json());

    const first = await serve({ REKEY_DATA: makeFolder(), ROOT_TOKEN, MASTER_KEYS: OLD });
    const made = await call(first.origin, "/v1/keys", { name: "billing", provider: "issuer" });
    const { secret } = z.object({ secret: z.string() }).parse(made);
    expect(await sh(take, { REKEY: first.origin, ROOT_TOKEN, PASSPHRASE }, cwd)).toBe("whole\n");
    signalGroup(first, "SIGINT");
    await first.ended;

    const MASTER_KEYS = `other:${Buffer.alloc(32, 2).toString("base64")}`;
    const second = await serve({ REKEY_DATA: makeFolder(), ROOT_TOKEN, MASTER_KEYS });
    const there = { REKEY: second.origin, ROOT_TOKEN, PASSPHRASE };
    expect(JSON.parse(await sh(give, there, cwd))).toMatchObject({ name: "default", revoked: 0 });
    expect(await call(second.origin, "/v1/verify", { key: secret })).toMatchObject({ code: "valid" });
    expect(JSON.parse(await sh(release, there, cwd))).toMatchObject({ left: 0 });
  });
});

describe("docs/master-keys.md", () => {
  it("changes the master key, and the old one is of no more use", async () => {
    const [make = "", putBoth = "", rewrap = "", list = "", putNew = ""] = commandsOf("master-keys.md");
    for (const put of [putBoth, putNew]) expect(put).toMatch(/\| npx wrangler secret put MASTER_KEYS\n$/);
    const asStored = (put: string) => put.replace(/ \| npx wrangler.*\n/, "");
    const folder = makeFolder();

    const first = await serve({ REKEY_DATA: folder, ROOT_TOKEN, MASTER_KEYS: OLD });
    const before = { REKEY: first.origin, ROOT_TOKEN };
    await sh(`curl -sSf "$REKEY/v1/keys" -H "authorization: Bearer $ROOT_TOKEN"`, before);
    expect(JSON.parse(await sh(list, before)).items).toMatchObject([{ name: "default", masterKeyId: "k1" }]);
    signalGroup(first, "SIGINT");
    await first.ended;

    const NEW = (await sh(`${make}printf '%s' "$NEW"`, {})).trim();
    expect(NEW).toMatch(/^k2:[A-Za-z0-9+/]{43}=$/);
    const both = await sh(asStored(putBoth), { NEW, OLD });
    expect(both).toBe(`${NEW},${OLD}`);
    const second = await serve({ REKEY_DATA: folder, ROOT_TOKEN, MASTER_KEYS: both });
    const during = { REKEY: second.origin, ROOT_TOKEN };
    expect(JSON.parse(await sh(rewrap, during))).toMatchObject({ masterKeyId: "k2", left: 0, failing: [] });
    expect(JSON.parse(await sh(list, during)).items).toMatchObject([{ masterKeyId: "k2" }]);
    signalGroup(second, "SIGINT");
    await second.ended;

    const alone = await sh(asStored(putNew), { NEW });
    const third = await serve({ REKEY_DATA: folder, ROOT_TOKEN, MASTER_KEYS: alone });
    const after = { REKEY: third.origin, ROOT_TOKEN };
    await sh(`curl -sSf "$REKEY/v1/keys" -H "authorization: Bearer $ROOT_TOKEN"`, after);
  });
});
