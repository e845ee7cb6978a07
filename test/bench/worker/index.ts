/**
 * Rekey as it is deployed, whose objects can also fill, age and count themselves. What a benchmark asks comes in under `/bench/`;
 * everything else goes to the Worker as it is.
 */
import worker from "../../../src/index.ts";
import { registryOf } from "../../../src/registry/stub.ts";
import type { Remote } from "../../../src/remote.ts";
import { type Burden, runFloor } from "./floor.ts";
import type { Keyring } from "./keyring.ts";
import { takeCalls } from "./outside.ts";
import type { Registry } from "./registry.ts";

export { Keyring } from "./keyring.ts";
export { Outside } from "./outside.ts";
export { Registry } from "./registry.ts";

type Route = (env: Env, body: never) => Promise<unknown>;

interface Named {
  /** Of a keyring that was made for a benchmark: its name and its code. */
  keyring: string;
}

function objectOf(env: Env, code: string): Remote<Keyring> {
  return env.KEYRING.get(env.KEYRING.idFromName(code)) as unknown as Remote<Keyring>;
}

let knownCode: string | undefined;

/** The keyring that the API fills when none is named. Asked for once, as the registry may be under a meter. */
async function defaultCode(env: Env): Promise<string> {
  knownCode ??= (await registryOf(env).find({ name: "default" }))?.code;
  if (knownCode === undefined) throw new Error("the default keyring was not made yet");
  return knownCode;
}

async function defaultKeyring(env: Env): Promise<Remote<Keyring>> {
  return objectOf(env, await defaultCode(env));
}

function registry(env: Env): Remote<Registry> {
  return registryOf(env) as Remote<Registry>;
}

/** The call that ends an instance is never answered. */
async function restart(keyring: Remote<Keyring>): Promise<null> {
  await keyring.restart().catch(() => undefined);
  return null;
}

const ROUTES = {
  make: (env, { keyring }: Named) => objectOf(env, keyring).make({ name: keyring, code: keyring }),
  empty: async (env) => (await defaultKeyring(env)).nothing(),
  nothing: (env, { keyring }: Named) => objectOf(env, keyring).nothing(),
  fill: (env, { keyring, from, to, total }: Named & { from: number; to: number; total: number }) =>
    objectOf(env, keyring).fill(from, to, total),
  place: (env, { keyring, ...order }: Named & Parameters<Keyring["place"]>[0]) =>
    objectOf(env, keyring).place(order),
  clear: (env, { keyring }: Named) => objectOf(env, keyring).clear(),
  restart: (env, { keyring }: Named) => restart(objectOf(env, keyring)),
  wake: (env, { keyring }: Named) => objectOf(env, keyring).wake(),
  claim: (env, { keyring, ...order }: Named & Parameters<Keyring["claim"]>[0]) =>
    objectOf(env, keyring).claim(order),
  poll: (env, { keyring, ...order }: Named & Parameters<Keyring["poll"]>[0]) =>
    objectOf(env, keyring).poll(order),

  look: (env, { keyring, ...order }: Named & Parameters<Keyring["look"]>[0]) =>
    objectOf(env, keyring).look(order),
  addRecent: (env, { keyring, count }: Named & { count: number }) => objectOf(env, keyring).addRecent(count),

  calls: async () => takeCalls(),
  size: async (env, { keyring }: Partial<Named>) =>
    (keyring === undefined ? await defaultKeyring(env) : objectOf(env, keyring)).size(),
  busy: async (env) => (await defaultKeyring(env)).busy(),
  leaks: async (env) => (await defaultKeyring(env)).leaks(),
  version: async (env, { key, number }: { key: string; number: number }) =>
    (await defaultKeyring(env)).versionOf(key, number),
  async age(env, { prefix }: { prefix: string }) {
    const code = await defaultCode(env);
    const aged = await objectOf(env, code).age(prefix);
    await restart(objectOf(env, code));
    await registryOf(env).noteStart(code, Date.now() - 1);
    return aged;
  },
  async meter(env) {
    await (await defaultKeyring(env)).startMeter();
    await registry(env).startMeter();
    takeCalls();
    return null;
  },
  async reading(env) {
    return {
      keyring: await (await defaultKeyring(env)).readMeter(),
      registry: await registry(env).readMeter(),
      outside: takeCalls(),
    };
  },
  floor: (env, burden: Burden) => runFloor(env.KEYS, burden),
} satisfies Record<string, Route>;

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const [, name = ""] = /^\/bench\/(\w+)$/.exec(pathname) ?? [];
    const route = (ROUTES as Record<string, Route>)[name];
    if (!route) return worker.fetch(request, env, ctx);
    // Only the benchmarks call this, over loopback, with what the routes above take.
    return Response.json((await route(env, (await request.json()) as never)) ?? null);
  },
  scheduled: worker.scheduled,
} satisfies ExportedHandler<Env>;
