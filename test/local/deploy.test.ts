import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { makeFolder, start } from "./support.ts";

const servers: { close(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

interface Account {
  /** `method path` of each request that would change something. */
  changes: string[];
  env: Record<string, string>;
}

/** An account at Cloudflare as wrangler sees it: a Worker with these secrets, or none yet. */
async function makeAccount(secrets: string[] | undefined): Promise<Account> {
  const changes: string[] = [];
  const server = createServer((request, response) => {
    const { method = "", url = "" } = request;
    if (method !== "GET") changes.push(`${method} ${url}`);
    const answer = (status: number, body: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const ok = (result: unknown) => answer(200, { success: true, errors: [], messages: [], result });
    if (url.startsWith("/user")) return ok({ id: "u", email: "someone@example.com", status: "active" });
    if (/^\/accounts(\?|$)/.test(url)) return ok([{ id: "acc", name: "Some account" }]);
    if (secrets && url.endsWith("/secrets"))
      return ok(secrets.map((name) => ({ name, type: "secret_text" })));
    const missing = { code: 10007, message: "This Worker does not exist on your account." };
    return answer(404, { success: false, errors: [missing], messages: [], result: null });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    changes,
    env: {
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}`,
      CLOUDFLARE_API_TOKEN: "no-real-token",
      CLOUDFLARE_ACCOUNT_ID: "acc",
      WRANGLER_SEND_METRICS: "false",
      CI: "true",
    },
  };
}

async function deploy(args: string[], env: Record<string, string> = {}) {
  const program = start("npm", ["run", "deploy", "--", ...args], env);
  return { code: await program.ended, output: program.output() };
}

describe("npm run deploy", () => {
  it("passes as a dry run", async () => {
    const { code, output } = await deploy(["--dry-run"]);
    expect(output).toContain("env.KEYRING");
    expect(output).toContain("--dry-run: exiting now.");
    expect(code).toBe(0);
  });

  it("refuses PRIVATE_ALLOWLIST in the environment, and says why", async () => {
    const { code, output } = await deploy(["--dry-run"], { PRIVATE_ALLOWLIST: "127.0.0.1:9000" });
    expect(code).toBe(1);
    expect(output).toContain("PRIVATE_ALLOWLIST is set in the environment");
    expect(output).toContain("private addresses");
    expect(output).not.toContain("exiting now");
  });

  it.each([
    ["the variables", 'name = "x"\n[vars]\nPRIVATE_ALLOWLIST = "127.0.0.1:9000"\n'],
    ["an environment's variables", 'name = "x"\n[env.staging.vars]\nPRIVATE_ALLOWLIST = "127.0.0.1:9000"\n'],
  ])("refuses PRIVATE_ALLOWLIST in %s of the configuration", async (_, text) => {
    const config = join(makeFolder(), "wrangler.toml");
    writeFileSync(config, text);
    const { code, output } = await deploy(["--dry-run", "--config", config]);
    expect(code).toBe(1);
    expect(output).toContain(`PRIVATE_ALLOWLIST is set in ${config}`);
  });

  it("refuses PRIVATE_ALLOWLIST in .dev.vars, in a secrets file and on the command line", async () => {
    const folder = makeFolder();
    writeFileSync(join(folder, "wrangler.toml"), 'name = "x"\n');
    writeFileSync(join(folder, ".dev.vars"), 'PRIVATE_ALLOWLIST="127.0.0.1:9000"\n');
    writeFileSync(join(folder, "secrets.json"), '{ "PRIVATE_ALLOWLIST": "127.0.0.1:9000" }');
    const secrets = join(folder, "secrets.json");
    const { code, output } = await deploy([
      ...["--dry-run", "--config", join(folder, "wrangler.toml")],
      ...["--secrets-file", secrets, "--var", "PRIVATE_ALLOWLIST:127.0.0.1:9000"],
    ]);
    expect(code).toBe(1);
    expect(output).toContain(`PRIVATE_ALLOWLIST is set in --var and in .dev.vars and in ${secrets}`);
    rmSync(join(folder, ".dev.vars"));
  });

  it("stops before a first deploy without secrets, and says how to make them", async () => {
    const account = await makeAccount(undefined);
    const { code, output } = await deploy([], account.env);
    expect(code).toBe(1);
    expect(output).toContain("Not deployed: MASTER_KEYS and ROOT_TOKEN are not set.");
    expect(output).toContain('echo "MASTER_KEYS=k1:$(openssl rand -base64 32)"');
    expect(output).toContain("npm run deploy -- --secrets-file .rekey/deploy.env");
    expect(account.changes).toEqual([]);
  });

  it("names only the secret that is missing", async () => {
    const account = await makeAccount(["MASTER_KEYS"]);
    const { code, output } = await deploy([], account.env);
    expect(code).toBe(1);
    expect(output).toContain("Not deployed: ROOT_TOKEN is not set.");
    expect(output).not.toContain("MASTER_KEYS=");
    expect(account.changes).toEqual([]);
  });

  it("refuses a Worker that has PRIVATE_ALLOWLIST as a secret", async () => {
    const account = await makeAccount(["MASTER_KEYS", "ROOT_TOKEN", "PRIVATE_ALLOWLIST"]);
    const { code, output } = await deploy([], account.env);
    expect(code).toBe(1);
    expect(output).toContain("npx wrangler secret delete PRIVATE_ALLOWLIST");
    expect(account.changes).toEqual([]);
  });

  it("refuses to put new master keys in the place of those that everything is sealed with", async () => {
    const secrets = join(makeFolder(), "deploy.env");
    writeFileSync(secrets, `MASTER_KEYS=k1:${Buffer.alloc(32, 6).toString("base64")}\n`);
    const account = await makeAccount(["MASTER_KEYS", "ROOT_TOKEN"]);
    const { code, output } = await deploy(["--secrets-file", secrets], account.env);
    expect(code).toBe(1);
    expect(output).toContain("Not deployed: MASTER_KEYS is set already");
    expect(output).not.toContain(Buffer.alloc(32, 6).toString("base64"));
    expect(account.changes).toEqual([]);
  });

  it("hands over to wrangler when nothing is missing", async () => {
    const secrets = join(makeFolder(), "deploy.env");
    writeFileSync(
      secrets,
      `MASTER_KEYS=k1:${Buffer.alloc(32, 5).toString("base64")}\nROOT_TOKEN=${"t".repeat(64)}\n`,
    );
    const account = await makeAccount(undefined);
    const { output } = await deploy(["--secrets-file", secrets], account.env);
    expect(output).not.toContain("Not deployed");
    // The account above knows no more than secrets, so wrangler ends here; that it began is what counts.
    expect(output).toContain("workers.dev");
  });

  it("says how to log in", async () => {
    const home = makeFolder();
    const { code, output } = await deploy([], {
      HOME: home,
      XDG_CONFIG_HOME: home,
      CLOUDFLARE_API_TOKEN: "",
    });
    expect(code).toBe(1);
    expect(output).toContain("npx wrangler login");
  });
});
