/** Whatever happens, in whatever order: the machine as a model of a service with two values, driven by random outcomes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { initialPosition, isLive, transition } from "../../src/rotation/machine.ts";
import type { Effect, Facts, Outcome, Position } from "../../src/rotation/position.ts";

const START = Date.UTC(2040, 0, 1);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

type Happening =
  | { kind: "outcome"; outcome: Outcome; afterMs: number }
  /** A person revokes the value that is current. */
  | { kind: "old-revoked"; afterMs: number }
  /** A person revokes the value that was minted. */
  | { kind: "new-revoked"; afterMs: number }
  /** A delivery of the new value is sent, wherever the rotation stands. */
  | { kind: "attempt"; afterMs: number };

const OUTCOMES: Outcome[] = [
  { kind: "preflight-green" },
  { kind: "preflight-red", problem: "red" },
  { kind: "preflight-red", problem: "red", retryAfterMs: 9 * HOUR },
  { kind: "minted" },
  { kind: "mint-refused", problem: "refused" },
  { kind: "mint-postponed", problem: "later" },
  { kind: "test-valid" },
  { kind: "test-rejected", problem: "rejected" },
  { kind: "test-indeterminate", problem: "unclear" },
  { kind: "all-held" },
  { kind: "overdue" },
  { kind: "old-gone" },
  { kind: "stopped", problem: "stopped" },
];
/** The ones that lead on, so that many runs get far. */
const FORWARD: Outcome["kind"][] = ["preflight-green", "minted", "test-valid"];

const afterMs = fc.constantFrom(0, 50, 5_000, HOUR, 7 * HOUR, 2 * DAY);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("outcome" as const),
      outcome: fc.constantFrom(...OUTCOMES),
      afterMs,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("outcome" as const),
      outcome: fc.constantFrom(...OUTCOMES.filter(({ kind }) => FORWARD.includes(kind))),
      afterMs: fc.constant(50),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("attempt" as const), afterMs: fc.constant(50) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("old-revoked" as const, "new-revoked" as const), afterMs }),
  },
);
const unit = fc.double({ min: 0, max: 0.99, noNaN: true });

/** One transition with what was true around it. */
interface Seen {
  from: Position;
  outcome: Outcome;
  facts: Facts;
  now: number;
  next: Position;
  effects: Effect[];
  /** Whether a test of the minted value had said valid before or now. */
  wasTested: boolean;
  /** Whether the old value was sent back since the new one was last sent. */
  wasPutBack: boolean;
}

function run(happenings: Happening[], hasRequired: boolean, unitValue: number): Seen[] {
  const seen: Seen[] = [];
  let position = initialPosition(START);
  let now = START;
  const stages: {
    old: "current" | "previous" | "revoking";
    fresh: "none" | "pending" | "current" | "revoking";
  } = {
    old: "current",
    fresh: "none",
  };
  let wasTested = false;
  let wasAttempted = false;
  let isSending = false;
  let wasPutBack = false;

  const feed = (outcome: Outcome) => {
    const facts: Facts = {
      overlap: "ours",
      resolver: "nobody",
      escalated: false,
      mints: 1,
      settleAt: null,
      isMinting: false,
      maySurface: false,
      oldEndsAt: null,
      mintedAt: null,
      propagationMs: 0,
      isPromoted: stages.fresh === "current",
      deadlineAt: START + 6 * HOUR,
      hasRequired,
      oldIsCurrent: stages.old === "current",
      hasNew: stages.fresh !== "none",
      newIsPending: stages.fresh === "pending",
      wasAttempted,
      unit: unitValue,
    };
    const from = position;
    const { next, effects } = transition(from, outcome, facts, now);
    if (from.step === "test" && outcome.kind === "test-valid") wasTested = true;
    for (const effect of effects) {
      if (effect === "store-version") stages.fresh = "pending";
      if (effect === "send-new") {
        isSending = true;
        wasPutBack = false;
      }
      if (effect === "send-old") {
        isSending = false;
        wasPutBack = true;
      }
      if (effect === "promote") {
        if (stages.old === "current") stages.old = "previous";
        stages.fresh = "current";
      }
      if (effect === "discard-new" && stages.fresh === "pending") stages.fresh = "revoking";
    }
    seen.push({ from, outcome, facts, now, next, effects, wasTested, wasPutBack });
    position = next;
  };

  for (const event of happenings) {
    now += event.afterMs;
    switch (event.kind) {
      case "outcome":
        // The engine never says these of itself: they come from the two cases below.
        if (event.outcome.kind !== "old-gone" || stages.old !== "current") feed(event.outcome);
        break;
      case "attempt":
        if (isSending) wasAttempted = true;
        break;
      case "old-revoked":
        if (stages.old === "current") stages.old = "revoking";
        feed({ kind: "old-gone" });
        break;
      case "new-revoked":
        if (stages.fresh !== "pending") break;
        stages.fresh = "revoking";
        feed({ kind: "stopped", problem: "its new version was revoked" });
        break;
    }
  }
  return seen;
}

function always(claim: (step: Seen, all: Seen[]) => void): void {
  fc.assert(
    fc.property(
      fc.array(happening, { maxLength: 40 }),
      fc.boolean(),
      unit,
      (happenings, hasRequired, unitValue) => {
        const all = run(happenings, hasRequired, unitValue);
        for (const step of all) claim(step, all);
      },
    ),
    { numRuns: 2_000 },
  );
}

describe("whatever happens to a rotation", () => {
  it("promotes only a value that was tested and still waits to become current", () => {
    always(({ effects, facts, wasTested }) => {
      if (!effects.includes("promote")) return;
      expect(wasTested).toBe(true);
      expect(facts.newIsPending).toBe(true);
    });
  });

  it("sends only a value that was tested", () => {
    always(({ effects, wasTested }) => {
      if (effects.includes("send-new")) expect(wasTested).toBe(true);
    });
  });

  it("never both promotes and discards, and neither twice", () => {
    always((_, all) => {
      const ends = all.flatMap((step) =>
        step.effects.filter((effect) => effect === "promote" || effect === "discard-new"),
      );
      expect(ends.length).toBeLessThanOrEqual(1);
    });
  });

  it("mints once at most", () => {
    always((_, all) => {
      expect(all.filter((step) => step.effects.includes("store-version")).length).toBeLessThanOrEqual(1);
    });
  });

  it("is final once it has ended", () => {
    always(({ from, next, effects }) => {
      if (isLive(from)) return;
      expect(next).toBe(from);
      expect(effects).toEqual([]);
    });
  });

  it("is due again exactly as long as it lives", () => {
    always(({ next }) => {
      expect(next.dueAt === null).toBe(!isLive(next));
      expect(["succeeded", "failed", "cancelled"].includes(next.state)).toBe(!isLive(next));
    });
  });

  it("never plans into the past, nor beyond the deadline while nothing is on its way", () => {
    always(({ from, next, facts, now }) => {
      if (next === from || next.dueAt === null) return;
      expect(next.dueAt).toBeGreaterThanOrEqual(Math.min(now, facts.deadlineAt));
      if (next.step === "preflight" || next.step === "mint" || next.step === "test") {
        expect(next.dueAt).toBeLessThanOrEqual(Math.max(facts.deadlineAt, now));
      }
      expect(next.dueAt).toBeLessThanOrEqual(Math.max(facts.deadlineAt, now + DAY));
    });
  });

  it("never discards for lateness when there is nothing to go back to", () => {
    always(({ from, outcome, effects, facts }) => {
      if (from.step !== "deliver" || facts.oldIsCurrent || outcome.kind === "stopped") return;
      expect(effects).not.toContain("discard-new");
    });
  });

  it("at the deadline puts the old value back before it discards the new one", () => {
    always(({ from, outcome, effects, facts, next }) => {
      if (from.step !== "deliver" || outcome.kind !== "overdue" || !facts.oldIsCurrent) return;
      expect(effects[0]).toBe("send-old");
      if (facts.wasAttempted) {
        expect(effects).not.toContain("discard-new");
        expect(next.step).toBe("put-back");
      }
    });
  });

  it("discards what may have been received only after the old value was put back and confirmed", () => {
    always(({ from, outcome, effects, facts, wasPutBack }) => {
      if (!effects.includes("discard-new") || !facts.wasAttempted || !facts.oldIsCurrent) return;
      expect(wasPutBack).toBe(true);
      expect(from.step).toBe("put-back");
      expect(outcome.kind).toBe("all-held");
    });
  });

  it("announces that it is blocked once for each time that it becomes so", () => {
    always(({ from, next, effects }) => {
      expect(effects.includes("announce-blocked")).toBe(next.state === "blocked" && from.state !== "blocked");
    });
  });

  it("always says what it waits for while it does not run, and why it did not succeed", () => {
    always(({ next }) => {
      if (next.state === "running" || next.state === "succeeded") return;
      expect(next.problem).toEqual(expect.any(String));
    });
  });
});
