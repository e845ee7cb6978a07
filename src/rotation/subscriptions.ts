/** The commits of subscriptions: what comes next for one, and what becomes of it by how its receiver answered. No calls. */
import type { SendResult } from "../destinations/destination.ts";
import { RETRY_AFTER_MS } from "../destinations/webhook.ts";
import { isWanted } from "../events/filter.ts";
import type { EventRow } from "../store/events.ts";
import type { SubscriptionRow } from "../store/subscriptions.ts";
import { BACKOFF_MS, backoffMs } from "./backoff.ts";
import { type EngineContext, randomUnit, record } from "./context.ts";

export type Refused = Exclude<SendResult, { kind: "held" }>;

/** How often a subscription that is failing is asked whether it is back. */
const PROBE_MS: readonly number[] = [24 * 3_600_000];
const PAGE = 50;
/** Events that one search reads; a filter that matches little then takes several claims instead of one long query. */
const MAX_SEARCHED = 2_000;
/** Given-up events whose numbers stay with the subscription. All of them stay in the history. */
const MAX_SKIPPED = 20;

/** What is so of one that is neither failing nor disabled. */
export const WELL = { unwellSince: null, missedSeq: 0 } satisfies Partial<SubscriptionRow>;

/** What comes next in the history for a subscription. */
export interface Ahead {
  event: EventRow | undefined;
  /** All up to this number is none of its business. */
  seen: number;
  isEnd: boolean;
}

/** Finds the next event for a subscription after a place in the history. */
export function findNext({ store }: EngineContext, row: SubscriptionRow, after: number): Ahead {
  let seen = after;
  for (let read = 0; read < MAX_SEARCHED; read += PAGE) {
    const page = store.events.after(seen, PAGE);
    for (const event of page) {
      const key = event.keyId === null ? undefined : store.keys.get(event.keyId);
      if (isWanted(row, event, key?.labels)) return { event, seen, isEnd: false };
      seen = event.seq;
    }
    if (page.length < PAGE) return { event: undefined, seen, isEnd: true };
  }
  return { event: undefined, seen, isEnd: false };
}

/** What goes with a cursor: from where there is more to tell, and so when it is due. */
export function placeAt(
  context: EngineContext,
  row: SubscriptionRow,
  sentSeq: number,
): Pick<SubscriptionRow, "sentSeq" | "dueAt"> {
  const { seen, isEnd } = findNext(context, row, sentSeq);
  return { sentSeq: seen, dueAt: isEnd || row.state === "disabled" ? null : context.now() };
}

/** Gives a row back: all up to a number was told. */
export function release(
  context: EngineContext,
  row: SubscriptionRow,
  sentSeq: number,
  patch: Partial<SubscriptionRow> = {},
): void {
  const place = placeAt(context, { ...row, ...patch }, sentSeq);
  context.store.subscriptions.update(row, {
    ...(sentSeq > row.sentSeq && { attempt: 0 }),
    ...place,
    ...patch,
    leaseUntil: null,
    claim: row.claim + 1,
  });
}

/** It answered a ping: it may be told. One that was given up is back. */
export function welcome(context: EngineContext, row: SubscriptionRow, result: SendResult): SubscriptionRow {
  if (row.state === "failing" || row.state === "disabled") {
    const missed = row.missedSeq > 0 && { missedSeq: row.missedSeq };
    const data = { subscriptionId: row.id, ...missed };
    record(context, { type: "subscription.recovered", actor: "rekey", data });
  }
  return context.store.subscriptions.update(row, {
    ...WELL,
    state: "ready",
    attempt: 0,
    provenAt: context.now(),
    lastCall: result.report,
  });
}

/** It did not answer a ping. */
export function settlePing(context: EngineContext, row: SubscriptionRow, result: Refused): void {
  const isExhausted = row.state !== "failing" && row.attempt >= BACKOFF_MS.length;
  if (result.kind === "gone") giveUp(context, row, "disabled", result);
  else if (isExhausted) giveUp(context, row, "failing", result);
  else tryLater(context, row, row.state === "failing" ? PROBE_MS : BACKOFF_MS, result);
}

/**
 * It did not take an event. The event waits, and so do those behind it, until it is taken; when the attempts are used up the
 * subscription is failing. An event that uses them up again, though pings are answered, or that is refused outright then, is given up.
 */
export function settleRefusal(
  context: EngineContext,
  row: SubscriptionRow,
  event: EventRow,
  result: Refused,
): void {
  const attempt = row.sentSeq < event.seq - 1 ? 0 : row.attempt;
  const isExhausted = attempt >= RETRY_AFTER_MS.length;
  const at = context.store.subscriptions.update(row, { sentSeq: event.seq - 1, attempt });
  if (result.kind === "gone") giveUp(context, at, "disabled", result);
  else if (row.failedSeq === event.seq && (isExhausted || isRefusal(result)))
    skip(context, at, event, result);
  else if (isExhausted) giveUp(context, { ...at, failedSeq: event.seq }, "failing", result);
  else tryLater(context, at, RETRY_AFTER_MS, result);
}

function tryLater(
  context: EngineContext,
  row: SubscriptionRow,
  table: readonly number[],
  result: Refused,
): void {
  const asked = result.kind === "failed" ? (result.retryAfterMs ?? 0) : 0;
  const wait = backoffMs(table, row.attempt, randomUnit(context.random), asked);
  context.store.subscriptions.update(row, {
    attempt: row.attempt + 1,
    lastCall: result.report,
    dueAt: context.now() + wait,
    leaseUntil: null,
    claim: row.claim + 1,
  });
}

/** It is for somebody to look at now. What it was not told stays ahead of its cursor. */
function giveUp(
  context: EngineContext,
  row: SubscriptionRow,
  state: "failing" | "disabled",
  result: Refused,
): void {
  const { store, random } = context;
  const wait = backoffMs(PROBE_MS, 0, randomUnit(random));
  const failed = store.events.after(row.sentSeq, 1).find(({ seq }) => seq === row.failedSeq);
  record(context, {
    type: "subscription.failing",
    actor: "rekey",
    data: {
      subscriptionId: row.id,
      state,
      problem: result.problem,
      ...(failed && { failedEvent: failed.id, failedSeq: failed.seq }),
    },
  });
  const fresh = store.subscriptions.get(row.id);
  if (!fresh) return;
  store.subscriptions.update(fresh, {
    state,
    unwellSince: fresh.unwellSince ?? context.now(),
    attempt: 0,
    failedSeq: row.failedSeq,
    lastCall: result.report,
    dueAt: state === "failing" ? context.now() + wait : null,
    leaseUntil: null,
    claim: row.claim + 1,
  });
}

/** One event is given up, visibly, so that it does not hold up all others for ever. */
function skip(context: EngineContext, row: SubscriptionRow, event: EventRow, result: Refused): void {
  record(context, {
    type: "subscription.skipped",
    actor: "rekey",
    data: { subscriptionId: row.id, eventId: event.id, eventSeq: event.seq, problem: result.problem },
  });
  release(context, row, event.seq, {
    attempt: 0,
    skipped: [...row.skipped, event.seq].slice(-MAX_SKIPPED),
    lastCall: result.report,
  });
}

/** Statuses by which a receiver says that it may take the same later. */
const LATER_STATUSES = [408, 425, 429];

function isRefusal({ report: { status = 0 } }: Refused): boolean {
  return status >= 400 && status < 500 && !LATER_STATUSES.includes(status);
}
