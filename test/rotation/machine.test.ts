import { describe, expect, it } from "vitest";
import { initialPosition, isLive, transition } from "../../src/rotation/machine.ts";
import type { Facts, Outcome, Position } from "../../src/rotation/position.ts";
import type { RotationStep } from "../../src/store/rotations.ts";

const NOW = Date.UTC(2040, 0, 1);
const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const FACTS: Facts = {
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
  isPromoted: false,
  deadlineAt: NOW + 6 * HOUR,
  hasRequired: true,
  oldIsCurrent: true,
  hasNew: true,
  newIsPending: true,
  wasAttempted: true,
  unit: 0,
};

function at(step: RotationStep, change: Partial<Position> = {}): Position {
  return {
    step,
    state: "running",
    attempt: 0,
    dueAt: NOW,
    problem: null,
    ending: null,
    tally: null,
    ...change,
  };
}

function go(from: Position, outcome: Outcome, facts: Partial<Facts> = {}, now = NOW) {
  return transition(from, outcome, { ...FACTS, ...facts }, now);
}

describe("the way forward", () => {
  it("begins with preflight, due at once", () => {
    expect(initialPosition(NOW)).toEqual(at("preflight"));
  });

  it("mints when preflight is green", () => {
    expect(go(at("preflight"), { kind: "preflight-green" })).toEqual({ next: at("mint"), effects: [] });
  });

  it("stores what was minted and tests it", () => {
    expect(go(at("mint"), { kind: "minted" })).toEqual({ next: at("test"), effects: ["store-version"] });
  });

  it("sends what passed its test, and waits for the required ones until the deadline", () => {
    const { next, effects } = go(at("test"), { kind: "test-valid" });
    expect(next).toEqual(at("deliver", { dueAt: FACTS.deadlineAt }));
    expect(effects).toEqual(["send-new"]);
  });

  it("promotes in the same commit when nobody is required", () => {
    const { next, effects } = go(at("test"), { kind: "test-valid" }, { hasRequired: false });
    expect(effects).toEqual(["send-new", "promote"]);
    expect(next).toEqual(at("done", { state: "succeeded", dueAt: null }));
  });

  it("promotes when all required ones hold it", () => {
    const { next, effects } = go(at("deliver"), { kind: "all-held" });
    expect(effects).toEqual(["promote"]);
    expect(next.state).toBe("succeeded");
    expect(isLive(next)).toBe(false);
  });
});

describe("preflight that is red", () => {
  const red: Outcome = { kind: "preflight-red", problem: "hook answered 503" };

  it("blocks, says why, and is announced once", () => {
    const first = go(at("preflight"), red);
    expect(first.next).toEqual(
      at("preflight", {
        state: "blocked",
        attempt: 1,
        dueAt: NOW + 5 * SECOND,
        problem: "hook answered 503",
      }),
    );
    expect(first.effects).toEqual(["announce-blocked"]);
    const second = go(first.next, red);
    expect(second.next).toMatchObject({ state: "blocked", attempt: 2, dueAt: NOW + 30 * SECOND });
    expect(second.effects).toEqual([]);
  });

  it("waits as long as the receiver asks, but not past the deadline", () => {
    const asked = { ...red, retryAfterMs: HOUR };
    expect(go(at("preflight"), asked).next.dueAt).toBe(NOW + HOUR);
    expect(go(at("preflight"), { ...red, retryAfterMs: DAY }).next.dueAt).toBe(FACTS.deadlineAt);
  });

  it("fails at the deadline with nothing minted", () => {
    const { next, effects } = go(at("preflight"), red, { hasNew: false }, FACTS.deadlineAt);
    expect(next).toMatchObject({ step: "done", state: "failed", problem: "hook answered 503", dueAt: null });
    expect(effects).toEqual([]);
  });

  it("does not mint what there is no time left to deliver", () => {
    const { next, effects } = go(at("preflight"), { kind: "preflight-green" }, {}, FACTS.deadlineAt);
    expect(next).toMatchObject({ step: "done", state: "failed" });
    expect(effects).toEqual([]);
    const nobody = { hasRequired: false };
    expect(go(at("preflight"), { kind: "preflight-green" }, nobody, FACTS.deadlineAt).next.step).toBe("mint");
  });

  it("runs on from where it stood when it is green again", () => {
    const blocked = at("preflight", { state: "blocked", attempt: 4, problem: "down" });
    expect(go(blocked, { kind: "preflight-green" }).next).toEqual(at("mint"));
  });
});

describe("minting and testing that go wrong", () => {
  it("fails when the service refuses to mint", () => {
    const { next, effects } = go(at("mint"), { kind: "mint-refused", problem: "403" }, { hasNew: false });
    expect(next).toMatchObject({ step: "done", state: "failed", problem: "403" });
    expect(effects).toEqual(["rest-schedule"]);
  });

  it("waits when the service says later, and looks at everything again", () => {
    const postponed: Outcome = { kind: "mint-postponed", problem: "429", retryAfterMs: HOUR };
    expect(go(at("mint"), postponed).next).toMatchObject({
      step: "preflight",
      state: "blocked",
      dueAt: NOW + HOUR,
    });
  });

  it("discards a value that was rejected, and the old one stays", () => {
    const { next, effects } = go(at("test"), { kind: "test-rejected", problem: "401" });
    expect(next).toMatchObject({ step: "done", state: "failed", problem: "401" });
    expect(effects).toEqual(["discard-new"]);
  });

  it("asks again when a test says nothing, and discards at the deadline", () => {
    const unclear: Outcome = { kind: "test-indeterminate", problem: "timeout" };
    expect(go(at("test"), unclear).next).toMatchObject({ step: "test", attempt: 1, dueAt: NOW + 5 * SECOND });
    expect(go(at("test"), unclear, {}, FACTS.deadlineAt)).toMatchObject({
      next: { step: "done", state: "failed" },
      effects: ["discard-new"],
    });
  });
});

describe("a delivery that comes too late", () => {
  const overdue: Outcome = { kind: "overdue" };

  it("puts the old value back before anything is discarded", () => {
    const { next, effects } = go(at("deliver"), overdue, {}, FACTS.deadlineAt);
    expect(next).toMatchObject({ step: "put-back", state: "needs-attention" });
    expect(next.dueAt).toBe(FACTS.deadlineAt + DAY);
    expect(effects).toEqual(["send-old"]);
  });

  it("discards at once when nothing was attempted anywhere", () => {
    const { next, effects } = go(at("deliver"), overdue, { wasAttempted: false });
    expect(next).toMatchObject({ step: "done", state: "failed" });
    expect(effects).toEqual(["send-old", "discard-new"]);
  });

  it("only goes forward when there is nothing to go back to", () => {
    const { next, effects } = go(at("deliver"), overdue, { oldIsCurrent: false });
    expect(next).toMatchObject({ step: "deliver", state: "needs-attention", dueAt: NOW + DAY });
    expect(effects).toEqual([]);
  });

  it("discards the new value when all hold the old one again", () => {
    const { next, effects } = go(at("put-back", { problem: "late" }), { kind: "all-held" });
    expect(next).toMatchObject({ step: "done", state: "failed", problem: "late" });
    expect(effects).toEqual(["discard-new"]);
  });

  it("looks once a day at a put-back that nobody confirms", () => {
    const { next, effects } = go(at("put-back"), overdue);
    expect(next).toEqual(at("put-back", { dueAt: NOW + DAY }));
    expect(effects).toEqual([]);
  });

  it("turns round when the old value dies while it is being put back", () => {
    const { next, effects } = go(at("put-back"), { kind: "old-gone" }, { oldIsCurrent: false });
    expect(next).toEqual(at("deliver", { dueAt: FACTS.deadlineAt }));
    expect(effects).toEqual(["send-new"]);
  });

  it("does not turn round while the old value is current", () => {
    expect(go(at("put-back"), { kind: "old-gone" })).toEqual({ next: at("put-back"), effects: [] });
  });

  it("gives up when both values are dead", () => {
    const facts = { oldIsCurrent: false, newIsPending: false };
    const { next, effects } = go(at("put-back"), { kind: "old-gone" }, facts);
    expect(next).toMatchObject({ step: "done", state: "cancelled" });
    expect(effects).toEqual([]);
  });
});

describe("a rotation that a person stops", () => {
  const stopped: Outcome = { kind: "stopped", problem: "the key was deleted" };

  it("ends at once when nothing was minted", () => {
    expect(go(at("preflight"), stopped, { hasNew: false })).toMatchObject({
      next: { step: "done", state: "cancelled", problem: "the key was deleted" },
      effects: [],
    });
  });

  it("discards what was minted when the old value is gone too", () => {
    expect(go(at("deliver"), stopped, { oldIsCurrent: false })).toMatchObject({
      next: { step: "done", state: "cancelled" },
      effects: ["discard-new"],
    });
  });

  it("puts the old value back first when that is still current", () => {
    expect(go(at("deliver"), stopped)).toMatchObject({
      next: { step: "put-back", state: "running" },
      effects: ["send-old"],
    });
  });

  it.each([true, false])(
    "makes another where the service ends the old value, which goes back to where the new one may be: %s",
    (wasAttempted) => {
      const facts = { overlap: "provider", oldEndsAt: NOW + DAY, wasAttempted } as const;
      expect(go(at("deliver"), stopped, facts)).toMatchObject({
        next: { step: "preflight", state: "running", problem: "the key was deleted" },
        effects: wasAttempted ? ["send-old", "discard-new"] : ["discard-new"],
      });
    },
  );

  it("goes on putting back when it is at that already", () => {
    const from = at("put-back", { state: "needs-attention", problem: "late" });
    expect(go(from, stopped)).toEqual({ next: from, effects: [] });
  });
});

describe("late news", () => {
  const OUTCOMES: Outcome[] = [
    { kind: "preflight-green" },
    { kind: "preflight-red", problem: "x" },
    { kind: "old-dead", problem: "x" },
    { kind: "minted" },
    { kind: "mint-refused", problem: "x" },
    { kind: "mint-postponed", problem: "x" },
    { kind: "test-valid" },
    { kind: "test-rejected", problem: "x" },
    { kind: "test-indeterminate", problem: "x" },
    { kind: "all-held" },
    { kind: "overdue" },
    { kind: "old-gone" },
  ];
  const HEARD: Record<RotationStep, Outcome["kind"][]> = {
    preflight: ["preflight-green", "preflight-red", "old-dead"],
    mint: ["minted", "mint-refused", "mint-postponed"],
    settle: ["minted", "mint-refused", "mint-postponed"],
    sweep: [],
    test: ["test-valid", "test-rejected", "test-indeterminate"],
    deliver: ["all-held", "overdue"],
    "put-back": ["all-held", "overdue", "old-gone"],
    done: [],
  };

  it.each(Object.keys(HEARD) as RotationStep[])("changes nothing at %s", (step) => {
    for (const outcome of OUTCOMES.filter(({ kind }) => !HEARD[step].includes(kind))) {
      const from = at(step);
      const { next, effects } = go(from, outcome);
      expect(next, outcome.kind).toBe(from);
      expect(effects).toEqual([]);
    }
  });

  it("changes nothing once it has ended, not even a stop", () => {
    const ended = at("done", { state: "succeeded", dueAt: null });
    expect(go(ended, { kind: "stopped", problem: "x" })).toEqual({ next: ended, effects: [] });
  });
});
