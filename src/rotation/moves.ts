/**
 * The moves of which the machine's transitions are made: go on, wait, block, end. Pure, like the machine itself, which decides when each
 * is due.
 */
import type { Ending, RotationStep } from "../store/rotations.ts";
import { BACKOFF_MS, backoffMs } from "./backoff.ts";
import type { Effect, Facts, Position, Transition } from "./position.ts";

/** A look once a day at what waits for somebody, so that it is never forgotten. */
export const DAILY_MS = 24 * 3_600_000;

export function go(step: RotationStep, dueAt: number): Position {
  return { step, state: "running", attempt: 0, dueAt, problem: null, ending: null, tally: null };
}

export function stay(at: Position): Transition {
  return { next: at, effects: [] };
}

export function end(ending: Ending | null, effects: Effect[]): Transition {
  const { state, problem } = ending ?? { state: "failed", problem: null };
  return { next: { ...go("done", 0), state, dueAt: null, problem }, effects };
}

/** The end, or first a last look for what may have been minted unseen. The effects do not wait for that look. */
export function finish(ending: Ending, effects: Effect[], facts: Facts, now: number): Transition {
  if (!facts.maySurface) return end(ending, effects);
  const next = { ...go("sweep", Math.max(now, facts.settleAt ?? now)), ending, problem: ending.problem };
  return { next, effects };
}

/** The service ends the old value at its own time, whatever we do: giving up would lose the key. */
export function clockRuns({ overlap, oldEndsAt, oldIsCurrent }: Facts): boolean {
  return overlap === "provider" && oldEndsAt !== null && oldIsCurrent;
}

/** Nothing new is at the service, so it can wait for the cause to go away, until the deadline; in an emergency without end. */
export function block(
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

export function later(
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
export function lookAgain(
  at: Position,
  outcome: { problem: string; retryAfterMs?: number },
  facts: Facts,
  now: number,
): Transition {
  const next = later(at, outcome, facts, now);
  if (next.attempt !== BACKOFF_MS.length || at.state !== "running") return { next, effects: [] };
  return { next: { ...next, state: "needs-attention" }, effects: ["announce-attention"] };
}

export function wait(at: Position, facts: Facts, now: number, latest: number): Position {
  return later(at, { problem: at.problem ?? "" }, facts, now, latest);
}

/**
 * It is known now that no value was lost that still works, so another attempt is safe, once all is green and a slot is free again. A service
 * whose answers go on being lost is asked at longer and longer intervals.
 */
export function mintAgain(at: Position, facts: Facts, now: number, byPerson = false): Transition {
  if (at.ending) return finish(at.ending, [], facts, now);
  if ((facts.oldEndsAt ?? Infinity) <= now)
    return lose("the old value ran out before a new one was had", facts, now);
  if (now >= facts.deadlineAt && !clockRuns(facts) && !facts.escalated) {
    return finish({ state: "failed", problem: at.problem }, [], facts, now);
  }
  return { next: go("preflight", now + (byPerson ? 0 : waitToMint(facts))), effects: [] };
}

/** Before another mint: none after the first one that came to nothing, then longer each time. */
function waitToMint({ mints, unit }: Facts): number {
  return mints < 2 ? 0 : backoffMs(BACKOFF_MS, mints - 2, unit);
}

export function lose(problem: string, facts: Facts, now: number): Transition {
  return finish({ state: "failed", problem }, ["lose-key"], facts, now);
}

export function needHuman(at: Position, problem: string, facts: Facts, now: number): Transition {
  // What was asked for may have taken effect, and then the service's own clock ends the old value.
  const attention: Effect[] =
    facts.overlap === "provider" ? ["announce-attention", "announce-at-risk"] : ["announce-attention"];
  const effects: Effect[] = at.state === "needs-human" ? [] : attention;
  return { next: { ...at, state: "needs-human", problem, dueAt: now + DAILY_MS }, effects };
}

/** Nothing is decided before the call can no longer be running; only looking for the marker starts at once. */
export function doubt(
  at: Position,
  outcome: { kind: string; problem: string },
  facts: Facts,
  now: number,
): Transition {
  const { problem } = outcome;
  if (outcome.kind === "mint-conflict" && facts.overlap === "none") return lose(problem, facts, now);
  const settle: Position = { ...go("settle", now), problem, ending: at.ending };
  if (facts.resolver === "nobody") return needHuman(settle, problem, facts, now);
  return {
    next: { ...settle, dueAt: facts.resolver === "find" ? now : (facts.settleAt ?? now) },
    effects: [],
  };
}

export function rejected(problem: string, facts: Facts, now: number): Transition {
  const isOver = facts.overlap === "provider" && (facts.oldEndsAt ?? Infinity) <= now;
  if (facts.overlap === "none" || isOver) return lose(problem, facts, now);
  if (facts.overlap === "ours" && !facts.escalated) {
    return finish({ state: "failed", problem }, ["discard-new"], facts, now);
  }
  // There is no staying with the old one. A service that goes on making bad ones is not asked without pause.
  const wait = waitToMint(facts);
  // Until another is there, or should none ever come, the places that may have the new one get back what still works.
  const back: Effect[] = facts.oldIsCurrent && facts.wasAttempted ? ["send-old"] : [];
  return { next: { ...go("preflight", now + wait), problem }, effects: [...back, "discard-new"] };
}

export function deliver(facts: Facts, now: number): Transition {
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
