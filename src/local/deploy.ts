/**
 * `npm run deploy`: `wrangler deploy` with the same arguments, after looking whether it can end well. Refuses whatever would
 * let a deployed Worker reach private addresses, and says how to set what is missing.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { experimental_readRawConfig } from "wrangler";
import { z } from "zod";
import { Refusal } from "./folder.ts";
import { ROOT, WRANGLER } from "./worker.ts";

const FORBIDDEN = "PRIVATE_ALLOWLIST";

/** How each secret is made; written into the file that the deploy is given. */
const RECIPES: Record<string, string> = {
  MASTER_KEYS: 'echo "MASTER_KEYS=k1:$(openssl rand -base64 32)"',
  ROOT_TOKEN: 'echo "ROOT_TOKEN=$(openssl rand -hex 32)"',
};

const argumentSchema = z.object({
  "dry-run": z.boolean().default(false),
  temporary: z.boolean().default(false),
  help: z.boolean().default(false),
  config: z.string().default("wrangler.toml"),
  env: z.string().optional(),
  name: z.string().optional(),
  var: z.array(z.string()).default([]),
  "secrets-file": z.string().optional(),
});
type Arguments = z.infer<typeof argumentSchema>;

const requiredSchema = z.object({ required: z.array(z.string()).default([]) });
const rawConfigSchema = z.object({
  secrets: requiredSchema.optional(),
  env: z.record(z.string(), z.object({ secrets: requiredSchema.optional() })).default({}),
});

/** Only what this file looks at; everything is handed on to wrangler as it came. */
function readArguments(args: string[]): Arguments {
  const { values } = parseArgs({
    args,
    strict: false,
    options: {
      "dry-run": { type: "boolean" },
      temporary: { type: "boolean" },
      help: { type: "boolean", short: "h" },
      config: { type: "string", short: "c" },
      env: { type: "string", short: "e" },
      name: { type: "string" },
      var: { type: "string", multiple: true },
      "secrets-file": { type: "string" },
    },
  });
  return argumentSchema.parse(values);
}

/** Throws a Refusal when private targets are allowed anywhere that a deploy, or the next one, could take them from. */
function refusePrivateTargets(given: Arguments, config: unknown): void {
  const places: string[] = [];
  if (process.env[FORBIDDEN]) places.push(`the environment (unset ${FORBIDDEN})`);
  if (holdsForbidden(config)) places.push(given.config);
  if (given.var.some((text) => text.startsWith(`${FORBIDDEN}:`))) places.push("--var");
  const folder = dirname(resolve(ROOT, given.config));
  for (const name of readdirSync(folder).filter((file) => /^\.dev\.vars(\..+)?$/.test(file))) {
    if (readValues(join(folder, name))[FORBIDDEN]) places.push(name);
  }
  if (readSecretsFile(given)[FORBIDDEN]) places.push(String(given["secrets-file"]));
  if (places.length > 0)
    throw new Refusal(`${FORBIDDEN} is set in ${places.join(" and in ")}.\n${whyForbidden}`);
}

const whyForbidden = `
It lets Rekey call private addresses, plain http included. That is for a machine of your own (\`npm start\`, \`npm run demo\`);
a deployed Worker with it could be pointed at whatever its network reaches. Remove it, then deploy again.`;

/** True when a variable of that name has a value anywhere in the configuration, whichever environment it belongs to. */
function holdsForbidden(part: unknown): boolean {
  if (typeof part !== "object" || part === null) return false;
  return Object.entries(part).some(([name, value]) =>
    name === FORBIDDEN ? value !== "" : value === FORBIDDEN || holdsForbidden(value),
  );
}

/** Looks at the account: logged in, every required secret set, none set that is refused. */
async function checkAccount(given: Arguments, config: unknown): Promise<void> {
  const login = await wrangler(["whoami", "--json"]);
  if (/"loggedIn":\s*false/.test(login.stdout) && !given.temporary) {
    throw new Refusal(
      "nobody is logged in to Cloudflare here.\n\n  npx wrangler login\n\n" +
        "or set CLOUDFLARE_API_TOKEN (and CLOUDFLARE_ACCOUNT_ID when it reaches several accounts).",
    );
  }
  const known = given.temporary ? [] : await listSecrets(given);
  if (known.includes(FORBIDDEN)) {
    throw new Refusal(
      `${FORBIDDEN} is set as a secret of the deployed Worker.\n${whyForbidden}\n\n  npx wrangler secret delete ${FORBIDDEN}`,
    );
  }
  refuseNewMasterKeys(given, known);
  const { secrets, env } = rawConfigSchema.parse(config);
  const required = env[given.env ?? process.env.CLOUDFLARE_ENV ?? ""]?.secrets ?? secrets;
  const inFile = Object.keys(readSecretsFile(given));
  const missing = (required?.required ?? []).filter(
    (name) => !known.includes(name) && !inFile.includes(name),
  );
  if (missing.length > 0) throw new Refusal(howToSet(missing));
}

/** A file from the first deploy, or one made anew, must not take the place of the keys that everything is sealed with. */
function refuseNewMasterKeys(given: Arguments, known: string[]): void {
  if (!known.includes("MASTER_KEYS") || readSecretsFile(given).MASTER_KEYS === undefined) return;
  throw new Refusal(`MASTER_KEYS is set already, and ${given["secrets-file"]} holds another line of it.

Whatever is sealed opens only with the present keys. Take that line out of the file; to change the keys, put the new one in
front of the present ones (\`new,old\`) with \`npx wrangler secret put MASTER_KEYS\`.`);
}

/** Names of the Worker's secrets; none when it does not exist yet. */
async function listSecrets({ config, env, name }: Arguments): Promise<string[]> {
  const target = ["--config", config, ...(env ? ["--env", env] : []), ...(name ? ["--name", name] : [])];
  const { ok, stdout, stderr } = await wrangler(["secret", "list", "--format", "json", ...target]);
  if (ok)
    return z
      .array(z.object({ name: z.string() }))
      .parse(JSON.parse(stdout))
      .map((secret) => secret.name);
  if (/Worker "[^"]*" not found/.test(stderr)) return [];
  throw new Refusal(`which secrets are set could not be seen; wrangler says:\n\n${stderr.trim()}`);
}

function howToSet(missing: string[]): string {
  const recipes = missing.map((name) => `    ${RECIPES[name] ?? `echo "${name}=<its value>"`}`);
  return `${missing.join(" and ")} ${missing.length === 1 ? "is" : "are"} not set.

Make what is missing, in a file that git ignores, and deploy with it:

  mkdir -p .rekey && (umask 077; {
${recipes.join("\n")}
  } > .rekey/deploy.env)
  npm run deploy -- --secrets-file .rekey/deploy.env

Then move the file's lines into your password manager and delete it. Cloudflare never shows them again: ROOT_TOKEN opens
Rekey the first time, and the present MASTER_KEYS is needed whenever a new one is put in front of it.`;
}

function readSecretsFile(given: Arguments): Record<string, unknown> {
  const file = given["secrets-file"];
  return file === undefined ? {} : readValues(resolve(ROOT, file));
}

/** A file of values as wrangler reads it: JSON, or lines of NAME=value. */
function readValues(file: string): Record<string, unknown> {
  if (!existsSync(file)) throw new Refusal(`${file} does not exist`);
  const text = readFileSync(file, "utf8");
  return text.trimStart().startsWith("{")
    ? z.record(z.string(), z.unknown()).parse(JSON.parse(text))
    : parseEnv(text);
}

function wrangler(args: string[]): Promise<{ ok: boolean; stdout: string; stderr: string }> {
  const env = { ...process.env, WRANGLER_HIDE_BANNER: "true" };
  return new Promise((done) => {
    execFile(process.execPath, [WRANGLER, ...args], { cwd: ROOT, env }, (error, stdout, stderr) =>
      done({ ok: error === null, stdout, stderr }),
    );
  });
}

async function deploy(args: string[]): Promise<number> {
  const given = readArguments(args);
  const { rawConfig } = experimental_readRawConfig({ config: resolve(ROOT, given.config) });
  refusePrivateTargets(given, rawConfig);
  if (!given["dry-run"] && !given.help) await checkAccount(given, rawConfig);
  const child = spawn(process.execPath, [WRANGLER, "deploy", ...args], { cwd: ROOT, stdio: "inherit" });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

try {
  process.exitCode = await deploy(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  console.error(`Not deployed: ${error.message}`);
  process.exitCode = 1;
}
