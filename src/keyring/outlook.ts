/** What a rotation means for who asked: which key it is, how long the old value lives, what is held back. */
import type { Overlap } from "../providers/provider.ts";
import type { EngineContext } from "../rotation/context.ts";
import { graceMs } from "../rotation/policy.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { Stage } from "../store/versions.ts";
import { isoOf } from "./views.ts";

export interface Outlook {
  key: { id: string; name: string; provider: string };
  /** Who ends the old value: Rekey, the service, or the mint of the new one. */
  overlap: Overlap;
  /** Set after a rotation by hand: what a thief would want is held back until then. */
  cooldownUntil: string | null;
  /** The grace that the rotation gives the old value, where it is given one. */
  graceSeconds: number;
  /** The value that is replaced; null where there was none. */
  old: { version: number; stage: Stage; endsAt: string | null } | null;
}

export function viewOutlook(context: EngineContext, row: RotationRow): Outlook {
  const { store } = context;
  const key = store.keys.get(row.keyId);
  if (!key) throw new Error("a key vanished");
  const { id, name, provider, cooldownUntil, policy } = key;
  const old = row.fromVersion === null ? undefined : store.versions.byNumber(id, row.fromVersion);
  return {
    key: { id, name, provider },
    overlap: context.providerOf(key).overlap,
    cooldownUntil: isoOf(cooldownUntil),
    graceSeconds: graceMs(policy, row.grace) / 1_000,
    old: old
      ? {
          version: old.number,
          stage: old.stage,
          endsAt: isoOf(old.graceEndsAt ?? old.revokedAt ?? row.oldEndsAt),
        }
      : null,
  };
}
