/**
 * Events that have outlived their retention go, and reports of leaks with them, the oldest first, a few at a time. What a subscriber still waits for stays, unless it has
 * not answered for as long as that. The last one that went leaves its hash, from which the chain goes on.
 */
import { parseDuration } from "../duration.ts";
import type { SubscriptionRow } from "../store/subscriptions.ts";
import { type EngineContext, record } from "./context.ts";
import { findNext } from "./subscriptions.ts";
import { isAnchored } from "./witness.ts";

/** Each is a row written, so a commit stays as short as any other. */
const EVENTS_A_TIME = 500;
/** Until the next ones go, where more are past their time. */
const PAUSE_MS = 5_000;
/** When it is tried again, should the registry not answer or the process end. */
const AGAIN_MS = 3_600_000;
/** A time of cron this old is good enough: what waits an hour longer does no harm. */
const CRON_FRESH_MS = 3_600_000;

const REPORTS_A_TIME = 50;
/** A report that named nothing of ours is kept so long, for whoever wonders whether it came. */
const UNMATCHED_KEPT_MS = 30 * 24 * 3_600_000;

const CHORE = "prune";

/** Has the oldest events go when they are past their time. Cron's visit asks, once a day at least; that reads no row of an object that is awake. */
export function planPruning({ store, now }: EngineContext): void {
  const oldest = store.events.oldest();
  const reports = store.compromises.oldest();
  const before = now() - parseDuration(store.settings.eventRetention());
  const isPast =
    (oldest?.at ?? Infinity) < before ||
    (reports.any ?? Infinity) < before ||
    (reports.unmatched ?? Infinity) < now() - UNMATCHED_KEPT_MS;
  if (isPast && !store.chores.get(CHORE)) store.chores.set(CHORE, now());
}

/** Sets when it is tried again if nothing comes of this time. Inside the caller's transaction. */
export function beginPruning({ store, now }: EngineContext): void {
  store.chores.set(CHORE, now() + AGAIN_MS);
}

/**
 * Prunes some events. Their age is counted from a time of cron's, so that a clock that is wrong ends no history, and the registry has the
 * newest event on record first: its anchor is among those that stay.
 */
export async function pruneHistory(context: EngineContext): Promise<void> {
  const { store, now } = context;
  const cronAt = await askForTime(context);
  if (cronAt === null || !(await isAnchored(context, []))) return;
  store.transaction(() => {
    const time = Math.min(now(), cronAt);
    const before = time - parseDuration(store.settings.eventRetention());
    const isMore = [prune(context, before), pruneReports(context, before, time - UNMATCHED_KEPT_MS)];
    store.chores.set(CHORE, isMore.includes(true) ? now() + PAUSE_MS : null);
  });
}

/** Reports of leaks that are over go with the events of their time, and sooner when they named nothing of ours. Returns whether there are more. */
function pruneReports({ store }: EngineContext, before: number, unmatchedBefore: number): boolean {
  const rows = store.compromises.outlived(before, unmatchedBefore, REPORTS_A_TIME);
  for (const row of rows) {
    store.leaks.removeOf(row.id);
    store.compromises.remove(row);
  }
  return rows.length === REPORTS_A_TIME;
}

async function askForTime({ witness, now }: EngineContext): Promise<number | null> {
  try {
    return await witness.lastCronAt((at) => now() - at <= CRON_FRESH_MS);
  } catch {
    return null;
  }
}

/** Prunes some of the events before a time (milliseconds since the epoch). Returns whether there are more. */
function prune(context: EngineContext, before: number): boolean {
  const { events, settings, subscriptions } = context.store;
  const oldest = events.oldest();
  const head = events.head();
  if (!oldest || !head) return false;
  const behind = subscriptions.behind();
  const waiting = behind.filter((row) => !hasLapsed(row, before)).map(({ sentSeq }) => sentSeq);
  // The newest stays whatever its age: the next one goes on from it.
  const mayGo = Math.min(events.lastBefore(before), head.seq - 1, ...waiting);
  const until = Math.min(mayGo, oldest.seq - 1 + EVENTS_A_TIME);
  const last = until < oldest.seq ? undefined : events.at(until);
  if (!last) return false;
  for (const row of behind) if (row.sentSeq < until) passBy(context, row, until);
  settings.setHistoryStart({ seq: until, hash: last.hash });
  events.prune(until);
  return until < mayGo;
}

/** It has not answered since before what goes now: nothing waits for it any more. */
function hasLapsed({ unwellSince }: SubscriptionRow, before: number): boolean {
  return unwellSince !== null && unwellSince < before;
}

/** Moves a cursor on over events that go. When some were meant for it, that is an event, once until it answers again. */
function passBy(context: EngineContext, row: SubscriptionRow, until: number): void {
  const { event } = findNext(context, row, row.sentSeq);
  const isMissed = event !== undefined && event.seq <= until;
  context.store.subscriptions.update(row, { sentSeq: until, ...(isMissed && { missedSeq: until }) });
  if (!isMissed || row.missedSeq > 0) return;
  record(context, {
    type: "subscription.missed",
    actor: "rekey",
    data: {
      subscriptionId: row.id,
      fromSeq: event.seq,
      unwellSince: row.unwellSince === null ? null : new Date(row.unwellSince).toISOString(),
    },
  });
}
