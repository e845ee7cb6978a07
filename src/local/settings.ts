/**
 * What a local Rekey runs with. The environment wins; secrets that it does not name come from a file in the state folder,
 * readable by its owner alone, which is made at the first start and never changed afterwards but by adding what it lacks.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { z } from "zod";
import { parseMasterKeys } from "../crypto/master-keys.ts";
import { type Folder, hasState, Refusal } from "./folder.ts";

const DEFAULT_PORT = 8787;
const OWNER_ONLY = 0o600;
/** The Worker refuses shorter ones; here they are refused before it starts. */
const MIN_ROOT_TOKEN_LENGTH = 24;
const LOG_MODES = ["all", "warnings", "none"];

/** Set to nothing means not set, as people write `ROOT_TOKEN= npm start`. */
const optional = z
  .string()
  .optional()
  .transform((text) => (text === undefined || text.trim() === "" ? undefined : text.trim()));

const secretsSchema = z.object({
  MASTER_KEYS: optional.refine((text) => text === undefined || parseMasterKeys(text) !== undefined, {
    message: "must read id:base64[,id:base64…], each key 32 bytes",
  }),
  ROOT_TOKEN: optional.refine(
    (text) =>
      text === undefined || text.split(",").every((one) => one.trim().length >= MIN_ROOT_TOKEN_LENGTH),
    { message: `must have at least ${MIN_ROOT_TOKEN_LENGTH} characters (each of them, when it is a list)` },
  ),
});

const environmentSchema = secretsSchema.extend({
  PORT: optional.transform((text, check) => {
    const port = text === undefined ? DEFAULT_PORT : Number(text);
    if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
    check.addIssue({ code: "custom", message: "must be a port: 1 to 65535, or 0 for a free one" });
    return z.NEVER;
  }),
  REKEY_DATA: optional,
  PRIVATE_ALLOWLIST: optional.refine(
    (text) => text === undefined || text.split(",").every((entry) => /^\s*[^\s/@]+:\d{1,5}\s*$/.test(entry)),
    { message: "must read host:port[,host:port…]" },
  ),
  LOG_EVENTS: optional.refine((text) => text === undefined || LOG_MODES.includes(text), {
    message: `must be one of ${LOG_MODES.join(", ")}`,
  }),
  GITHUB_KEYS_URL: optional.refine((text) => text === undefined || URL.canParse(text), {
    message: "must be an address",
  }),
  GITHUB_TOKEN: optional,
});

type Secrets = z.infer<typeof secretsSchema>;
export type Environment = z.infer<typeof environmentSchema>;

/**
 * Reads the environment.
 * @throws Refusal that names every variable that is wrong; no value is repeated
 */
export function readEnvironment(env: Record<string, string | undefined>): Environment {
  return parse(environmentSchema, env, "in the environment");
}

export interface Bindings {
  bindings: Record<string, string>;
  /** Present when it was made just now: the only time that it is shown. */
  newRootToken: string | undefined;
}

/**
 * The Worker's bindings: from the environment, else from the file, else made now and kept in the file.
 * @throws Refusal when the folder holds databases whose master key is gone
 */
export function takeBindings(
  folder: Pick<Folder, "secrets" | "storage">,
  environment: Environment,
): Bindings {
  const kept = readSecrets(folder.secrets);
  const masterKeys = environment.MASTER_KEYS ?? kept.MASTER_KEYS;
  const rootToken = environment.ROOT_TOKEN ?? kept.ROOT_TOKEN;
  if (masterKeys === undefined && hasState(folder)) {
    throw new Refusal(
      `${folder.storage} was sealed with a MASTER_KEYS that is neither in the environment nor in ${folder.secrets}; ` +
        "set it again, or start with a new folder",
    );
  }
  const made = {
    ...(masterKeys === undefined && { MASTER_KEYS: `local:${randomBytes(32).toString("base64")}` }),
    ...(rootToken === undefined && { ROOT_TOKEN: randomBytes(32).toString("hex") }),
  };
  if (Object.keys(made).length > 0) writeSecrets(folder.secrets, { ...kept, ...made });
  const { PRIVATE_ALLOWLIST, LOG_EVENTS, GITHUB_KEYS_URL, GITHUB_TOKEN } = environment;
  return {
    bindings: {
      MASTER_KEYS: masterKeys ?? made.MASTER_KEYS ?? "",
      ROOT_TOKEN: rootToken ?? made.ROOT_TOKEN ?? "",
      ...(PRIVATE_ALLOWLIST !== undefined && { PRIVATE_ALLOWLIST }),
      ...(LOG_EVENTS !== undefined && { LOG_EVENTS }),
      ...(GITHUB_KEYS_URL !== undefined && { GITHUB_KEYS_URL }),
      ...(GITHUB_TOKEN !== undefined && { GITHUB_TOKEN }),
    },
    newRootToken: made.ROOT_TOKEN,
  };
}

function readSecrets(file: string): Secrets {
  if (!existsSync(file)) return { MASTER_KEYS: undefined, ROOT_TOKEN: undefined };
  // Copied or restored files come back wider than they were.
  chmodSync(file, OWNER_ONLY);
  return parse(secretsSchema, parseEnv(readFileSync(file, "utf8")), `in ${file}`);
}

/** Written beside and moved into place: a process that is killed leaves the old file or the new one. */
function writeSecrets(file: string, secrets: Partial<Secrets>): void {
  const lines = Object.entries(secrets).flatMap(([name, value]) => (value ? [`${name}=${value}`] : []));
  const text = `# Keep this file: what Rekey has stored here cannot be opened without MASTER_KEYS.\n${lines.join("\n")}\n`;
  const draft = `${file}.new`;
  writeFileSync(draft, text, { mode: OWNER_ONLY, flush: true });
  chmodSync(draft, OWNER_ONLY);
  renameSync(draft, file);
}

function parse<Schema extends z.ZodType>(schema: Schema, input: unknown, where: string): z.output<Schema> {
  const { success, data, error } = schema.safeParse(input);
  if (success) return data;
  const problems = error.issues.map((issue) => `${issue.path.join(".")} ${where} ${issue.message}`);
  throw new Refusal(problems.join("; "));
}
