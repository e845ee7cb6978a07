/** What comes from outside of a rotation's own course: a person stops, retries or gives up, a value leaks. Pure, like the machine. */
import type { Ending, RotationState } from "../store/rotations.ts";
import { clockRuns, DAILY_MS, deliver, doubt, finish, go, lose, mintAgain, rejected, stay } from "./moves.ts";
import type { Effect, Facts, Position, Transition } from "./position.ts";

/** A person ends it. What is in doubt is settled first; what was minted is put back and revoked, or, with no way back, revoked. */
export function stop(at: Position, problem: string, facts: Facts, now: number): Transition {
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

/** A deadline is no try, so at the steps that wait for deliveries only those are tried again. */
export function retry(at: Position, facts: Facts, now: number, byPerson = true): Transition {
  if (at.step === "done" || at.step === "deliver" || at.step === "put-back") return stay(at);
  if (at.step === "settle" && at.state === "needs-human")
    return byPerson ? mintAgain(at, facts, now, true) : stay(at);
  // Impatience decides nothing before the call can no longer be running; only looking for the marker may start earlier.
  const waits = at.step === "sweep" || (at.step === "settle" && facts.resolver !== "find");
  const dueAt = waits ? Math.max(now, facts.settleAt ?? now) : now;
  return { next: { ...at, attempt: 0, dueAt }, effects: [] };
}

/** The old value leaked: nothing waits any longer that need not, and there is no way back to it. */
export function escalate(at: Position, facts: Facts, now: number): Transition {
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
export function dropLeaked(at: Position, facts: Facts, now: number): Transition {
  const problem = "its new version leaked";
  if (at.step !== "test" && at.step !== "deliver") return stay(at);
  const effects: Effect[] = facts.wasAttempted && facts.oldIsCurrent ? ["send-old"] : [];
  return { next: { ...go("preflight", now), problem }, effects };
}

export function abandon(at: Position, problem: string, facts: Facts, now: number): Transition {
  if (at.step !== "settle" || at.state !== "needs-human") return stay(at);
  if (facts.overlap === "ours") {
    return finish(at.ending ?? { state: "failed", problem }, ["lose-version"], facts, now);
  }
  return lose(problem, facts, now);
}

export function putBack(ending: Ending, state: RotationState, facts: Facts, now: number): Transition {
  if (!facts.wasAttempted) return finish(ending, ["send-old", "discard-new"], facts, now);
  return {
    next: { ...go("put-back", now + DAILY_MS), state, problem: ending.problem },
    effects: ["send-old"],
  };
}
