import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readEnvironment, takeBindings } from "../../src/local/settings.ts";
import { makeFolder, serve, signalGroup, start } from "./support.ts";

const MASTER_KEYS = `env:${Buffer.alloc(32, 3).toString("base64")}`;
const ROOT_TOKEN = "a-root-token-of-the-environment";

function pathsIn(folder: string) {
  return { secrets: join(folder, "secrets.env"), storage: join(folder, "storage") };
}

async function listKeys(origin: string, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${origin}/v1/keys`, { headers })).status;
}

describe("secrets of a local Rekey", () => {
  it("are made at the first start, kept for their owner alone, shown once and used again", async () => {
    const folder = makeFolder();
    const { secrets } = pathsIn(folder);

    const first = await serve({ REKEY_DATA: folder });
    const [, token = ""] = await first.printed(/shown this once.*\n\n {2}([0-9a-f]{64})\n/);
    expect(statSync(secrets).mode & 0o777).toBe(0o600);
    const made = readFileSync(secrets, "utf8");
    expect(made).toContain(`ROOT_TOKEN=${token}`);
    expect(made).toMatch(/^MASTER_KEYS=local:[A-Za-z0-9+/]{43}=$/m);
    expect(readFileSync(join(folder, ".gitignore"), "utf8")).toBe("*\n");
    expect(await listKeys(first.origin, token)).toBe(200);
    signalGroup(first, "SIGINT");
    expect(await first.ended).toBe(0);

    const second = await serve({ REKEY_DATA: folder });
    expect(second.output()).not.toContain(token);
    expect(second.output()).not.toContain("shown this once");
    expect(readFileSync(secrets, "utf8")).toBe(made);
    expect(await listKeys(second.origin, token)).toBe(200);
    signalGroup(second, "SIGINT");
    expect(await second.ended).toBe(0);

    const third = await serve({ REKEY_DATA: folder, ROOT_TOKEN });
    expect(await listKeys(third.origin, ROOT_TOKEN)).toBe(200);
    expect(await listKeys(third.origin, token)).toBe(401);
    signalGroup(third, "SIGINT");
    expect(await third.ended).toBe(0);

    const fourth = await serve({ REKEY_DATA: folder, MASTER_KEYS });
    expect(await listKeys(fourth.origin, token)).toBe(503);
    expect(readFileSync(secrets, "utf8")).toBe(made);
  });

  it("are not made when the environment has them", () => {
    const folder = makeFolder();
    const { bindings, newRootToken } = takeBindings(
      pathsIn(folder),
      readEnvironment({ MASTER_KEYS, ROOT_TOKEN, PRIVATE_ALLOWLIST: "127.0.0.1:9000" }),
    );
    expect(bindings).toEqual({ MASTER_KEYS, ROOT_TOKEN, PRIVATE_ALLOWLIST: "127.0.0.1:9000" });
    expect(newRootToken).toBeUndefined();
    expect(() => statSync(pathsIn(folder).secrets)).toThrow("ENOENT");
  });

  it("are completed, and a file that others may read is closed to them", () => {
    const folder = makeFolder();
    const { secrets } = pathsIn(folder);
    writeFileSync(secrets, `MASTER_KEYS=${MASTER_KEYS}\n`, { mode: 0o644 });
    const { bindings, newRootToken } = takeBindings(pathsIn(folder), readEnvironment({}));
    expect(bindings.MASTER_KEYS).toBe(MASTER_KEYS);
    expect(newRootToken).toMatch(/^[0-9a-f]{64}$/);
    expect(statSync(secrets).mode & 0o777).toBe(0o600);
    expect(readFileSync(secrets, "utf8")).toContain(
      `MASTER_KEYS=${MASTER_KEYS}\nROOT_TOKEN=${newRootToken}\n`,
    );
  });

  it("are never replaced while databases exist that were sealed with the lost ones", () => {
    const folder = makeFolder();
    const paths = { ...pathsIn(folder), storage: folder };
    writeFileSync(join(folder, "some.sqlite"), "");
    expect(() => takeBindings(paths, readEnvironment({}))).toThrow("sealed with a MASTER_KEYS");
  });

  it("and other settings that are malformed are all named, and none is repeated", async () => {
    const program = start(process.execPath, ["src/local/serve.ts"], {
      REKEY_DATA: makeFolder(),
      MASTER_KEYS: "nonsense-one",
      ROOT_TOKEN: "nonsense-two",
      PORT: "nonsense-three",
      PRIVATE_ALLOWLIST: "http://nonsense-four/",
    });
    expect(await program.ended).toBe(1);
    expect(program.output()).toMatch(/did not start: .*MASTER_KEYS.*ROOT_TOKEN.*PORT.*PRIVATE_ALLOWLIST/);
    expect(program.output()).not.toContain("nonsense");
  });
});
