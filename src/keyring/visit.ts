/** What a visit of cron's sweep does in a keyring: starts what is past its age, and looks after what no event announces. */
import { lookAtHealth, noteCron } from "../rotation/chores.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { Engine } from "../rotation/engine.ts";
import { OVERDUE_MS } from "../rotation/health.ts";
import type { Outage } from "../rotation/policy.ts";
import { planPruning } from "../rotation/pruning.ts";
import type { Reports } from "./reports.ts";

/** Scheduled rotations that one visit starts; the rest follow at the next. */
const STARTS_PER_VISIT = 200;

/** What a visit found. */
export interface Visited {
  /** Milliseconds since the epoch. */
  nextStartAt: number | null;
  started: number;
  /** Some are due already. */
  more: boolean;
  /** The master key that wraps its data key. */
  masterKeyId: string | null;
}

/** @param outage when cron did not come, if it did not lately */
export function visit(
  { context, engine }: { context: EngineContext; engine: Engine },
  reports: Reports,
  outage: Outage | null,
): Visited {
  const { store } = context;
  engine.beginInvocation();
  // What is due when this returns goes back with the answer and needs no report of its own.
  let nextStartAt = store.due.earliestStartAt();
  reports.noteStart(nextStartAt);
  let started = 0;
  let goesOn = true;
  if (nextStartAt !== null && nextStartAt <= context.now()) {
    const begun = engine.startDue(STARTS_PER_VISIT, outage);
    started = begun.count;
    goesOn = begun.goesOn;
    nextStartAt = store.due.earliestStartAt();
    reports.noteStart(nextStartAt);
  }
  store.transaction(() => {
    if (store.settings.isCronMissing()) noteCron(context, context.now());
    if (mayBeUnwell(context, nextStartAt)) lookAtHealth(context);
    planPruning(context);
  });
  engine.pump();
  const more = goesOn && nextStartAt !== null && nextStartAt <= context.now();
  return { nextStartAt, started, more, masterKeyId: store.settings.wrappedDataKey()?.masterKeyId ?? null };
}

const DAY_MS = 24 * 3_600_000;
/** When each keyring that is awake was last looked at as a whole. */
const lookedAt = new WeakMap<EngineContext, number>();

/** What goes wrong is an event, which has the keyring looked at by itself; a visit sees what none announces, and once a day it looks anyway. */
function mayBeUnwell(context: EngineContext, nextStartAt: number | null): boolean {
  const now = context.now();
  const isDaily = now - (lookedAt.get(context) ?? 0) >= DAY_MS;
  if (isDaily) lookedAt.set(context, now);
  const isOverdue = nextStartAt !== null && nextStartAt <= now - OVERDUE_MS;
  return isDaily || isOverdue || context.store.settings.health() !== "healthy";
}
