/** What a rotation tells the batch that it belongs to, in the commit in which that happens. Inside the caller's transaction. */
import type { RotationRow } from "../store/rotations.ts";
import type { EngineContext } from "./context.ts";

/**
 * A rotation of a batch came to its end: it is counted, and the batch looks whether another may start. So does the oldest
 * that waits for a place, as nothing else tells it that one is free.
 */
export function countBatchEnd(context: EngineContext, { batchId, state }: RotationRow): void {
  const { store, now } = context;
  const row = batchId === null ? undefined : store.batches.get(batchId);
  if (!row) return;
  const hasSucceeded = state === "succeeded";
  store.batches.update(row, {
    ...(hasSucceeded ? { succeeded: row.succeeded + 1 } : { failed: row.failed + 1 }),
    failedInRow: hasSucceeded ? 0 : row.failedInRow + 1,
    ...(row.state === "running" && { dueAt: now() }),
  });
  for (const { id } of store.batches.waitingForOthers(1)) wakeBatch(context, id);
}

/** A rotation of a batch does not get on by itself, or does again: the batch looks whether another may start. */
export function wakeBatch({ store, now }: EngineContext, batchId: string): void {
  const row = store.batches.get(batchId);
  if (row?.state === "running") store.batches.update(row, { dueAt: now() });
}

/** What kept batches from starting more may be over: all that run look again. */
export function wakeBatches(context: EngineContext): void {
  for (const { id } of context.store.batches.open(MAX_WOKEN)) wakeBatch(context, id);
}

/** The rest wakes by itself within minutes. */
const MAX_WOKEN = 100;
