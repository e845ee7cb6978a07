/**
 * The promises of the engine as checks over the database and the world, run after every commit. Each returns what is broken, in
 * words; an empty list is a kept promise.
 */

import { kvNameOf } from "../../src/destinations/kv.ts";
import type { EventType } from "../../src/events/catalogue.ts";
import { verifyChain } from "../../src/events/chain.ts";
import { lookUp } from "../../src/issuer/verify.ts";
import { openFields } from "../../src/rotation/values.ts";
import type { KeyDestinationRow } from "../../src/store/destinations.ts";
import type { KeyRow } from "../../src/store/keys.ts";
import type { EndReason, VersionRow } from "../../src/store/versions.ts";
import type { Service } from "./service.ts";
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

/**
 * Promise 2: an old value is retired only when its successor is held everywhere it is required, and its grace is over.
 * @param looksAtPlaces false once a service's own clock may have run out before the successor was held
 */
export function retiredOnlyWhenReplaced(
  simulator: Simulator,
  world: World,
  keyId: string,
  looksAtPlaces = true,
): string[] {
  const { providerOf } = simulator.context;
  const key = simulator.store.keys.get(keyId);
  if (key?.state !== "active" || providerOf(key).overlap === "none") return [];
  const versions = simulator.store.versions.ofKey(keyId);
  if (wasRevoked(versions)) return [];
  const retired = versions.filter(
    (version) =>
      version.endReason === "rotated" && (version.stage === "revoking" || version.stage === "revoked"),
  );
  const links = simulator.store.destinations.linksOfKey(keyId).filter((link) => link.required);
  // Who ends a grace does so by this keyring's clock.
  const early = retired.filter(
    (version) => (version.graceEndsAt ?? Infinity) > simulator.now && !isFinished(simulator, version),
  );
  const unheld = (looksAtPlaces ? retired : []).filter((version) =>
    links.some((link) => heldBy(simulator, world, link) === rememberedValue(simulator, version)),
  );
  return [
    ...early.map((version) => `promise 2: version ${version.number} was retired before its grace ended`),
    ...unheld.map(
      (version) => `promise 2: version ${version.number} was retired while a destination still holds it`,
    ),
  ];
}

/** Whether an event says something of a version. */
export function isSaid(
  { store }: Simulator,
  { keyId, number }: VersionRow,
  type: EventType,
  more: Record<string, unknown> = {},
): boolean {
  const { rows } = store.events.page({ type, keyId }, Infinity, 100);
  const wanted = Object.entries({ version: number, ...more });
  return rows.some(({ data }) => {
    const said = JSON.parse(data) as Record<string, unknown>;
    return wanted.every(([name, value]) => said[name] === value);
  });
}

/** Whether a person ended its grace. */
export function isFinished(simulator: Simulator, version: VersionRow): boolean {
  return isSaid(simulator, version, "key.grace.finished");
}

/** What a person or an emergency ends is aside from promises 1 to 3. */
const ASIDE: EndReason[] = ["revoked", "deleted", "compromised"];

const COUNTS = `
  SELECT state,
    (SELECT COUNT(*) FROM version WHERE keyId = key.id AND stage = 'current') AS current,
    (SELECT COUNT(*) FROM rotation WHERE keyId = key.id AND live = 1) AS live,
    (SELECT COUNT(*) FROM version WHERE keyId = key.id AND endReason IN ('${ASIDE.join("', '")}')) AS ended
  FROM key WHERE state <> 'deleted'`;

/** Promise 3: one live rotation and one current version at most. */
export function oneOfEach(simulator: Simulator): string[] {
  type Counts = { state: string; current: number; live: number; ended: number };
  return simulator
    .rows<Counts>(COUNTS)
    .flatMap(({ state, current, live, ended }) => [
      ...(current > 1 ? [`promise 3: ${current} current versions`] : []),
      ...(live > 1 ? [`promise 3: ${live} live rotations`] : []),
      ...(current === 0 && state === "active" && ended === 0 ? ["promise 3: no current version"] : []),
    ]);
}

/**
 * Promise 5: what counts as confirmed is dead at the service, and the service was heard to say so: it rejected the value, or, where that
 * cannot be tested, it no longer listed it.
 */
export function confirmedOnlyWhenSeen(simulator: Simulator, service: Service, keyId: string): string[] {
  const { seenDead, abilities } = service;
  const confirmed = simulator.store.versions
    .ofKey(keyId)
    .filter(({ stage, confirmed }) => confirmed && (stage === "revoked" || stage === "discarded"));
  return confirmed.flatMap(({ number, reference, fingerprint }) => {
    const name = reference ?? "";
    // A value that never reached us, or reached us no more, cannot be tested.
    const isTestable = abilities.test !== false && fingerprint !== null;
    const isSeen = seenDead.rejected.has(name) || (!isTestable && seenDead.unlisted.has(name));
    return [
      ...(service.live().includes(name) ? [`promise 5: version ${number} is called dead and lives`] : []),
      ...(isSeen ? [] : [`promise 5: version ${number} is called dead and nobody saw that`]),
    ];
  });
}

/** Promise 8: whatever counts as dead is on record outside of the database, so that no restore brings it back. */
export function deadAreAnchored(simulator: Simulator): string[] {
  const { store } = simulator;
  const head = store.events.head()?.seq ?? 0;
  const gone = simulator.rows<{ id: string; number: number }>(
    "SELECT id, number FROM version WHERE confirmed = 1 AND stage IN ('revoked', 'discarded')",
  );
  return [
    ...gone
      .filter(({ id }) => !simulator.dead.has(id))
      .map(({ number }) => `promise 8: version ${number} is called dead and nobody else knows`),
    ...(simulator.anchor.seq > head ? ["promise 7: the anchor is ahead of the history"] : []),
  ];
}

/** Promise 7: the chain of the history verifies. */
export function chainHolds(simulator: Simulator): string[] {
  const report = verifyChain(simulator.store);
  return report.ok ? [] : [`promise 7: the chain is broken at ${report.brokenAt}`];
}

/** Each table of work: its kind in the queue, its lane there, and where its rows may not rest without a due time. */
const WORK = [
  { kind: "rotation", table: "rotation", lane: "IIF(urgent, 2, 0)", works: "live = 1" },
  {
    kind: "version",
    table: "version",
    lane: "IIF(urgent, 2, 3)",
    works: "stage IN ('previous', 'revoking')",
  },
  { kind: "delivery", table: "delivery", lane: "IIF(urgent, 2, 4)", works: "state = 'pending'" },
  { kind: "start", table: "key", lane: "1", works: "FALSE" },
  { kind: "idempotency", table: "idempotency", lane: "0", works: "TRUE" },
  { kind: "claim", table: "claim", lane: "0", works: "TRUE" },
  { kind: "policy", table: "policy", lane: "0", works: "appliedTo IS NOT NULL" },
  { kind: "batch", table: "batch", lane: "7", works: "state = 'running'" },
  { kind: "chore", table: "chore", lane: "5", works: "FALSE" },
  { kind: "subscription", table: "subscription", lane: "5", works: "leaseUntil IS NOT NULL" },
  { kind: "edge", table: "edgeRecord", lane: "6", works: "FALSE" },
  {
    kind: "compromise",
    table: "compromise",
    lane: "8",
    works: "actedTo < leaks OR (alert IS NOT NULL AND problem IS NULL)",
  },
] as const;

const OWNERS = WORK.map(
  ({ kind, table, lane }) =>
    `SELECT ${lane} AS lane, dueAt AS at, '${kind}' AS kind, id FROM ${table} WHERE dueAt IS NOT NULL`,
).join(" UNION ALL ");
const ENTRIES = "SELECT lane, at, kind, id FROM due";
const IDLE = WORK.map(
  ({ kind, table, works }) => `SELECT '${kind}' AS kind, id FROM ${table} WHERE dueAt IS NULL AND (${works})`,
).join(" UNION ALL ");

interface Entry {
  kind: string;
  id: string;
}

/** Each row that is due has its one entry in the queue, in its lane; each entry has its row; what is under way is due at some time. */
export function queueAgrees(simulator: Simulator): string[] {
  const say = (rows: readonly Entry[], what: string) => rows.map(({ kind, id }) => `${what}: ${kind} ${id}`);
  return [
    ...say(simulator.rows<Entry>(`${OWNERS} EXCEPT ${ENTRIES}`), "due and not in the queue"),
    ...say(simulator.rows<Entry>(`${ENTRIES} EXCEPT SELECT * FROM (${OWNERS})`), "in the queue and not due"),
    ...say(simulator.rows<Entry>(IDLE), "under way and never due"),
  ];
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
