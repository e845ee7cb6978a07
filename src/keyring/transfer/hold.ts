/**
 * What was under way in an imported keyring is on hold: its entries of the queue stand in a table of their own until root says that this is
 * the deployment that goes on. What a person does to a key meanwhile is done.
 */
import { wakeBatches } from "../../rotation/batch-ends.ts";
import { reschedule } from "../../rotation/changes.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { replanGraces } from "../../rotation/graces.ts";
import type { Sql } from "../../store/sql.ts";
import { isDead } from "../../store/versions.ts";

/** Kinds of work that change values or call somebody, and the tables of their rows. */
const HELD_KINDS = {
  start: "key",
  version: "version",
  rotation: "rotation",
  delivery: "delivery",
  subscription: "subscription",
  chore: "chore",
  policy: "policy",
  batch: "batch",
  compromise: "compromise",
} as const;

/** Tables whose rows no worker claims. */
const UNCLAIMED: readonly string[] = ["key", "chore", "policy", "batch"];

type HeldKind = keyof typeof HELD_KINDS;

const NOTE =
  "it was live when the file was made: cancel it if it went on elsewhere; it goes on here once the keyring is released";

/** Rows that one call lets go. */
const RELEASED_AT_ONCE = 1_000;

export function isHeldKind(kind: unknown): kind is HeldKind {
  return typeof kind === "string" && Object.hasOwn(HELD_KINDS, kind);
}

/** Puts everything on hold, inside the transaction that brings the rows: no worker holds any of them, and none is due. */
export function holdAll(sql: Sql): void {
  for (const [kind, table] of Object.entries(HELD_KINDS)) {
    sql.all(
      `INSERT OR REPLACE INTO held (kind, id, at) SELECT ?, id, dueAt FROM ${table} WHERE dueAt IS NOT NULL`,
      kind,
    );
    const lease = UNCLAIMED.includes(table) ? "" : ", leaseUntil = NULL, claim = claim + 1";
    sql.all(`UPDATE ${table} SET dueAt = NULL${lease}`);
  }
  sql.all("UPDATE rotation SET state = 'needs-attention', problem = ? WHERE live = 1", NOTE);
}

/** Entries that are on hold. */
export function countHeld(sql: Sql): number {
  return sql.all<{ count: number }>("SELECT count(*) AS count FROM held")[0]?.count ?? 0;
}

/** Lets some of what is on hold go on, each at its time or now. What somebody has dealt with meanwhile is left as it is. */
export function releaseSome(context: EngineContext, sql: Sql): { released: number; left: number } {
  const rows = sql.all<{ kind: HeldKind; id: string; at: number }>(
    "SELECT kind, id, at FROM held ORDER BY kind, id LIMIT ?",
    RELEASED_AT_ONCE,
  );
  const before = countHeld(sql);
  let released = 0;
  for (const { kind, id, at } of rows) {
    if (letGo(context, kind, id, at)) released += 1;
    sql.all("DELETE FROM held WHERE kind = ? AND id = ?", kind, id);
  }
  const left = before - rows.length;
  if (rows.length > 0 && left === 0) {
    record(context, { type: "keyring.released", actor: "root" });
    // Those that were let go before the last of the rest have found the keyring on hold still.
    wakeBatches(context);
  }
  return { released, left };
}

/** Whether a row took its time back: what is over needs none, and what has one was dealt with. */
function letGo(context: EngineContext, kind: HeldKind, id: string, dueAt: number): boolean {
  const { store } = context;
  switch (kind) {
    case "start":
      reschedule(context, id);
      return store.keys.get(id)?.dueAt !== null;
    case "version": {
      const row = store.versions.get(id);
      if (!row || row.dueAt !== null || isDead(row)) return false;
      store.versions.update(row, { dueAt });
      const key = store.keys.get(row.keyId);
      // Its policy may be another one than when it was put on hold.
      if (key) replanGraces(context, key);
      return true;
    }
    case "rotation": {
      const row = store.rotations.get(id);
      if (!row?.live || row.dueAt !== null) return false;
      store.rotations.update(row, { dueAt });
      return true;
    }
    case "subscription": {
      const row = store.subscriptions.get(id);
      if (!row || row.dueAt !== null || row.state === "disabled") return false;
      store.subscriptions.update(row, { dueAt });
      return true;
    }
    case "chore":
      store.chores.set(id, dueAt);
      return true;
    case "policy": {
      const row = store.policies.get(id);
      if (!row || row.dueAt !== null || row.appliedTo === null) return false;
      store.policies.update(row, { dueAt });
      return true;
    }
    case "batch": {
      const row = store.batches.get(id);
      if (row?.state !== "running" || row.dueAt !== null) return false;
      store.batches.update(row, { dueAt });
      return true;
    }
    case "compromise": {
      const row = store.compromises.get(id);
      if (!row || row.dueAt !== null) return false;
      store.compromises.update(row, { dueAt });
      return true;
    }
    case "delivery": {
      const row = store.deliveries.get(id);
      if (!row || row.dueAt !== null || (row.state !== "pending" && row.state !== "failing")) return false;
      store.deliveries.update(row, { dueAt });
      return true;
    }
  }
}
