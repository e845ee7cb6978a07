/** What a keyring does for itself at times of its own: its heartbeat, its health, whether cron still comes, what is too old to keep. */
import { parseDuration } from "../duration.ts";
import type { ChoreRow } from "../store/chores.ts";
import { endOldSecrets } from "./addresses.ts";
import { type EngineContext, record } from "./context.ts";
import { factsOfKeyring, healthOf } from "./health.ts";
import { beginPruning, pruneHistory } from "./pruning.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** Cron comes every five minutes, and the platform may skip some: six in a row are no accident. */
const CRON_MISSING_MS = 30 * MINUTE_MS;
/** Each look at cron is an alarm and a call to the registry. */
const CRON_LOOK_MS = HOUR_MS;

/**
 * Does a chore that is due and sets when it is next. Inside the caller's transaction.
 * @returns whether more is to be done outside of it, which takes a call: see `finishChore`
 */
export function doChore(context: EngineContext, { id }: ChoreRow): boolean {
  const { store } = context;
  const now = context.now();
  switch (id) {
    case "heartbeat": {
      const every = store.settings.heartbeat();
      const health = store.settings.health();
      record(context, { type: "keyring.heartbeat", actor: "rekey", data: { health, every } });
      store.chores.set(id, every === "0" ? null : now + parseDuration(every));
      return false;
    }
    case "health":
      lookAtHealth(context);
      return false;
    case "cron":
      store.chores.set(id, now + CRON_LOOK_MS);
      return true;
    case "prune":
      beginPruning(context);
      return true;
    default:
      endOldSecrets(context, id);
      return false;
  }
}

/** The part of a chore that takes a call. */
export function finishChore(context: EngineContext, { id }: ChoreRow): Promise<void> {
  return id === "prune" ? pruneHistory(context) : askForCron(context);
}

/**
 * Says so when the keyring's health is not what it was, and has it looked at again when a blocked rotation runs out of time. What got
 * better or worse without an event is seen at the next one, or when the sweep comes.
 */
export function lookAtHealth(context: EngineContext): void {
  const { store } = context;
  const now = context.now();
  const { health, reasons } = healthOf(factsOfKeyring(store, now));
  const from = store.settings.health();
  if (health !== from) {
    store.settings.setHealth(health);
    record(context, {
      type: "health.changed",
      actor: "rekey",
      data: { from, to: health, reasons: reasons.join("; ") },
    });
  }
  // At its deadline a rotation acts by itself, so what became of that is seen after it.
  const deadlines = store.rotations.held().map(({ deadlineAt }) => deadlineAt + MINUTE_MS);
  const next = Math.min(Infinity, ...deadlines.filter((at) => at > now));
  store.chores.set("health", next === Infinity ? null : next);
}

/** Sets what a changed heartbeat or subscription asks for. */
export function planHeartbeat({ store, now }: EngineContext, every: string): void {
  store.settings.setHeartbeat(every);
  store.chores.set("heartbeat", every === "0" ? null : now() + parseDuration(every));
}

/** Cron is looked after while there is somebody to tell. */
export function planCronWatch({ store, now }: EngineContext): void {
  const isWatched = store.chores.get("cron") !== undefined;
  const isWanted = store.subscriptions.count() > 0;
  if (isWatched !== isWanted) store.chores.set("cron", isWanted ? now() + CRON_LOOK_MS : null);
}

/** Asks the registry when cron came last. When it does not answer nothing is known, and the next look is soon enough. */
async function askForCron(context: EngineContext): Promise<void> {
  const { witness, now } = context;
  let at: number | null;
  try {
    at = await witness.lastCronAt((known) => now() - known <= CRON_MISSING_MS);
  } catch {
    return;
  }
  context.store.transaction(() => noteCron(context, at));
}

/** Whether cron stays away, going by when it came last. */
export function isCronMissing(at: number | null, now: number): boolean {
  return at === null || now - at > CRON_MISSING_MS;
}

/** Says so once when cron stays away, and once when it is back. Null is never. */
export function noteCron(context: EngineContext, at: number | null): void {
  const { settings } = context.store;
  const isMissing = isCronMissing(at, context.now());
  if (isMissing === settings.isCronMissing()) return;
  settings.setCronMissing(isMissing);
  const lastCronAt = at === null ? null : new Date(at).toISOString();
  record(context, { type: isMissing ? "cron.missing" : "cron.back", actor: "rekey", data: { lastCronAt } });
}
