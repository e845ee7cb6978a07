/**
 * The promises of the engine as checks over the database and the world, run after every commit. Each returns what is broken, in
 * words; an empty list is a kept promise.
 */

import { kvNameOf } from "../../src/destinations/kv.ts";
import { verifyChain } from "../../src/events/chain.ts";
import { lookUp } from "../../src/issuer/verify.ts";
import { openFields } from "../../src/rotation/values.ts";
import type { KeyDestinationRow } from "../../src/store/destinations.ts";
import type { KeyRow } from "../../src/store/keys.ts";
import type { EndReason, VersionRow } from "../../src/store/versions.ts";
import { workDue } from "../support/queue.ts";
import type { Simulator } from "./simulator.ts";
import type { World } from "./world.ts";

/** What a destination holds for a key, in truth. */
export function heldBy(simulator: Simulator, world: World, link: KeyDestinationRow): string | undefined {
  const row = simulator.store.destinations.get(link.destinationId);
  if (!row) return undefined;
  if (row.type === "kv") return world.stored.get(kvNameOf("default", link.name));
  return world.received.get(`${new URL(String(row.config.url)).host}/${link.name}`)?.value;
}

/** Promise 1: a required destination that was served once holds a value that is accepted. */
export function servedHoldsAccepted(simulator: Simulator, world: World): string[] {
  return activeKeys(simulator).flatMap((key) =>
    simulator.store.destinations
      .linksOfKey(key.id)
      .filter((link) => link.required)
      .flatMap((link) => {
        const value = heldBy(simulator, world, link);
        if (value === undefined) return [];
        const { code } = lookUp(
          simulator.store,
          simulator.context.identity.code,
          simulator.context.vault,
          value,
          simulator.now,
        );
        return code === "valid" ? [] : [`promise 1: ${link.name} holds a value that is ${code}`];
      }),
  );
}

/** Promise 2: an old value is retired only when its successor is held everywhere it is required, and its grace is over. */
export function retiredOnlyWhenReplaced(simulator: Simulator, world: World): string[] {
  const { providerOf } = simulator.context;
  const keys = activeKeys(simulator).filter((key) => providerOf(key.provider).overlap !== "none");
  return keys.flatMap((key) => {
    const versions = simulator.store.versions.ofKey(key.id);
    const retired = versions.filter(
      (version) =>
        version.endReason === "rotated" && (version.stage === "revoking" || version.stage === "revoked"),
    );
    const early = retired.filter((version) => (version.graceEndsAt ?? Infinity) > simulator.now);
    const unheld = retired.filter((version) =>
      simulator.store.destinations
        .linksOfKey(key.id)
        .filter((link) => link.required)
        .some((link) => heldBy(simulator, world, link) === rememberedValue(simulator, version)),
    );
    return [
      ...early.map((version) => `promise 2: version ${version.number} was retired before its grace ended`),
      ...unheld.map(
        (version) => `promise 2: version ${version.number} was retired while a destination still holds it`,
      ),
    ];
  });
}

/** Promise 3: one live rotation and one current version at most. */
export function oneOfEach(simulator: Simulator): string[] {
  return simulator.store.keys.list({}, "", 1_000).flatMap((key) => {
    const versions = simulator.store.versions.ofKey(key.id);
    const current = versions.filter((version) => version.stage === "current").length;
    const live = simulator.store.rotations.list(key.id, "", 1_000).filter((rotation) => rotation.live).length;
    return [
      ...(current > 1 ? [`promise 3: ${current} current versions`] : []),
      ...(live > 1 ? [`promise 3: ${live} live rotations`] : []),
      ...(current === 0 && key.state === "active" && !wasRevoked(versions)
        ? ["promise 3: no current version"]
        : []),
    ];
  });
}

/** Promise 8: whatever counts as dead is on record outside of the database, so that no restore brings it back. */
export function deadAreAnchored(simulator: Simulator): string[] {
  const { store } = simulator;
  const head = store.events.head()?.seq ?? 0;
  const gone = store.keys
    .list({}, "", 1_000)
    .flatMap((key) => store.versions.ofKey(key.id))
    .filter(({ stage, confirmed }) => (stage === "revoked" || stage === "discarded") && confirmed);
  return [
    ...gone
      .filter(({ id }) => !simulator.dead.has(id))
      .map(({ number }) => `promise 8: version ${number} is called dead and nobody else knows`),
    ...(simulator.anchor.seq > head ? ["promise 7: the anchor is ahead of the history"] : []),
  ];
}

/** Promise 7: the chain of the history verifies. */
export function chainHolds(simulator: Simulator): string[] {
  const report = verifyChain(simulator.store.events);
  return report.ok ? [] : [`promise 7: the chain is broken at ${report.brokenAt}`];
}

/** The queue and the rows it points to agree. */
export function queueAgrees(simulator: Simulator): string[] {
  const { store } = simulator;
  const entries = [...workDue(store.due, Infinity, 10_000), ...store.due.startsDue(Infinity, 10_000)];
  const tables = {
    rotation: store.rotations,
    version: store.versions,
    delivery: store.deliveries,
    start: store.keys,
    policy: store.policies,
  };
  return entries.flatMap(({ kind, id, at }) => {
    if (kind === "idempotency") return [];
    const row = tables[kind].get(id);
    return row?.dueAt === at
      ? []
      : [`the queue says ${kind} ${id} is due at ${at}, its row says ${row?.dueAt}`];
  });
}

/** What must be true when nothing is under way any more. */
export function atRest(simulator: Simulator): string[] {
  const { store } = simulator;
  return store.keys.list({}, "", 1_000).flatMap((key) => {
    const stuck = store.versions.ofKey(key.id).filter((v) => v.stage === "pending" || v.stage === "revoking");
    const live = store.rotations.live(key.id);
    return [
      ...(live ? [`at rest: rotation at ${live.step} is still ${live.state}: ${live.problem}`] : []),
      ...stuck.map((version) => `at rest: version ${version.number} is still ${version.stage}`),
    ];
  });
}

function activeKeys(simulator: Simulator): KeyRow[] {
  return simulator.store.keys
    .list({ state: "active" }, "", 1_000)
    .filter((key) => !wasRevoked(simulator.store.versions.ofKey(key.id)));
}

/** What a person or an emergency ends is aside from promises 1 to 3. */
const ASIDE: EndReason[] = ["revoked", "deleted", "compromised"];

function wasRevoked(versions: readonly VersionRow[]): boolean {
  return versions.some(({ endReason }) => endReason !== null && ASIDE.includes(endReason));
}

const values = new WeakMap<Simulator, Map<string, string>>();

/** The value of a version, remembered from when it was still kept. */
function rememberedValue(simulator: Simulator, version: VersionRow): string | undefined {
  const known = values.get(simulator) ?? new Map<string, string>();
  values.set(simulator, known);
  if (version.sealed) {
    const fields = openFields(simulator.context, version);
    if (fields) known.set(version.id, fields.secret);
  }
  return known.get(version.id);
}
