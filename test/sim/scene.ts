/** The scene of the simulations of outside services: one adopted key, a KV and a webhook destination, the promises as checks. */
import { createDestination } from "../../src/keyring/operations/destinations.ts";
import { startRotation } from "../../src/rotation/changes.ts";
import { credentialPlace, type EngineContext } from "../../src/rotation/context.ts";
import { valueColumns } from "../../src/rotation/values.ts";
import { NEW_KEY, type Policy } from "../../src/store/keys.ts";
import { isDead, NEW_VERSION } from "../../src/store/versions.ts";
import { type IsValueOf, sendsArrived } from "./arrivals.ts";
import { Graces } from "./graces.ts";
import { Judge } from "./judge.ts";
import {
  chainHolds,
  confirmedOnlyWhenSeen,
  deadAreAnchored,
  heldBy,
  oneOfEach,
  queueAgrees,
  retiredOnlyWhenReplaced,
} from "./promises.ts";
import { type Abilities, OUR_LABEL, Service } from "./service.ts";
import { type Plan, Simulator } from "./simulator.ts";
import { World } from "./world.ts";

export const ROOT = { id: "root", scopes: "all" } as const;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** The scene's first key. */
export const KEY = "key_scripted";

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
  "ours, find, late propagation, no test": {
    overlap: "ours",
    find: true,
    test: false,
    propagationMs: 30_000,
  },
  "ours, list, no test, lists as late as it says": {
    overlap: "ours",
    list: true,
    test: false,
    propagationMs: 40_000,
    listLagMs: 40_000,
    overlooksYoung: true,
  },
  "ours, two slots": { overlap: "ours", find: true, maxLive: 2 },
  "ours, cannot say": { overlap: "ours" },
  "ours, find, behind a connection": { overlap: "ours", find: true, connects: true, tellsAccount: true },
  "ours, find, disables first": { overlap: "ours", find: true, disables: true },
  "provider, find": { overlap: "provider", find: true },
  "provider, list": { overlap: "provider", list: true },
  "provider, repeats a mint": { overlap: "provider", repeatsMint: true },
  "none, test only": { overlap: "none" },
  "none, can revoke": { overlap: "none", revokes: true },
  "none, find": { overlap: "none", find: true, revokes: true },
  "none, repeats a mint": { overlap: "none", repeatsMint: true },
  "none, conflict on repeat": { overlap: "none", repeatsMint: true, conflicts: true },
  "none, late propagation": { overlap: "none", propagationMs: 30_000 },
};

/** A service that breaks its own word about when it lists a key can hide one from any last look, so no promise covers it. */
export const HONEST = Object.keys(KINDS).filter(
  (kind) => (KINDS[kind]?.listLagMs ?? 0) <= (KINDS[kind]?.propagationMs ?? 0),
);

export interface Run {
  simulator: Simulator;
  world: World;
  service: Service;
  /** Ids of the keys at the service, deleted ones included. */
  keyIds: string[];
  judge: Judge;
  graces: Graces;
}

/** What the keys of a scene are called, and what it is there in the account. */
const NAMES = [OUR_LABEL, "shipping"];

/** The id of the scene's n-th key. */
export function keyIdOf(index: number): string {
  return index === 0 ? KEY : `${KEY}_${index + 1}`;
}

/**
 * Opens a simulation of one or more keys, each held everywhere.
 * @param others more services that issue keys
 */
export function open(
  abilities: Abilities,
  plan: Plan,
  seed = 1,
  others: readonly Service[] = [],
  count = 1,
): Run {
  const world = new World();
  const service = new Service(abilities);
  const names = NAMES.slice(0, count);
  const keyIds = names.map((_, index) => keyIdOf(index));
  const simulator: Simulator = new Simulator({
    plan,
    seed,
    outbound: world.outbound,
    providers: {
      ...Object.fromEntries([service, ...others].map((one) => [one.name, one.provider()])),
    },
    inspect: (sim) => [
      ...keyIds.flatMap((keyId) => inspectKey(run, keyId)),
      ...run.graces.inspect(keyIds),
      ...oneOfEach(sim),
      ...queueAgrees(sim),
      ...deadAreAnchored(sim),
    ],
  });
  const judge = new Judge(simulator, world, service);
  const run: Run = { simulator, world, service, keyIds, judge, graces: new Graces(simulator, service) };
  for (const one of [service, ...others]) one.attach(simulator);
  simulator.act((context) => {
    unwrap(createDestination(context, ROOT, { name: "kv", type: "kv", config: { propagation: "0" } }));
    const config = { url: "https://one.acme.dev/", secretMode: "plain" };
    unwrap(createDestination(context, ROOT, { name: "one", type: "webhook", config }));
    const connectionId = abilities.connects ? connect(context, service) : null;
    for (const [index, name] of names.entries()) adopt(context, service, keyIdOf(index), name, connectionId);
  });
  return run;
}

/** What must be so of a key after every commit. */
function inspectKey(run: Run, keyId: string): string[] {
  const { simulator, world, service, judge } = run;
  judge.watch(keyId);
  const { overlap } = service.abilities;
  const ranOut = overlap === "provider" && mayHaveRunOut(simulator);
  return [
    ...(overlap === "none" ? neverBack(run, keyId) : ranOut ? [] : holdsAccepted(run, keyId)),
    ...retiredOnlyWhenReplaced(simulator, world, keyId, !ranOut),
    ...confirmedOnlyWhenSeen(simulator, service, keyId),
  ];
}

function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

/** A key of the scripted service whose first value was made by hand and is held everywhere. */
function adopt(
  context: EngineContext,
  service: Service,
  keyId: string,
  name: string,
  connectionId: string | null,
): void {
  const { store } = context;
  const { reference, secret } = service.make("by hand", name);
  const versionId = keyId === KEY ? "version-one" : `version-one-of-${name}`;
  const fields = { secret };
  const provider = context.providerOf({ provider: "scripted" });
  store.keys.insert({
    ...NEW_KEY,
    id: keyId,
    name,
    provider: "scripted",
    connectionId,
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
    connectionRevision: connectionId === null ? null : 1,
    ...valueColumns(context, provider, versionId, fields, true),
    issuedAt: context.now(),
    promotedAt: context.now(),
  });
  for (const to of ["kv", "one"]) {
    const destination = store.destinations.find(to);
    if (!destination) throw new Error("no destination");
    store.destinations.link({
      keyId,
      destinationId: destination.id,
      required: true,
      mustAcknowledge: false,
      name,
      target: `${to}:${name}`,
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
 * Whether a service's clock may have run out before the new value was held: `key.at-risk` had gone out, or a machine with a wrong clock
 * could not see it coming.
 */
function mayHaveRunOut(simulator: Simulator): boolean {
  return (
    simulator.skewMs !== 0 ||
    simulator.rows("SELECT 1 FROM event WHERE type = 'key.at-risk' LIMIT 1").length > 0
  );
}

/** Promise 1, by what the service itself accepts. */
function holdsAccepted(run: Run, keyId: string): string[] {
  const key = run.simulator.store.keys.get(keyId);
  if (key?.state !== "active") return [];
  const versions = run.simulator.store.versions.ofKey(key.id);
  if (versions.some(({ endReason }) => endReason === "revoked" || endReason === "compromised")) return [];
  return findUnserved(run, keyId);
}

/** Places that hold a value which the service does not accept. */
function findUnserved({ simulator, world, service }: Run, keyId: string): string[] {
  return simulator.store.destinations.linksOfKey(keyId).flatMap((link) => {
    const value = heldBy(simulator, world, link);
    return value === undefined || service.accepts(value)
      ? []
      : [`promise 1: ${link.target} holds a dead value`];
  });
}

const newest = new WeakMap<Run, Map<string, number>>();

/** Without overlap there is no way back: no place gets a dead value in exchange for a newer one. */
function neverBack(run: Run, keyId: string): string[] {
  const { simulator, world, service } = run;
  const known = newest.get(run) ?? new Map<string, number>();
  newest.set(run, known);
  return simulator.store.destinations.linksOfKey(keyId).flatMap((link) => {
    const value = heldBy(simulator, world, link);
    const age = service.credentials.findIndex(({ secret }) => secret === value);
    const before = known.get(link.target) ?? -1;
    known.set(link.target, Math.max(age, before));
    return value !== undefined && age < before && !service.accepts(value)
      ? [`promise 1: ${link.target} went back to a dead value`]
      : [];
  });
}

/** Promise 4: what lives at the service is known here, and what is known to live here lives there. */
function nothingUnknown({ simulator, service, keyIds }: Run): string[] {
  const versions = keyIds.flatMap((keyId) => simulator.store.versions.ofKey(keyId));
  const known = new Set(versions.filter((version) => !isDead(version)).map((version) => version.reference));
  const live = service.live();
  const orphans = live.filter((reference) => !known.has(reference));
  // Each of these tells somebody of one credential, and excuses no other.
  const told =
    keyIds.filter((keyId) => simulator.store.rotations.live(keyId)?.state === "needs-human").length +
    versions.filter((version) => version.stage === "lost").length +
    countGivenUp(simulator);
  const visible = told > 0;
  // A mint that only a person can settle may have started the service's own clock, which said so.
  const mayHaveEnded = visible && service.abilities.overlap === "provider" && mayHaveRunOut(simulator);
  const missing = mayHaveEnded
    ? []
    : [...known].filter((reference) => reference !== null && !live.includes(reference));
  return [
    ...(orphans.length > told ? [`promise 4: ${orphans.join(", ")} lives at the service, unknown here`] : []),
    ...(missing.length > 0 ? [`promise 4: ${missing.join(", ")} is thought to live and is dead`] : []),
  ];
}

/** Versions on whose revocation a person gave up: they count as over, unconfirmed, and the history says who decided. */
function countGivenUp(simulator: Simulator): number {
  return simulator.rows(
    "SELECT 1 FROM event WHERE type = 'key.revoked' AND json_extract(data, '$.abandoned') IS NOT NULL",
  ).length;
}

/**
 * Gives every key of a scene a policy. The API would refuse conditions that nobody can see at an outside service; the engine does not ask
 * who looks.
 */
export function givePolicy({ simulator, keyIds }: Run, policy: Policy): void {
  simulator.act(({ store }) => {
    for (const keyId of keyIds) {
      const key = store.keys.get(keyId);
      if (key) store.keys.update(key, { policy });
    }
  });
}

/** Starts a rotation of the first key by hand. */
export function rotate(context: EngineContext): void {
  rotateKey(context, KEY);
}

/** Starts a rotation by hand. */
export function rotateKey(context: EngineContext, keyId: string): void {
  const key = context.store.keys.get(keyId);
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
  const { simulator, world, service, judge } = run;
  return [
    ...simulator.bugs.map((bug) => `bug: ${bug instanceof Error ? bug.stack : String(bug)}`),
    ...new Set([...simulator.broken, ...service.broken, ...world.broken, ...judge.broken]),
    ...run.keyIds.flatMap((keyId) => findBrokenOf(run, keyId)),
    ...nothingUnknown(run),
    ...chainHolds(simulator),
  ];
}

function findBrokenOf(run: Run, keyId: string): string[] {
  const { simulator, world, service } = run;
  const rotation = simulator.store.rotations.list(keyId, "", 1)[0];
  const waits = rotation?.live && rotation.state !== "needs-human" ? [`still live at ${rotation.step}`] : [];
  // A service that cannot revoke leaves what a person revoked visible, on its daily retry.
  const cannotRevoke = service.abilities.overlap === "none";
  const stuck = simulator.store.versions
    .ofKey(keyId)
    .filter(
      (version) =>
        (version.stage === "revoking" && !cannotRevoke) || (version.stage === "pending" && !rotation?.live),
    )
    .map((version) => `version ${version.number} is still ${version.stage}`);
  // What a clock that is behind ends, it ends late; one that is held is looked at again once a day.
  const overdue = simulator.now + Math.min(0, simulator.skewMs) - HOUR_MS;
  const overstays = simulator.store.versions
    .ofKey(keyId)
    .filter(({ stage, graceEndsAt }) => stage === "previous" && (graceEndsAt ?? 0) < overdue)
    .map((version) => `version ${version.number} is in a grace that is long over`);
  // However it went, emergencies and revocations included: while there is a current value, it, or one in grace, is everywhere.
  const isServed = !rotation?.live && simulator.store.versions.current(keyId) !== undefined;
  const unserved = isServed ? findUnserved(run, keyId) : [];
  const isValueOf: IsValueOf = ({ reference }, value) =>
    service.credentials.some((one) => one.reference === reference && one.secret === value);
  return [
    ...waits,
    ...stuck,
    ...overstays,
    ...unserved,
    ...sendsArrived(simulator, world, keyId, isValueOf, ({ number }) => number > 1),
  ];
}
