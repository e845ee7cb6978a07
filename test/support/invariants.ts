/** What must hold of a keyring's tables between any two commits. */
import { type DueKind, laneOf } from "../../src/store/due.ts";
import type { KeyRow } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { isDead } from "../../src/store/versions.ts";

/** Tables whose rows are work, and the kind of their entries in the queue. */
const OWNERS = {
  rotation: "rotation",
  version: "version",
  delivery: "delivery",
  idempotency: "idempotency",
  edgeRecord: "edge",
  claim: "claim",
  subscription: "subscription",
  chore: "chore",
  compromise: "compromise",
  policy: "policy",
  batch: "batch",
  key: "start",
} as const satisfies Record<string, DueKind>;
const URGENT = ["rotation", "version", "delivery"];

/** Sentences about what does not hold; empty when all is well. */
export function findDisagreements(store: Store, state: DurableObjectState): string[] {
  const found = findQueueDisagreements(state);
  for (const key of store.keys.select("")) found.push(...findKeyDisagreements(store, key));
  return found;
}

/** Every row's dueAt has exactly one entry in the queue, in its own lane, and there is no other entry. */
export function findQueueDisagreements(state: DurableObjectState): string[] {
  const sql = state.storage.sql;
  const wanted = Object.entries(OWNERS).flatMap(([table, kind]) => {
    const urgent = URGENT.includes(table) ? "urgent" : "0 AS urgent";
    return sql
      .exec<{ id: string; dueAt: number; urgent: number }>(
        `SELECT id, dueAt, ${urgent} FROM ${table} WHERE dueAt IS NOT NULL`,
      )
      .toArray()
      .map((row) => [laneOf(kind, row.urgent === 1), row.dueAt, kind, row.id].join(" "));
  });
  const queued = sql
    .exec<{ lane: number; at: number; kind: string; id: string }>("SELECT * FROM due")
    .toArray()
    .map((row) => [row.lane, row.at, row.kind, row.id].join(" "));
  return [
    ...wanted.filter((entry) => !queued.includes(entry)).map((entry) => `not in the queue: ${entry}`),
    ...queued.filter((entry) => !wanted.includes(entry)).map((entry) => `without an owner: ${entry}`),
  ];
}

function findKeyDisagreements(store: Store, key: KeyRow): string[] {
  const versions = store.versions.ofKey(key.id);
  const live = store.rotations.select("WHERE keyId = ? AND live = 1", key.id);
  const currents = versions.filter((version) => version.stage === "current");
  const pendings = versions.filter((version) => version.stage === "pending");
  const claims: [boolean, string][] = [
    [live.length <= 1, "more than one live rotation"],
    [currents.length <= 1, "more than one current version"],
    [
      pendings.every(({ number }) => live[0]?.toVersion === number),
      "a pending version that no live rotation made",
    ],
    [live.length === 0 || key.dueAt === null, "scheduled to start while a rotation is live"],
    [live.every(({ step }) => step !== "done"), "a live rotation that is done"],
    [live.every(({ dueAt }) => dueAt !== null), "a live rotation that nothing will wake"],
    [
      versions.every((version) => !isDead(version) || version.sealed === null),
      "a dead version with its value",
    ],
    [
      versions.every((version) => !isDead(version) || version.dueAt === null),
      "a dead version with work left",
    ],
    [
      versions.every(({ stage, dueAt }) => (stage !== "previous" && stage !== "revoking") || dueAt !== null),
      "an old version that nothing will end",
    ],
    [key.state !== "deleted" || versions.every(isDead), "deleted while a version is alive"],
  ];
  return claims.filter(([holds]) => !holds).map(([, problem]) => `${key.name}: ${problem}`);
}
