/** A shared policy on its way to the keys that have it. Inside the caller's transaction. */
import type { KeyRow, Policy } from "../store/keys.ts";
import type { PolicyRow } from "../store/policies.ts";
import { reschedule } from "./changes.ts";
import type { EngineContext } from "./context.ts";
import { replanGraces } from "./graces.ts";

/** Keys that take over a policy in one commit. */
const KEYS_AT_ONCE = 500;

/** Changes a shared policy; its keys follow from now on, in the order of their ids. */
export function changePolicy(context: EngineContext, row: PolicyRow, policy: Policy): PolicyRow {
  const changed = context.store.policies.update(row, { policy, appliedTo: "", dueAt: context.now() });
  return applyPolicy(context, changed);
}

/** Gives the next keys the present policy and plans them anew. */
export function applyPolicy(context: EngineContext, row: PolicyRow): PolicyRow {
  const { store } = context;
  const keys = store.keys.withPolicy(row.id, row.appliedTo ?? "", KEYS_AT_ONCE);
  for (const key of keys) takeOver(context, key, row);
  const last = keys.at(-1);
  return store.policies.update(
    row,
    last && keys.length === KEYS_AT_ONCE
      ? { appliedTo: last.id, dueAt: context.now() }
      : { appliedTo: null, dueAt: null },
  );
}

function takeOver(context: EngineContext, key: KeyRow, { policy }: PolicyRow): void {
  replanGraces(context, context.store.keys.update(key, { policy }));
  if (key.state === "active" || key.state === "pending") reschedule(context, key.id);
}
