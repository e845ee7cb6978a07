/**
 * What cron starts: keys past their age, of which a person is reminded where only a person can replace them, unless a hold, a freeze, a window or a limit says not now. Inside one transaction; whoever
 * calls this pumps afterwards. Emergencies and rotations by hand never come by here.
 */
import type { KeyRow } from "../store/keys.ts";
import type { Limits } from "../store/settings.ts";
import { askForValue } from "./asking.ts";
import { startRotation } from "./changes.ts";
import type { EngineContext } from "./context.ts";
import { catchUpAt, nextStartAt, type Outage } from "./policy.ts";

/** A key whose connection is at its limit is looked at again after this long, and up to as long again. */
const CROWDED_MS = 5 * 60_000;

/** What came of looking for rotations to start. */
export interface Started {
  count: number;
  /** False when a hold or the keyring's limit keeps the rest waiting, whatever is due. */
  goesOn: boolean;
}

/**
 * Starts what is due.
 * @param limit the most that one call looks at
 * @param outage when cron did not come, if it did not lately
 */
export function startScheduled(context: EngineContext, limit: number, outage: Outage | null): Started {
  const { store } = context;
  const now = context.now();
  if (store.settings.hold(now) || store.isOnHold()) return { count: 0, goesOn: false };
  const limits = store.settings.limits();
  const room = limits.rotations === undefined ? limit : limits.rotations - store.rotations.countMoving();
  if (room <= 0) return { count: 0, goesOn: false };
  const outages = [outage, store.settings.lastHold()].filter((one) => one !== null);
  const isFull = crowdOf(context, limits);
  let count = 0;
  for (const entry of store.due.startsDue(now, limit)) {
    if (count >= room) return { count, goesOn: false };
    const key = store.keys.get(entry.id);
    if (!key) continue;
    if (store.rotations.live(key.id)) {
      store.keys.update(key, { dueAt: null });
      continue;
    }
    const current = store.versions.current(key.id);
    const runbook = context.providerOf(key).runbook?.(key.config);
    const at = nextStartAt(key, current, now);
    const later = at === now ? catchUpAt(key, current, entry.at, outages) : null;
    if (later !== null && later > now) {
      store.keys.update(key, { dueAt: later });
    } else if (at !== now) {
      store.keys.update(key, { dueAt: at });
    } else if (runbook) {
      askForValue(context, key, runbook);
    } else if (isFull(key)) {
      store.keys.update(key, { dueAt: now + CROWDED_MS + (entry.at % CROWDED_MS) });
    } else {
      const request = { trigger: "schedule", reason: null, requestedBy: "cron", grace: null } as const;
      startRotation(context, key, request);
      count += 1;
    }
  }
  return { count, goesOn: true };
}

/** Says whether a key's connection has as many live rotations as it may, those included that were just started. */
function crowdOf({ store }: EngineContext, { rotationsPerConnection: most }: Limits) {
  return ({ connectionId }: KeyRow): boolean =>
    most !== undefined &&
    connectionId !== null &&
    store.rotations.liveOnConnection(connectionId).length >= most;
}
