/** What a keyring does when its history turns out to be behind what the registry has on record. */
import { type EngineContext, record } from "../../rotation/context.ts";
import { isDead } from "../../store/versions.ts";
import { revokeVersion } from "./keys.ts";

/** Says once that the history is behind. */
export function reportBehind(context: EngineContext, anchorSeq: number): void {
  const { store } = context;
  const [last] = store.events.page({ type: "chain.broken" }, Number.MAX_SAFE_INTEGER, 1).rows;
  const headSeq = store.events.head()?.seq ?? 0;
  if (last && JSON.parse(last.data).anchorSeq === anchorSeq) return;
  store.transaction(() =>
    record(context, { type: "chain.broken", actor: "rekey", data: { headSeq, anchorSeq } }),
  );
}

/** Accepts the history as it is. Versions that died since are revoked again. Returns how many were thought alive. */
export function reconcile(context: EngineContext, deadIds: readonly string[], anchorSeq: number): number {
  const { store } = context;
  const headSeq = store.events.head()?.seq ?? 0;
  return store.transaction(() => {
    const revived = deadIds
      .map((id) => store.versions.get(id))
      .filter((version) => version !== undefined && !isDead(version));
    for (const version of revived) {
      const key = version && store.keys.get(version.keyId);
      if (key && version) revokeVersion(context, key, version.number);
    }
    record(context, {
      type: "chain.reconciled",
      actor: "root",
      data: { headSeq, anchorSeq, revoked: revived.length },
    });
    return revived.length;
  });
}
