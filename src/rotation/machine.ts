/**
 * What a rotation does next. Pure: a position, what just happened and the time go in; the next position and the effects to
 * commit with it come out. No I/O, no clock, no randomness of its own.
 */
import type { RotationState, RotationStep } from "../store/rotations.ts";
import { BACKOFF_MS, backoffMs } from "./backoff.ts";

export interface Position {
  step: RotationStep;
  state: RotationState;
  attempt: number;
  /** When to look again; null once it has ended. At `deliver` it is the deadline, as deliveries have their own clocks. */
  dueAt: number | null;
  problem: string | null;
}

/** What just happened to a rotation. */
export type Outcome =
  | { kind: "preflight-green" }
  | { kind: "preflight-red"; problem: string; retryAfterMs?: number }
  | { kind: "minted" }
  | { kind: "mint-refused"; problem: string }
  /** The call is known not to have taken effect. */
  | { kind: "mint-postponed"; problem: string; retryAfterMs?: number }
  | { kind: "test-valid" }
  | { kind: "test-rejected"; problem: string }
  | { kind: "test-indeterminate"; problem: string; retryAfterMs?: number }
  /** Every required destination confirmed what this step sends. */
  | { kind: "all-held" }
  /** The rotation's due time came while it waited for deliveries. */
  | { kind: "overdue" }
  /** The value it replaces died meanwhile, so there is no way back. */
  | { kind: "old-gone" }
  /** The version it made, or the key, was taken away by a person. */
  | { kind: "stopped"; problem: string };

/** What the machine may know about the rotation besides its position. */
export interface Facts {
  deadlineAt: number;
  /** Whether any destination must hold the value before promotion. */
  hasRequired: boolean;
  /** Whether the value it replaces is still current, so that going back is possible. */
  oldIsCurrent: boolean;
  /** Whether a version was minted. */
  hasNew: boolean;
  /** Whether that version still waits to become current; a person may have revoked it. */
  newIsPending: boolean;
  /** Whether some destination may already hold the new value. */
  wasAttempted: boolean;
  /** A random number in [0, 1) for the backoff. */
  unit: number;
}

/** What the engine commits together with the next position, in this order. */
export type Effect =
  | "store-version"
  | "send-new"
  | "promote"
  | "send-old"
  | "discard-new"
  | "announce-blocked";

export interface Transition {
  next: Position;
  effects: Effect[];
}

/** A look once a day at what waits for somebody, so that it is never forgotten. */
const DAILY_MS = 24 * 3_600_000;

/** Where a rotation begins. */
export function initialPosition(now: number): Position {
  return { step: "preflight", state: "running", attempt: 0, dueAt: now, problem: null };
}

/** True while the rotation still occupies its key. */
export function isLive(position: Pick<Position, "step">): boolean {
  return position.step !== "done";
}

/**
 * The transition for one outcome. Outcomes that make no sense at a step leave everything as it is: they are late news.
 */
export function transition(at: Position, outcome: Outcome, facts: Facts, now: number): Transition {
  if (outcome.kind === "stopped") return stop(at, outcome.problem, facts, now);
  switch (at.step) {
    case "preflight":
      if (outcome.kind === "preflight-green") return mint(facts, now);
      if (outcome.kind === "preflight-red")
        return block(at, outcome.problem, facts, now, outcome.retryAfterMs);
      return stay(at);
    case "mint":
      if (outcome.kind === "minted") return { next: go("test", now), effects: ["store-version"] };
      if (outcome.kind === "mint-refused") return end("failed", outcome.problem, []);
      if (outcome.kind === "mint-postponed")
        return block(at, outcome.problem, facts, now, outcome.retryAfterMs);
      return stay(at);
    case "test":
      if (outcome.kind === "test-valid") return deliver(facts, now);
      if (outcome.kind === "test-rejected") return end("failed", outcome.problem, ["discard-new"]);
      if (outcome.kind === "test-indeterminate") {
        return now >= facts.deadlineAt
          ? end("failed", outcome.problem, ["discard-new"])
          : { next: wait(at, outcome.problem, facts, now, outcome.retryAfterMs), effects: [] };
      }
      return stay(at);
    case "deliver":
      if (outcome.kind === "all-held") return end("succeeded", null, ["promote"]);
      if (outcome.kind === "overdue") return late(at, facts, now);
      return stay(at);
    case "put-back":
      if (outcome.kind === "all-held") return end("failed", at.problem, ["discard-new"]);
      if (outcome.kind === "old-gone" && !facts.oldIsCurrent) return turnRound(at, facts, now);
      if (outcome.kind === "overdue") return { next: { ...at, dueAt: now + DAILY_MS }, effects: [] };
      return stay(at);
    case "done":
      return stay(at);
  }
}

function go(step: RotationStep, dueAt: number): Position {
  return { step, state: "running", attempt: 0, dueAt, problem: null };
}

function stay(at: Position): Transition {
  return { next: at, effects: [] };
}

function end(
  state: "succeeded" | "failed" | "cancelled",
  problem: string | null,
  effects: Effect[],
): Transition {
  return { next: { step: "done", state, attempt: 0, dueAt: null, problem }, effects };
}

/** Nothing has changed at the service, so it can wait for the cause to go away, until the deadline. */
function block(at: Position, problem: string, facts: Facts, now: number, retryAfterMs?: number): Transition {
  if (now >= facts.deadlineAt) return end("failed", problem, []);
  const next: Position = { ...wait(at, problem, facts, now, retryAfterMs), state: "blocked" };
  return { next, effects: at.state === "blocked" ? [] : ["announce-blocked"] };
}

function wait(at: Position, problem: string, facts: Facts, now: number, retryAfterMs?: number): Position {
  const dueAt = Math.min(now + backoffMs(BACKOFF_MS, at.attempt, facts.unit, retryAfterMs), facts.deadlineAt);
  return { ...at, attempt: at.attempt + 1, dueAt, problem };
}

/** What is minted when the deadline has come could only be put back at once. */
function mint(facts: Facts, now: number): Transition {
  return facts.hasRequired && now >= facts.deadlineAt
    ? end("failed", "everything answered too late to deliver in time", [])
    : { next: go("mint", now), effects: [] };
}

/** The value that was being put back died, so the new one goes out after all, unless that is dead too. */
function turnRound(at: Position, facts: Facts, now: number): Transition {
  return facts.newIsPending ? deliver(facts, now) : end("cancelled", at.problem, []);
}

function deliver(facts: Facts, now: number): Transition {
  if (!facts.hasRequired) return end("succeeded", null, ["send-new", "promote"]);
  return { next: go("deliver", Math.max(facts.deadlineAt, now)), effects: ["send-new"] };
}

/**
 * Not every required destination confirmed in time. With the old value still current everything goes back to it; both live
 * until each destination that may have seen the new one confirmed the old one. With nothing to go back to, only forward.
 */
function late(at: Position, facts: Facts, now: number): Transition {
  const problem = "a required destination did not confirm in time";
  if (!facts.oldIsCurrent) {
    return { next: { ...at, state: "needs-attention", dueAt: now + DAILY_MS, problem }, effects: [] };
  }
  return putBack("needs-attention", problem, facts, now);
}

function stop(at: Position, problem: string, facts: Facts, now: number): Transition {
  if (at.step === "done") return stay(at);
  if (!facts.hasNew) return end("cancelled", problem, []);
  if (!facts.oldIsCurrent) return end("cancelled", problem, ["discard-new"]);
  return at.step === "put-back" ? stay(at) : putBack("running", problem, facts, now);
}

function putBack(state: RotationState, problem: string, facts: Facts, now: number): Transition {
  if (!facts.wasAttempted) return end("failed", problem, ["send-old", "discard-new"]);
  return {
    next: { step: "put-back", state, attempt: 0, dueAt: now + DAILY_MS, problem },
    effects: ["send-old"],
  };
}
