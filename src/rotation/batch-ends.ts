/** What a rotation tells the batch that it belongs to, in the commit in which that happens. Inside the caller's transaction. */
import type { RotationRow } from "../store/rotations.ts";
import type { EngineContext } from "./context.ts";

/** A rotation of a batch came to its end: it is counted, and the batch looks whether another may start. */
export function countBatchEnd({ store, now }: EngineContext, { batchId, state }: RotationRow): void {
  const row = batchId === null ? undefined : store.batches.get(batchId);
  if (!row) return;
  const hasSucceeded = state === "succeeded";
  store.batches.update(row, {
    ...(hasSucceeded ? { succeeded: row.succeeded + 1 } : { failed: row.failed + 1 }),
    failedInRow: hasSucceeded ? 0 : row.failedInRow + 1,
    ...(row.state === "running" && { dueAt: now() }),
  });
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
