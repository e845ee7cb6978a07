/**
 * A simulation of many keys at several accounts, for batches: what must be so of each batch is looked at after every commit, by the rows of
 * its rotations and not by what it says of itself.
 */
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import type { Allowance } from "../../src/outbound/budget.ts";
import type { Provider, ProviderContext } from "../../src/providers/provider.ts";
import { WINDOW } from "../../src/rotation/batch-round.ts";
import { countSkipped, createBatch, type NewBatch } from "../../src/rotation/batches.ts";
import { credentialPlace, type EngineContext } from "../../src/rotation/context.ts";
import { valueColumns } from "../../src/rotation/values.ts";
import type { BatchRow } from "../../src/store/batches.ts";
import { type KeyRow, NEW_KEY } from "../../src/store/keys.ts";
import type { RotationRow } from "../../src/store/rotations.ts";
import { NEW_VERSION } from "../../src/store/versions.ts";
import { chainHolds, oneOfEach, queueAgrees } from "./promises.ts";
import { ROOT } from "./scene.ts";
import { type Abilities, Service } from "./service.ts";
import { type Plan, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

/** Keys of one account: a service of its own behind a connection. */
export interface Account {
  keys: number;
  /** Calls that its service allows. */
  rateLimit?: Allowance;
  /** Index of the account whose first key opens this one. */
  openedBy?: number;
  abilities?: Partial<Abilities>;
}

export interface Fleet {
  simulator: Simulator;
  world: World;
  services: Service[];
  /** Ids of the keys of each account. */
  keyIds: string[][];
}

const ABILITIES: Abilities = { overlap: "ours", find: true, connects: true };

/** Id of a key: in the order in which they are opened. */
function keyIdOf(account: number, index: number): string {
  return `key_${account}_${String(index).padStart(4, "0")}`;
}

export function openFleet(accounts: readonly Account[], plan: Plan = () => undefined): Fleet {
  const world = new World();
  const services = accounts.map(
    ({ abilities }, index) => new Service({ ...ABILITIES, ...abilities }, `service-${index}`),
  );
  const providers = services.map((service, index) => counted(service.provider(), accounts[index]?.rateLimit));
  const keyIds = accounts.map(({ keys }, account) =>
    Array.from({ length: keys }, (_, index) => keyIdOf(account, index)),
  );
  const simulator: Simulator = new Simulator({
    plan,
    outbound: world.outbound,
    providers: Object.fromEntries(providers.map((provider) => [provider.name, provider])),
    inspect: (sim) => [...oneOfEach(sim), ...queueAgrees(sim), ...batchesAddUp(sim)],
  });
  for (const service of services) service.attach(simulator);
  simulator.act((context) => {
    const made = createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } });
    if (!made.ok) throw new Error("no destination");
    for (const [account, { keys }] of accounts.entries()) {
      const service = services[account];
      if (!service) continue;
      connect(context, service, account);
      for (let index = 0; index < keys; index++) adopt(context, service, account, index);
    }
    for (const [account, { openedBy }] of accounts.entries()) {
      const service = services[account];
      if (service && openedBy !== undefined) openWith(context, service, account, openedBy, services);
    }
  });
  return { simulator, world, services, keyIds };
}

/** A provider that spends of what its service allows, call by call, as all over HTTP do. */
function counted(provider: Provider, rateLimit: Allowance | undefined): Provider {
  if (!rateLimit) return provider;
  const spent = async <T>({ spend }: ProviderContext, call: () => Promise<T>, later: (ms: number) => T) => {
    const wait = spend();
    return wait > 0 ? later(wait) : call();
  };
  const problem = "used up for now";
  return {
    ...provider,
    rateLimit,
    preflight: (context) =>
      spent(
        context,
        () => provider.preflight(context),
        (retryAfterMs) => ({ kind: "red", problem, retryAfterMs }),
      ),
    mint: (context, intent) =>
      spent(
        context,
        () => provider.mint(context, intent),
        (retryAfterMs) => ({ kind: "postponed", problem, retryAfterMs }),
      ),
    ...(provider.test && {
      test: (context, credential) =>
        spent(
          context,
          async () => (await provider.test?.(context, credential)) ?? { kind: "indeterminate", problem },
          (retryAfterMs) => ({ kind: "indeterminate" as const, problem, retryAfterMs }),
        ),
    }),
  };
}

function connect({ store, vault, now }: EngineContext, service: Service, account: number): void {
  const id = `con_${account}`;
  service.admins.set("main", new Set([`admin-${account}`]));
  store.connections.insert({
    id,
    name: `account-${account}`,
    provider: service.name,
    revision: 1,
    createdAt: now(),
    createdBy: "root",
  });
  store.connections.addRevision({
    connectionId: id,
    revision: 1,
    config: { account: "main" },
    account: "main",
    sealed: vault.seal(credentialPlace(id, 1), JSON.stringify({ secret: `admin-${account}` })),
    credentialKey: null,
  });
}

/** Has an account be opened by the first key of another. */
function openWith(
  { store }: EngineContext,
  service: Service,
  account: number,
  by: number,
  services: readonly Service[],
): void {
  const connection = store.connections.get(`con_${account}`);
  if (!connection) return;
  store.connections.update(connection, { revision: 2 });
  store.connections.addRevision({
    connectionId: connection.id,
    revision: 2,
    config: { account: "main" },
    account: "main",
    sealed: null,
    credentialKey: keyIdOf(by, 0),
  });
  const opener = services[by];
  service.opensToo = (secret) => opener?.accepts(secret) ?? false;
}

function adopt(context: EngineContext, service: Service, account: number, index: number): void {
  const { store } = context;
  const keyId = keyIdOf(account, index);
  const name = `key-${account}-${index}`;
  const { reference, secret } = service.make("by hand", name);
  const versionId = `version-${account}-${index}`;
  const provider = context.providerOf({ provider: service.name });
  store.keys.insert({
    ...NEW_KEY,
    id: keyId,
    name,
    provider: service.name,
    connectionId: `con_${account}`,
    prefix: "",
    scopes: [],
    role: null,
    subject: null,
    expiresAt: null,
    labels: {},
    policy: { grace: "1h" },
    state: "active",
    revision: 1,
    lastNumber: 1,
    createdAt: context.now(),
    createdBy: "root",
  });
  store.versions.insert({
    ...NEW_VERSION,
    id: versionId,
    keyId,
    number: 1,
    stage: "current",
    rotationId: null,
    reference,
    connectionRevision: 1,
    ...valueColumns(context, provider, versionId, { secret }, true),
    issuedAt: context.now(),
    promotedAt: context.now(),
  });
  const kv = store.destinations.find("kv");
  if (!kv) throw new Error("no destination");
  store.destinations.link({
    keyId,
    destinationId: kv.id,
    required: true,
    mustAcknowledge: false,
    name,
    target: `kv:${name}`,
  });
}

/** Asks for the rotation of every key, unless something else is said. Returns the batch's id. */
export function begin({ simulator }: Fleet, asked: Partial<NewBatch> = {}): string {
  const batch = { selection: {}, grace: null, reason: "a test", requestedBy: "root", ...asked };
  return simulator.act((context) => createBatch(context, batch).id);
}

export function batchOf({ simulator }: Fleet, id: string): BatchRow {
  const row = simulator.store.batches.get(id);
  if (!row) throw new Error("no batch");
  return row;
}

export function rotationsOf({ simulator }: Fleet, id: string): RotationRow[] {
  return simulator.store.rotations.select("WHERE batchId = ? ORDER BY startedAt, id", id);
}

/** Runs until a batch is over. */
export async function finish(fleet: Fleet, id: string, withinMs: number): Promise<BatchRow> {
  await fleet.simulator.runFor(withinMs, () => batchOf(fleet, id).state !== "running");
  return batchOf(fleet, id);
}

/** What is wrong after a run, in words. */
export function findWrong({ simulator, services, world }: Fleet): string[] {
  return [
    ...simulator.bugs.map((bug) => `bug: ${bug instanceof Error ? bug.stack : String(bug)}`),
    ...new Set([...simulator.broken, ...world.broken, ...services.flatMap(({ broken }) => broken)]),
    ...chainHolds(simulator),
  ];
}

/** Keys with how many rotations of a batch each had, where that is not one. */
export function notOnce(fleet: Fleet, id: string): [string, number][] {
  const byKey = Map.groupBy(rotationsOf(fleet, id), ({ keyId }) => keyId);
  return fleet.keyIds
    .flat()
    .map((keyId): [string, number] => [keyId, byKey.get(keyId)?.length ?? 0])
    .filter(([, count]) => count !== 1);
}

/** What must be so of every batch after every commit. */
function batchesAddUp({ store, now }: Simulator): string[] {
  const allMoving = store.rotations
    .select("WHERE batchId IS NOT NULL AND live = 1 AND state = 'running'")
    .filter(({ startedAt }) => now - startedAt < 60_000).length;
  const tooMany = allMoving > WINDOW ? [`batches have ${allMoving} under way at once`] : [];
  const odd = store.batches.list("", 10).flatMap((row) => {
    const rotations = store.rotations.select("WHERE batchId = ?", row.id);
    const live = rotations.filter((one) => one.live);
    const keys = new Set(rotations.map(({ keyId }) => keyId));
    const { id, total, started, joined, succeeded, failed } = row;
    const looked = started + joined + countSkipped(row);
    const succeededSo = rotations.filter(({ state }) => state === "succeeded").length;
    const claims: [boolean, string][] = [
      [started + joined === rotations.length, "does not count what it started"],
      [started + joined === live.length + succeeded + failed, "loses count of what ended"],
      [succeeded === succeededSo, "does not count what succeeded"],
      [looked <= total, "looked at more keys than there are"],
      [row.state !== "done" || looked === total, "is done and has left keys out"],
      [row.state !== "done" || live.length === 0, "is done while something is live"],
      [row.state !== "running" || row.dueAt !== null, "runs, and nothing will wake it"],
      [row.state === "running" || row.dueAt === null, "is woken for nothing"],
      [keys.size === rotations.length, "rotates a key twice"],
    ];
    return claims.filter(([holds]) => !holds).map(([, problem]) => `batch ${id} ${problem}`);
  });
  return [...tooMany, ...odd];
}

/** A key by its account and place. */
export function keyAt({ simulator, keyIds }: Fleet, account: number, index: number): KeyRow {
  const key = simulator.store.keys.get(keyIds[account]?.[index] ?? "");
  if (!key) throw new Error("no key");
  return key;
}
