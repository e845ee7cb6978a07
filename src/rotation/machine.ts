/**
 * What a rotation does next. Pure: a position, what just happened, the facts and the time go in; the next position and the
 * effects to commit with it come out. No I/O, no clock, no randomness of its own.
 */
import type { Ending, RotationState, RotationStep } from "../store/rotations.ts";
import { BACKOFF_MS, backoffMs } from "./backoff.ts";
import type { Effect, Facts, Outcome, Position, Transition } from "./position.ts";

/** A look once a day at what waits for somebody, so that it is never forgotten. */
const DAILY_MS = 24 * 3_600_000;
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
  switch (outcome.kind) {
    case "minted": {
      const effects: Effect[] = facts.overlap === "none" ? ["store-version", "promote"] : ["store-version"];
      return { next: go("test", now), effects };
    }
    case "mint-refused":
      return clockRuns(facts) || facts.escalated
        ? block(at, outcome.problem, facts, now)
        : finish({ state: "failed", problem: outcome.problem }, [], facts, now);
    case "mint-postponed":
      return block(at, outcome.problem, facts, now, outcome.retryAfterMs);
    case "mint-in-doubt":
    case "mint-conflict":
      return doubt(at, outcome, facts, now);
    default:
      return stay(at);
  }
}

/** Nothing is decided before the call can no longer be running; only looking for the marker starts at once. */
function doubt(
  at: Position,
  outcome: { kind: string; problem: string },
  facts: Facts,
  now: number,
): Transition {
  const { problem } = outcome;
  if (outcome.kind === "mint-conflict" && facts.overlap === "none") return lose(problem, facts, now);
  const settle: Position = { ...go("settle", now), problem, ending: at.ending };
  if (facts.resolver === "nobody") return needHuman(settle, problem, now);
  return {
    next: { ...settle, dueAt: facts.resolver === "find" ? now : (facts.settleAt ?? now) },
    effects: [],
  };
}

function settling(at: Position, outcome: Outcome, facts: Facts, now: number): Transition {
  switch (outcome.kind) {
    case "minted":
      return minting(at, outcome, facts, now);
    case "mint-conflict":
      return facts.overlap === "none"
        ? lose(outcome.problem, facts, now)
        : needHuman(at, outcome.problem, now);
    case "orphans-found":
      return mintAgain(at, facts, now);
    case "none-found":
      return outcome.settled
        ? mintAgain(at, facts, now)
        : { next: wait(at, facts, now, facts.settleAt ?? now), effects: [] };
    case "ambiguous":
      return needHuman(at, outcome.problem, now);
    case "mint-in-doubt":
    case "mint-postponed":
    case "look-failed":
      return lookAgain(at, outcome, facts, now);
    case "mint-refused":
      return needHuman(at, outcome.problem, now);
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

function rejected(problem: string, facts: Facts, now: number): Transition {
  const isOver = facts.overlap === "provider" && (facts.oldEndsAt ?? Infinity) <= now;
  if (facts.overlap === "none" || isOver) return lose(problem, facts, now);
  if (facts.overlap === "ours" && !facts.escalated) {
    return finish({ state: "failed", problem }, ["discard-new"], facts, now);
  }
  // There is no staying with the old one. A service that goes on making bad ones is not asked without pause.
  const tries = facts.mints - 2;
  const wait = tries < 0 ? 0 : backoffMs(BACKOFF_MS, tries, facts.unit);
  return { next: { ...go("preflight", now + wait), problem }, effects: ["discard-new"] };
}

function go(step: RotationStep, dueAt: number): Position {
  return { step, state: "running", attempt: 0, dueAt, problem: null, ending: null, tally: null };
}

function stay(at: Position): Transition {
  return { next: at, effects: [] };
}

function end(ending: Ending | null, effects: Effect[]): Transition {
  const { state, problem } = ending ?? { state: "failed", problem: null };
  return { next: { ...go("done", 0), state, dueAt: null, problem }, effects };
}

/** The end, or first a last look for what may have been minted unseen. The effects do not wait for that look. */
function finish(ending: Ending, effects: Effect[], facts: Facts, now: number): Transition {
  if (!facts.maySurface) return end(ending, effects);
  const next = { ...go("sweep", Math.max(now, facts.settleAt ?? now)), ending, problem: ending.problem };
  return { next, effects };
}

/** The service ends the old value at its own time, whatever we do: giving up would lose the key. */
function clockRuns({ overlap, oldEndsAt, oldIsCurrent }: Facts): boolean {
  return overlap === "provider" && oldEndsAt !== null && oldIsCurrent;
}

/** Nothing new is at the service, so it can wait for the cause to go away, until the deadline; in an emergency without end. */
function block(
  at: Position,
  problem: string,
  facts: Facts,
  now: number,
  retryAfterMs?: number,
  noSlot = false,
): Transition {
  const deadlineAt = facts.escalated ? Infinity : facts.deadlineAt;
  const until = clockRuns(facts) ? (facts.oldEndsAt ?? now) : deadlineAt;
  if (now >= until) {
    return clockRuns(facts)
      ? lose(problem, facts, now)
      : finish({ state: "failed", problem }, [], facts, now);
  }
  const wait = { problem, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  const state = noSlot ? "needs-slot" : "blocked";
  const next: Position = { ...later(at, wait, facts, now, until), state };
  return { next, effects: at.state === state ? [] : ["announce-blocked"] };
}

function later(
  at: Position,
  { problem, retryAfterMs }: { problem: string; retryAfterMs?: number },
  facts: Facts,
  now: number,
  latest = Infinity,
): Position {
  const dueAt = Math.min(now + backoffMs(BACKOFF_MS, at.attempt, facts.unit, retryAfterMs), latest);
  return { ...at, attempt: at.attempt + 1, dueAt, problem };
}

/** What cannot be found out is asked for ever; once the backoff table is used up it is for people to see. */
function lookAgain(
  at: Position,
  outcome: { problem: string; retryAfterMs?: number },
  facts: Facts,
  now: number,
): Transition {
  const next = later(at, outcome, facts, now);
  if (next.attempt !== BACKOFF_MS.length || at.state !== "running") return { next, effects: [] };
  return { next: { ...next, state: "needs-attention" }, effects: ["announce-attention"] };
}

function wait(at: Position, facts: Facts, now: number, latest: number): Position {
  return later(at, { problem: at.problem ?? "" }, facts, now, latest);
}

/** It is known now that no value was lost that still works, so another attempt is safe, once all is green and a slot is free again. */
function mintAgain(at: Position, facts: Facts, now: number): Transition {
  if (at.ending) return finish(at.ending, [], facts, now);
  if ((facts.oldEndsAt ?? Infinity) <= now)
    return lose("the old value ran out before a new one was had", facts, now);
  if (now >= facts.deadlineAt && facts.overlap === "ours" && !facts.escalated) {
    return finish({ state: "failed", problem: at.problem }, [], facts, now);
  }
  return { next: go("preflight", now), effects: [] };
}

function lose(problem: string, facts: Facts, now: number): Transition {
  return finish({ state: "failed", problem }, ["lose-key"], facts, now);
}

function needHuman(at: Position, problem: string, now: number): Transition {
  const effects: Effect[] = at.state === "needs-human" ? [] : ["announce-attention"];
  return { next: { ...at, state: "needs-human", problem, dueAt: now + DAILY_MS }, effects };
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

function deliver(facts: Facts, now: number): Transition {
  const promoted: Effect[] = facts.isPromoted ? [] : ["promote"];
  if (!facts.hasRequired) {
    return finish({ state: "succeeded", problem: null }, ["send-new", ...promoted], facts, now);
  }
  const effects: Effect[] = facts.escalated ? ["send-new", ...promoted] : ["send-new"];
  return { next: go("deliver", Math.max(deliverUntil(facts), now)), effects };
}

/** When waiting for the destinations becomes a concern: with a service's clock, a quarter of the old one's time before its end. */
function deliverUntil({ overlap, oldEndsAt, mintedAt, deadlineAt }: Facts): number {
  if (overlap !== "provider" || oldEndsAt === null || mintedAt === null) return deadlineAt;
  return oldEndsAt - Math.floor((oldEndsAt - mintedAt) / 4);
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

/** A person ends it. What is in doubt is settled first; what was minted is put back and revoked, or, with no way back, revoked. */
function stop(at: Position, problem: string, facts: Facts, now: number): Transition {
  const ending: Ending = { state: "cancelled", problem };
  if (at.step === "done") return stay(at);
  if (at.step === "sweep") return { next: { ...at, ending }, effects: [] };
  if (at.step === "settle") return { next: { ...at, ending }, effects: [] };
  if (at.step === "mint" && facts.isMinting)
    return doubt({ ...at, ending }, { kind: "stopped", problem }, facts, now);
  if (!facts.hasNew) {
    return clockRuns(facts) ? rejected(problem, facts, now) : finish(ending, [], facts, now);
  }
  if (!facts.oldIsCurrent) return finish(ending, ["discard-new"], facts, now);
  // The service's clock on the old value runs, so there is no staying with it: a replacement is needed all the same.
  if (facts.overlap !== "ours") return rejected(problem, facts, now);
  return at.step === "put-back" ? stay(at) : putBack(ending, "running", facts, now);
}

/** The old value leaked: nothing waits any longer that need not, and there is no way back to it. */
function escalate(at: Position, facts: Facts, now: number): Transition {
  switch (at.step) {
    case "mint":
      // A call that was begun is settled first, whatever it costs: a second one could make an orphan.
      if (facts.isMinting) return stay(at);
      return { next: { ...at, attempt: 0, dueAt: now }, effects: [] };
    case "settle":
      return { next: { ...retry(at, facts, now, false).next, ending: null }, effects: [] };
    case "preflight":
    case "test":
      return { next: { ...at, attempt: 0, dueAt: now }, effects: [] };
    case "deliver":
      return { next: { ...at, state: "running" }, effects: facts.isPromoted ? [] : ["promote"] };
    case "put-back":
      return facts.newIsPending ? deliver(facts, now) : { next: go("preflight", now), effects: [] };
    case "sweep":
      return { next: go("preflight", now), effects: [] };
    case "done":
      return stay(at);
  }
}

/** The new value leaked before anything came to depend on it: the old one goes back wherever it was sent, and another is minted. */
function dropLeaked(at: Position, facts: Facts, now: number): Transition {
  const problem = "its new version leaked";
  if (at.step !== "test" && at.step !== "deliver") return stay(at);
  const effects: Effect[] = facts.wasAttempted && facts.oldIsCurrent ? ["send-old"] : [];
  return { next: { ...go("preflight", now), problem }, effects };
}

/** A deadline is no try, so at the steps that wait for deliveries only those are tried again. */
function retry(at: Position, facts: Facts, now: number, byPerson = true): Transition {
  if (at.step === "done" || at.step === "deliver" || at.step === "put-back") return stay(at);
  if (at.step === "settle" && at.state === "needs-human")
    return byPerson ? mintAgain(at, facts, now) : stay(at);
  // Impatience decides nothing before the call can no longer be running; only looking for the marker may start earlier.
  const waits = at.step === "sweep" || (at.step === "settle" && facts.resolver !== "find");
  const dueAt = waits ? Math.max(now, facts.settleAt ?? now) : now;
  return { next: { ...at, attempt: 0, dueAt }, effects: [] };
}

function abandon(at: Position, problem: string, facts: Facts, now: number): Transition {
  if (at.step !== "settle" || at.state !== "needs-human") return stay(at);
  if (facts.overlap === "ours") {
    return finish(at.ending ?? { state: "failed", problem }, ["lose-version"], facts, now);
  }
  return lose(problem, facts, now);
}

function putBack(ending: Ending, state: RotationState, facts: Facts, now: number): Transition {
  if (!facts.wasAttempted) return finish(ending, ["send-old", "discard-new"], facts, now);
  return {
    next: { ...go("put-back", now + DAILY_MS), state, problem: ending.problem },
    effects: ["send-old"],
  };
}
