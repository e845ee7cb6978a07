/**
 * Batches: the rotations of many keys, a few at a time. Each commit looks at some keys, starts what may start and keeps how far it has
 * come, so that a crash repeats nothing and loses nothing. Inside the caller's transaction; no calls.
 */

import { newId } from "../ids.ts";
import type { BatchRow, Share, Skipped } from "../store/batches.ts";
import { LANES } from "../store/due.ts";
import type { KeySelection } from "../store/keys.ts";
import { BatchRound } from "./batch-round.ts";
import { type EngineContext, record } from "./context.ts";

/** It is woken by each end of its rotations; this is for what nothing wakes it for. */
const LOOKED_AT_AGAIN_MS = 15 * 60_000;
/** An emergency waits for a place: that is over in a moment. */
const EMERGENCY_MS = 1_000;
/** So many failures without one success are no accident of a few keys: a person has a look first. */
export const FAILED_IN_ROW = 20;

/** What somebody asked for. */
export interface NewBatch {
  selection: KeySelection;
  grace: string | null;
  reason: string;
  requestedBy: string;
}

/** Makes a batch and starts the first of its rotations. */
export function createBatch(context: EngineContext, { selection, ...asked }: NewBatch): BatchRow {
  const { store, random } = context;
  const now = context.now();
  const shares = sharesOf(context, selection);
  const openers = store.keys.openersIn(selection).map(({ id }) => id);
  const row = store.batches.insert({
    ...asked,
    id: newId("bat", now, random),
    selection,
    state: "running",
    shares,
    openers,
    waiting: openers,
    total: shares.reduce((sum, { total }) => sum + total, 0),
    started: 0,
    joined: 0,
    succeeded: 0,
    failed: 0,
    failedInRow: 0,
    skipped: {},
    paceFrom: { at: now, ended: 0 },
    waitsFor: null,
    problem: null,
    createdAt: now,
    endedAt: null,
    dueAt: now,
  });
  const { provider = null, connectionId = null, label } = selection;
  announce(context, "batch.started", row, asked.requestedBy, {
    reason: row.reason,
    provider,
    connectionId,
    label: label ? `${label.name}=${label.value}` : null,
  });
  return advanceBatch(context, row);
}

/** The keys of a selection, each account's by themselves. */
export function sharesOf({ store }: EngineContext, selection: KeySelection): Share[] {
  return store.keys
    .shares(selection)
    .map(({ count, ...share }) => ({ ...share, total: count, looked: 0, after: "" }));
}

/** Starts what may start now, or ends the batch when nothing is left. */
export function advanceBatch(context: EngineContext, row: BatchRow): BatchRow {
  const { store } = context;
  const now = context.now();
  if (row.state !== "running") return store.batches.update(row, { dueAt: null });
  const disowned = findDisowned(context, row);
  if (disowned) return cancelBatch(context, row, "rekey", disowned);
  if (row.failedInRow >= FAILED_IN_ROW) {
    return pauseBatch(context, row, "rekey", `${row.failedInRow} of its rotations failed one after another`);
  }
  const obstacle = findObstacle(context);
  if (obstacle) return store.batches.update(row, { waitsFor: obstacle.waitsFor, dueAt: obstacle.until });
  const round = new BatchRound(context, row);
  const { isOver, again, ...changes } = round.run();
  if (isOver) return finish(context, { ...row, ...changes }, row);
  return store.batches.update(row, {
    ...changes,
    dueAt: Math.min(again ?? Infinity, now + LOOKED_AT_AGAIN_MS),
  });
}

/** Starts no more until it is resumed. What is live goes on. */
export function pauseBatch(
  context: EngineContext,
  row: BatchRow,
  actor: string,
  problem: string | null = null,
): BatchRow {
  const paused = context.store.batches.update(row, { state: "paused", problem, waitsFor: null, dueAt: null });
  announce(context, "batch.paused", paused, actor, { problem });
  return paused;
}

/** Goes on with what is left. */
export function resumeBatch(context: EngineContext, row: BatchRow, actor: string): BatchRow {
  const now = context.now();
  const resumed = context.store.batches.update(row, {
    state: "running",
    problem: null,
    failedInRow: 0,
    paceFrom: { at: now, ended: row.succeeded + row.failed },
    dueAt: now,
  });
  announce(context, "batch.resumed", resumed, actor);
  return advanceBatch(context, resumed);
}

/** Starts no more, for good. What is live goes on. */
export function cancelBatch(
  context: EngineContext,
  row: BatchRow,
  actor: string,
  problem: string | null = null,
): BatchRow {
  const patch = { state: "cancelled", problem, waitsFor: null, dueAt: null, endedAt: context.now() } as const;
  const cancelled = context.store.batches.update(row, patch);
  announce(context, "batch.cancelled", cancelled, actor, { problem });
  return cancelled;
}

/** What keeps every batch from starting anything, and until when at the latest. Undefined when nothing does. */
export function findObstacle({ store, now }: EngineContext): { waitsFor: string; until: number } | undefined {
  const later = now() + LOOKED_AT_AGAIN_MS;
  if (store.isOnHold()) return { waitsFor: "the release of the imported keyring", until: later };
  const hold = store.settings.hold(now());
  if (hold) {
    const waitsFor = `the end of the hold on rotations (${hold.reason})`;
    return { waitsFor, until: Math.min(hold.until ?? Infinity, later) };
  }
  // They are taken up first, so one that is still due has found no place.
  const urgent = [LANES.reports, LANES.emergencies].map((lane) => store.due.earliestAt(lane) ?? Infinity);
  const emergencyAt = Math.min(...urgent);
  return emergencyAt <= now()
    ? { waitsFor: "an emergency, which goes first", until: now() + EMERGENCY_MS }
    : undefined;
}

/** Why nobody stands behind a batch any more. Undefined while somebody does; root always does. */
function findDisowned({ store, now }: EngineContext, row: BatchRow): string | undefined {
  if (row.requestedBy === "root") return undefined;
  const key = store.keys.get(row.requestedBy);
  if (key?.state !== "active" || (key.expiresAt !== null && key.expiresAt <= now())) {
    return "the access key that asked for it is over";
  }
  // The key itself may live on with a new value: whether its owner asked or a thief is not known.
  return store.versions.hasLeaked(key.id, row.createdAt)
    ? "a value of the access key that asked for it was reported as leaked"
    : undefined;
}

/** The end: every key was looked at, and every rotation is over. Keys that were deleted or changed meanwhile are accounted for. */
function finish(context: EngineContext, round: BatchRow, row: BatchRow): BatchRow {
  const looked = round.started + round.joined + countSkipped(round);
  const gone = round.total - looked;
  const skipped: Record<string, Skipped> =
    gone > 0 ? { ...round.skipped, "not-found": { count: gone, keys: [] } } : round.skipped;
  const done = context.store.batches.update(row, {
    ...round,
    skipped,
    total: Math.max(round.total, looked),
    state: "done",
    waitsFor: null,
    dueAt: null,
    endedAt: context.now(),
  });
  announce(context, "batch.done", done, "rekey");
  return done;
}

/** How many keys were left out, whatever the reason. */
export function countSkipped({ skipped }: Pick<BatchRow, "skipped">): number {
  return Object.values(skipped).reduce((sum, { count }) => sum + count, 0);
}

function announce(
  context: EngineContext,
  type: "batch.started" | "batch.paused" | "batch.resumed" | "batch.cancelled" | "batch.done",
  row: BatchRow,
  actor: string,
  more: Record<string, string | null> = {},
): void {
  const { id, total, started, joined, succeeded, failed } = row;
  const counts = { total, started, joined, skipped: countSkipped(row), succeeded, failed };
  record(context, { type, actor, data: { batchId: id, ...counts, ...more } });
}
