/**
 * What a rotation does next. Pure: a position, what just happened, the facts and the time go in; the next position and the
 * effects to commit with it come out. No I/O, no clock, no randomness of its own.
 */
import { abandon, dropLeaked, escalate, putBack, retry, stop } from "./interruptions.ts";
import {
  block,
  clockRuns,
  DAILY_MS,
  deliver,
  doubt,
  end,
  finish,
  go,
  later,
  lookAgain,
  lose,
  mintAgain,
  needHuman,
  rejected,
  stay,
  wait,
} from "./moves.ts";
import type { Effect, Facts, Outcome, Position, Transition } from "./position.ts";

/** Two tests of the old value must be this far apart before they are believed. */
const TALLY_APART_MS = 10_000;

/** Least time for a test without overlap to become clear. */
const MIN_TEST_MS = 30_000;

/** Where a rotation begins. */
export function initialPosition(now: number): Position {
  return {
    step: "preflight",
    state: "running",
    attempt: 0,
    dueAt: now,
    problem: null,
    ending: null,
    tally: null,
  };
}

/** True while the rotation still occupies its key. */
export function isLive(position: Pick<Position, "step">): boolean {
  return position.step !== "done";
}

/** Until when a test may stay indeterminate. */
function testUntil(facts: Facts): number {
  const mintedAt = facts.mintedAt ?? 0;
  switch (facts.overlap) {
    case "ours":
      return facts.deadlineAt;
    case "provider":
      return mintedAt + Math.floor(((facts.oldEndsAt ?? mintedAt) - mintedAt) / 10);
    case "none":
      return mintedAt + Math.max(MIN_TEST_MS, facts.propagationMs);
  }
}

/**
 * The transition for one outcome. Outcomes that make no sense at a step leave everything as it is: they are late news.
 */
export function transition(at: Position, outcome: Outcome, facts: Facts, now: number): Transition {
  if (outcome.kind === "stopped") return stop(at, outcome.problem, facts, now);
  if (outcome.kind === "retried") return retry(at, facts, now);
  if (outcome.kind === "escalated") return escalate(at, facts, now);
  if (outcome.kind === "new-leaked") return dropLeaked(at, facts, now);
  if (outcome.kind === "taken-over") return end({ state: "cancelled", problem: outcome.problem }, []);
  if (outcome.kind === "abandoned") return abandon(at, outcome.problem, facts, now);
  switch (at.step) {
    case "preflight":
      if (outcome.kind === "preflight-green") return mint(facts, now);
      if (outcome.kind === "old-dead") return lose(outcome.problem, facts, now);
      if (outcome.kind === "preflight-red")
        return block(at, outcome.problem, facts, now, outcome.retryAfterMs, outcome.noSlot);
      return stay(at);
    case "mint":
      return minting(at, outcome, facts, now);
    case "settle":
      return settling(at, outcome, facts, now);
    case "test":
      return testing(at, outcome, facts, now);
    case "deliver":
      if (outcome.kind === "all-held") {
        return finish({ state: "succeeded", problem: null }, facts.isPromoted ? [] : ["promote"], facts, now);
      }
      if (outcome.kind === "overdue") return late(at, facts, now);
      return stay(at);
    case "put-back":
      if (outcome.kind === "all-held") {
        return finish({ state: "failed", problem: at.problem }, ["discard-new"], facts, now);
      }
      if (outcome.kind === "old-gone" && !facts.oldIsCurrent) return turnRound(at, facts, now);
      if (outcome.kind === "overdue") return { next: { ...at, dueAt: now + DAILY_MS }, effects: [] };
      return stay(at);
    case "sweep":
      if (outcome.kind === "orphans-found") return end(at.ending, []);
      if (outcome.kind === "none-found" && outcome.settled) return end(at.ending, []);
      if (outcome.kind === "look-failed") return lookAgain(at, outcome, facts, now);
      return stay(at);
    case "done":
      return stay(at);
  }
}

function minting(at: Position, outcome: Outcome, facts: Facts, now: number): Transition {
  // Nothing was made, so all is looked at again before the next try, which waits longer each time.
  const again: Position = { ...at, step: "preflight", attempt: Math.max(at.attempt, facts.mints - 1) };
  switch (outcome.kind) {
    case "minted": {
      const effects: Effect[] = facts.overlap === "none" ? ["store-version", "promote"] : ["store-version"];
      return { next: go("test", now), effects };
    }
    case "mint-refused":
      return clockRuns(facts) || facts.escalated
        ? block(again, outcome.problem, facts, now)
        : finish({ state: "failed", problem: outcome.problem }, ["rest-schedule"], facts, now);
    case "mint-postponed":
      return block(again, outcome.problem, facts, now, outcome.retryAfterMs);
    case "mint-in-doubt":
    case "mint-conflict":
      return doubt(at, outcome, facts, now);
    default:
      return stay(at);
  }
}

function settling(at: Position, outcome: Outcome, facts: Facts, now: number): Transition {
  switch (outcome.kind) {
    case "minted":
      // It was cancelled, or its key goes: what came after all is taken in and ended.
      return at.ending
        ? finish(at.ending, ["store-version", "discard-new"], facts, now)
        : minting(at, outcome, facts, now);
    case "mint-conflict":
      return facts.overlap === "none"
        ? lose(outcome.problem, facts, now)
        : needHuman(at, outcome.problem, facts, now);
    case "orphans-found":
      return mintAgain(at, facts, now);
    case "none-found":
      return outcome.settled
        ? mintAgain(at, facts, now)
        : { next: wait(at, facts, now, facts.settleAt ?? now), effects: [] };
    case "ambiguous":
      return needHuman(at, outcome.problem, facts, now);
    case "mint-in-doubt":
    case "mint-postponed":
    case "look-failed":
      return lookAgain(at, outcome, facts, now);
    case "mint-refused":
      return needHuman(at, outcome.problem, facts, now);
    case "old-tested":
      return tally(at, outcome, facts, now);
    default:
      return stay(at);
  }
}

/** Two equal verdicts, far enough apart, decide; anything else begins anew. */
function tally(
  at: Position,
  outcome: Extract<Outcome, { kind: "old-tested" }>,
  facts: Facts,
  now: number,
): Transition {
  const { verdict } = outcome;
  if (verdict === "unclear") return lookAgain({ ...at, tally: null }, outcome, facts, now);
  if (at.tally?.verdict !== verdict) {
    return {
      next: { ...at, attempt: 0, tally: { verdict, at: now }, dueAt: now + TALLY_APART_MS },
      effects: [],
    };
  }
  if (now < at.tally.at + TALLY_APART_MS) {
    return { next: { ...at, dueAt: at.tally.at + TALLY_APART_MS }, effects: [] };
  }
  return verdict === "valid" ? mintAgain(at, facts, now) : lose(outcome.problem, facts, now);
}

function testing(at: Position, outcome: Outcome, facts: Facts, now: number): Transition {
  switch (outcome.kind) {
    case "test-valid":
      return deliver(facts, now);
    case "test-rejected":
      return rejected(outcome.problem, facts, now);
    case "test-indeterminate": {
      if (now < testUntil(facts) && !facts.escalated) {
        return { next: later(at, outcome, facts, now, testUntil(facts)), effects: [] };
      }
      return facts.overlap === "ours" && !facts.escalated
        ? finish({ state: "failed", problem: outcome.problem }, ["discard-new"], facts, now)
        : deliver(facts, now);
    }
    default:
      return stay(at);
  }
}

/** What is minted when the deadline has come could only be put back at once. */
function mint(facts: Facts, now: number): Transition {
  const isLate = facts.overlap === "ours" && facts.hasRequired && now >= facts.deadlineAt && !facts.escalated;
  const problem = "everything answered too late to deliver in time";
  return isLate
    ? finish({ state: "failed", problem }, [], facts, now)
    : { next: go("mint", now), effects: [] };
}

/** The value that was being put back died, so the new one goes out after all, unless that is dead too. */
function turnRound(at: Position, facts: Facts, now: number): Transition {
  return facts.newIsPending
    ? deliver(facts, now)
    : finish({ state: "cancelled", problem: at.problem }, [], facts, now);
}

/**
 * Not every required destination confirmed in time. With the old value still current and ours to keep, everything goes back to
 * it; both live until each destination that may have seen the new one confirmed the old one. Otherwise only forward.
 */
function late(at: Position, facts: Facts, now: number): Transition {
  const problem = "a required destination did not confirm in time";
  if (
    facts.overlap === "provider" &&
    facts.oldEndsAt !== null &&
    now >= facts.oldEndsAt &&
    !facts.isPromoted
  ) {
    return {
      next: { ...at, state: "needs-attention", dueAt: now + DAILY_MS, problem },
      effects: ["promote"],
    };
  }
  if (facts.overlap !== "ours" || !facts.oldIsCurrent) {
    const dueAt = facts.oldEndsAt !== null && facts.oldEndsAt > now ? facts.oldEndsAt : now + DAILY_MS;
    const isNews = facts.overlap !== "ours" && at.state !== "needs-attention";
    const effects: Effect[] = isNews ? ["announce-at-risk"] : [];
    return { next: { ...at, state: "needs-attention", dueAt, problem }, effects };
  }
  return putBack({ state: "failed", problem }, "needs-attention", facts, now);
}
