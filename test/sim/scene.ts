/** The scene of the simulations of outside services: one adopted key, a KV and a webhook destination, the promises as checks. */
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import { startRotation } from "../../src/rotation/changes.ts";
import { credentialPlace, type EngineContext } from "../../src/rotation/context.ts";
import { valueColumns } from "../../src/rotation/values.ts";
import { NEW_KEY } from "../../src/store/keys.ts";
import { isDead, NEW_VERSION } from "../../src/store/versions.ts";
import {
  chainHolds,
  deadAreAnchored,
  heldBy,
  oneOfEach,
  queueAgrees,
  retiredOnlyWhenReplaced,
} from "./promises.ts";
import { type Abilities, Service } from "./service.ts";
import { type Plan, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

export const ROOT = { id: "root", scopes: "all" } as const;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** Each overlap with the abilities that decide how a mint in doubt is settled. */
export const KINDS: Record<string, Abilities> = {
  "ours, find": { overlap: "ours", find: true },
  "ours, find, late propagation": { overlap: "ours", find: true, propagationMs: 30_000 },
  "ours, find, lists later than it says": { overlap: "ours", find: true, listLagMs: 40_000 },
  "ours, find, lists as late as it says": {
    overlap: "ours",
    find: true,
    propagationMs: 40_000,
    listLagMs: 40_000,
  },
  "ours, repeats a mint": { overlap: "ours", repeatsMint: true },
  "ours, list": { overlap: "ours", list: true },
  "ours, list, no test": { overlap: "ours", list: true, test: false },
  "ours, two slots": { overlap: "ours", find: true, maxLive: 2 },
  "ours, cannot say": { overlap: "ours" },
  "ours, find, behind a connection": { overlap: "ours", find: true, connects: true, tellsAccount: true },
  "provider, find": { overlap: "provider", find: true },
  "provider, list": { overlap: "provider", list: true },
  "none, test only": { overlap: "none" },
  "none, repeats a mint": { overlap: "none", repeatsMint: true },
  "none, conflict on repeat": { overlap: "none", repeatsMint: true, conflicts: true },
  "none, late propagation": { overlap: "none", propagationMs: 30_000 },
};

export interface Run {
  simulator: Simulator;
  world: World;
  service: Service;
}

/**
 * Opens a simulation of one key that is held everywhere.
 * @param others more services that issue keys
 */
export function open(abilities: Abilities, plan: Plan, seed = 1, others: readonly Service[] = []): Run {
  const world = new World();
  const service = new Service(abilities);
  const simulator: Simulator = new Simulator({
    plan,
    seed,
    outbound: world.outbound,
    providers: {
      ...Object.fromEntries([service, ...others].map((one) => [one.name, one.provider()])),
    },
    inspect: (sim) => [
      ...(isExempt(sim, abilities)
        ? []
        : [...holdsAccepted(sim, world, service), ...retiredOnlyWhenReplaced(sim, world)]),
      ...oneOfEach(sim),
      ...queueAgrees(sim),
      ...deadAreAnchored(sim),
    ],
  });
  for (const one of [service, ...others]) one.attach(simulator);
  simulator.act((context) => {
    unwrap(createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } }));
    const config = { url: "https://one.acme.dev/", secretMode: "plain" };
    unwrap(createDestination(context, ROOT, { name: "one", type: "webhook", config }));
    adopt(context, service);
  });
  return { simulator, world, service };
}

function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

/** A key of the scripted service whose first value was made by hand and is held everywhere. */
function adopt(context: EngineContext, service: Service): void {
  const { store } = context;
  const { abilities } = service;
  const { reference, secret } = service.make("by hand");
  const keyId = "key_scripted";
  const fields = { secret };
  const provider = context.providerOf("scripted");
  store.keys.insert({
    ...NEW_KEY,
    id: keyId,
    name: "billing",
    provider: "scripted",
    connectionId: abilities.connects ? connect(context, service) : null,
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
    id: "version-one",
    keyId,
    number: 1,
    stage: "current",
    rotationId: null,
    reference,
    ...valueColumns(context, provider, "version-one", fields, true),
    issuedAt: context.now(),
    promotedAt: context.now(),
  });
  for (const name of ["kv", "one"]) {
    const destination = store.destinations.find(name);
    if (!destination) throw new Error("no destination");
    store.destinations.link({
      keyId,
      destinationId: destination.id,
      required: true,
      mustAcknowledge: false,
      name: "billing",
      target: `${name}:billing`,
    });
  }
}

/** The account where the key was made, opened by an admin's credential. */
function connect(context: EngineContext, service: Service): string {
  const { store, vault } = context;
  service.admins.set("main", new Set(["admin-one"]));
  const id = "con_main";
  const sealed = vault.seal(credentialPlace(id, 1), JSON.stringify({ secret: "admin-one" }));
  const account = service.abilities.tellsAccount ? "main" : null;
  store.connections.insert({
    id,
    name: "main",
    provider: "scripted",
    revision: 1,
    createdAt: context.now(),
    createdBy: "root",
  });
  store.connections.addRevision({
    connectionId: id,
    revision: 1,
    config: { account: "main" },
    account,
    sealed,
    credentialKey: null,
  });
  return id;
}

/**
 * Promises 1 and 2 make no claim without overlap, nor once a service's clock ran out although `key.at-risk` had gone out, which a
 * machine with a wrong clock cannot see coming.
 */
function isExempt(simulator: Simulator, { overlap }: Abilities): boolean {
  if (overlap === "none" || (overlap === "provider" && simulator.skewMs !== 0)) return true;
  const atRisk = simulator.store.events.page({ type: "key.at-risk" }, Number.MAX_SAFE_INTEGER, 1);
  return overlap === "provider" && atRisk.rows.length > 0;
}

/** Promise 1, by what the service itself accepts. */
function holdsAccepted(simulator: Simulator, world: World, service: Service): string[] {
  const key = simulator.store.keys.get("key_scripted");
  if (key?.state !== "active") return [];
  const versions = simulator.store.versions.ofKey(key.id);
  if (versions.some(({ endReason }) => endReason === "revoked" || endReason === "compromised")) return [];
  return findUnserved(simulator, world, service);
}

/** Places that hold a value which the service does not accept. */
function findUnserved(simulator: Simulator, world: World, service: Service): string[] {
  const key = simulator.store.keys.get("key_scripted");
  if (!key) return [];
  return simulator.store.destinations.linksOfKey(key.id).flatMap((link) => {
    const value = heldBy(simulator, world, link);
    return value === undefined || service.accepts(value)
      ? []
      : [`promise 1: ${link.target} holds a dead value`];
  });
}

/** Promise 4: what lives at the service is known here, and what is known to live here lives there. */
function nothingUnknown({ simulator, service }: Run): string[] {
  const versions = simulator.store.versions.ofKey("key_scripted");
  const known = new Set(versions.filter((version) => !isDead(version)).map((version) => version.reference));
  const live = service.live();
  const orphans = live.filter((reference) => !known.has(reference));
  const visible =
    simulator.store.rotations.live("key_scripted")?.state === "needs-human" ||
    versions.some((version) => version.stage === "lost");
  const missing = [...known].filter((reference) => reference !== null && !live.includes(reference));
  return [
    ...(orphans.length > 0 && !visible
      ? [`promise 4: ${orphans.join(", ")} lives at the service, unknown here`]
      : []),
    ...(missing.length > 0 ? [`promise 4: ${missing.join(", ")} is thought to live and is dead`] : []),
  ];
}

/** Starts a rotation by hand. */
export function rotate(context: EngineContext): void {
  const key = context.store.keys.get("key_scripted");
  if (!key) throw new Error("no key");
  startRotation(context, key, { trigger: "manual", reason: null, requestedBy: "root", grace: null });
}

/** Runs one rotation to its end, past grace and revocation. */
export async function runRotation({ simulator }: Run): Promise<void> {
  await simulator.runFor(HOUR_MS);
  simulator.act(rotate);
  await simulator.runFor(4 * DAY_MS);
}

/** Says what is wrong after a run, in words. */
export function findBroken(run: Run): string[] {
  const { simulator, service } = run;
  const rotation = simulator.store.rotations.list("key_scripted", "", 1)[0];
  const waits = rotation?.live && rotation.state !== "needs-human" ? [`still live at ${rotation.step}`] : [];
  // A service that cannot revoke leaves what a person revoked visible, on its daily retry.
  const cannotRevoke = service.abilities.overlap === "none";
  const stuck = simulator.store.versions
    .ofKey("key_scripted")
    .filter(
      (version) =>
        (version.stage === "revoking" && !cannotRevoke) || (version.stage === "pending" && !rotation?.live),
    )
    .map((version) => `version ${version.number} is still ${version.stage}`);
  // However it went, emergencies and revocations included: while there is a current value, it, or one in grace, is everywhere.
  const isServed = !rotation?.live && simulator.store.versions.current("key_scripted") !== undefined;
  const unserved = isServed ? findUnserved(simulator, run.world, service) : [];
  return [
    ...simulator.bugs.map((bug) => `bug: ${bug instanceof Error ? bug.stack : String(bug)}`),
    ...new Set(simulator.broken),
    ...service.broken,
    ...waits,
    ...stuck,
    ...unserved,
    ...nothingUnknown(run),
    ...chainHolds(simulator),
  ];
}
