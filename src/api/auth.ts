/** From a request to the keyring it speaks to and the credential it carries. */
import type { Context } from "hono";
import { routePath } from "hono/route";
import { sameBytes, sha256 } from "../crypto/hash.ts";
import { type Config, readConfig } from "../env.ts";
import type { Failure } from "../errors/catalogue.ts";
import { parseToken } from "../issuer/token.ts";
import type { Credential } from "../keyring/caller.ts";
import type { Call } from "../keyring/host.ts";
import type { Keyring } from "../keyring/keyring.ts";
import { keyringOf } from "../keyring/stub.ts";
import { registryOf } from "../registry/stub.ts";
import type { Remote } from "../remote.ts";
import type { Result } from "../result.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import { findByCode, findByName, publish } from "./directory.ts";
import { Problem, unwrap } from "./problem.ts";

export type AppContext = Context<{ Bindings: Env }>;

/** The keyring that a root token means when it names none; the first such call makes it. */
export const DEFAULT_KEYRING = "default";
const BEARER = /^Bearer +([\x21-\x7e]{1,512})$/i;

/** Read by the first who asks: the middleware and each route do. */
const credentials = new WeakMap<Request, Credential>();

/** The bearer credential: a root token, or what has the form of an access key. Nothing is looked up yet. */
export function readCredential(c: AppContext): Credential {
  const known = credentials.get(c.req.raw);
  if (known) return known;
  const credential = parseCredential(c);
  credentials.set(c.req.raw, credential);
  return credential;
}

function parseCredential(c: AppContext): Credential {
  const header = c.req.header("authorization");
  if (header === undefined) throw new Problem({ code: "credential-missing" });
  const token = BEARER.exec(header)?.[1];
  if (token === undefined) throw new Problem({ code: "credential-malformed" });
  const config = readConfig(c.env);
  if (!config.ok) throw new Problem({ code: "not-configured", detail: config.error.join("; ") });
  if (isRoot(token, config.value)) return { kind: "root" };
  codeOf(token);
  return { kind: "access", token };
}

/** Compares with every root token of that length, so that the time taken does not say which one was near. */
function isRoot(token: string, { roots }: Config): boolean {
  const candidates = roots.filter(({ length }) => length === token.length);
  if (candidates.length === 0) return false;
  const digest = sha256(token);
  return candidates.filter((root) => sameBytes(root.digest, digest)).length > 0;
}

/** The code of the keyring that an access key names. */
function codeOf(token: string): string {
  const parsed = parseToken(token);
  if (parsed.kind === "token") return parsed.code;
  throw new Problem({ code: parsed.kind === "malformed" ? "credential-malformed" : "credential-unknown" });
}

/** Refuses anything but a root token. */
export function requireRoot(c: AppContext): void {
  if (readCredential(c).kind !== "root") throw new Problem({ code: "root-required" });
}

/**
 * Calls the keyring that the request's credential names: an access key its own, a root token the one in `Rekey-Keyring`.
 * The keyring itself checks the access key, in the same call as the work.
 */
export async function onKeyring<T>(
  c: AppContext,
  work: (keyring: Remote<Keyring>, call: Call) => Promise<Result<T, Failure>>,
): Promise<T> {
  return askKeyring(c, { ...callOf(c), ...(await readIdempotency(c)) }, work);
}

/** What comes with a request, without what its body says. */
export function callOf(c: AppContext): Call & { origin: string } {
  return { credential: readCredential(c), route: routeOf(c), origin: originOf(c.req.url) };
}

/** The same for a call whose parts are known. */
export async function askKeyring<T>(
  c: AppContext,
  call: Call,
  work: (keyring: Remote<Keyring>, call: Call) => Promise<Result<T, Failure>>,
): Promise<T> {
  const identity = await locate(c, call.credential);
  const stub = keyringOf(c.env, identity.code);
  const result = await work(stub, call);
  if (result.ok || result.error.code !== "keyring-unknown") return unwrap(result);
  // Listed but not made: its making was cut off. Making it is safe to repeat.
  unwrap(await stub.make(identity));
  return unwrap(await work(stub, call));
}

/** Adds a keyring to the registry and makes it. */
export async function makeKeyring(env: Env, identity: KeyringIdentity): Promise<void> {
  unwrap(await keyringOf(env, identity.code).make(identity));
  await publish(env, identity);
}

async function locate(c: AppContext, credential: Credential): Promise<KeyringIdentity> {
  if (credential.kind === "access") return unwrap(await findByCode(c.env, codeOf(credential.token)));
  const name = c.req.header("rekey-keyring") ?? DEFAULT_KEYRING;
  const found = await findByName(c.env, name);
  if (found.ok || name !== DEFAULT_KEYRING) return unwrap(found);
  const added = await registryOf(c.env).add(DEFAULT_KEYRING);
  if (!added.ok) return unwrap(await findByName(c.env, name));
  await makeKeyring(c.env, added.value);
  return added.value;
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/** The request's Idempotency-Key with what it stands for, on a POST that carries one. */
export async function readIdempotency(c: AppContext): Promise<Pick<Call, "idempotency">> {
  const key = c.req.header("idempotency-key");
  if (key === undefined || c.req.method !== "POST") return {};
  if (!IDEMPOTENCY_KEY.test(key)) {
    const errors = [{ path: "Idempotency-Key", message: "must be 1 to 255 visible ASCII characters" }];
    throw new Problem({ code: "invalid", errors });
  }
  const { pathname, search } = new URL(c.req.url);
  const route = `${c.req.method} ${pathname}${search}`;
  return { idempotency: { key, route, bodyHash: sha256(await c.req.text()) } };
}

/** Where a request came to; what `new URL` says, without taking all of it apart on each call. */
function originOf(url: string): string {
  return url.slice(0, url.indexOf("/", url.indexOf("://") + 3));
}

/** Method and path pattern: it goes into the history, and somebody may have put a secret where an id belongs. */
function routeOf(c: AppContext): string {
  const path = routePath(c, -1);
  const pattern = patterns.get(path) ?? path.replace(/:(\w+)/g, "{$1}");
  patterns.set(path, pattern);
  return `${c.req.method} ${pattern}`;
}

/** Path patterns as the document writes them; there are as many as routes. */
const patterns = new Map<string, string>();
