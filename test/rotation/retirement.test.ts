import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BACKOFF_MS, REVOCATION_BACKOFF_MS } from "../../src/rotation/backoff.ts";
import {
  mustRevoke,
  type RetirementOutcome,
  type RetirementPosition,
  retire,
} from "../../src/rotation/retirement.ts";

const NOW = Date.UTC(2040, 0, 1);
const DAY = 24 * 3_600_000;

const inGrace: RetirementPosition = {
  ...{ stage: "previous", serviceRevokedAt: null, attempt: 0, dueAt: NOW },
  ...{ askedAt: null, remindedAt: null },
};
const revoking: RetirementPosition = { ...inGrace, stage: "revoking" };
const confirming: RetirementPosition = { ...revoking, serviceRevokedAt: NOW };

describe("an old version", () => {
  it("is revoked at once when its grace has ended", () => {
    expect(retire(inGrace, { kind: "grace-ended", byService: false }, true, 0, NOW).next).toEqual(revoking);
  });

  it("is tested at once when the service took the revocation", () => {
    expect(retire(revoking, { kind: "revoked" }, true, 0, NOW).next).toEqual(confirming);
  });

  it("is revoked only when it was seen dead", () => {
    const { next, effects } = retire(confirming, { kind: "seen-dead", confirmed: true }, true, 0, NOW);
    expect(next).toMatchObject({ stage: "revoked", dueAt: null });
    expect(effects).toEqual(["bury"]);
  });

  it("is discarded, not revoked, when it was never current", () => {
    const { next } = retire(confirming, { kind: "seen-dead", confirmed: true }, false, 0, NOW);
    expect(next.stage).toBe("discarded");
  });

  it("is tested again when it still works, and revoked again from the third such test on", () => {
    const revokes: boolean[] = [mustRevoke(revoking)];
    for (let at = confirming, n = 0; n < 5; n++) {
      revokes.push(mustRevoke(at));
      at = retire(at, { kind: "still-alive" }, true, 0, NOW).next;
    }
    expect(revokes).toEqual([true, false, false, false, true, true]);
  });

  it("backs off and is announced even when the service says each time that it revoked it", () => {
    let at = confirming;
    let announced = 0;
    for (let n = 0; n < 10; n++) {
      const { next, effects } = retire(at, { kind: "still-alive" }, true, 0, NOW);
      announced += effects.length;
      at = next;
    }
    expect(announced).toBe(1);
    expect(at.dueAt).toBe(NOW + DAY);
  });

  it("waits as long as the service asks", () => {
    const { next } = retire(revoking, { kind: "revoke-failed", retryAfterMs: DAY }, true, 0, NOW);
    expect(next.dueAt).toBe(NOW + DAY);
  });

  it("is left alone by late news", () => {
    for (const stage of ["pending", "current", "revoked", "discarded"] as const) {
      const at = { ...inGrace, stage };
      for (const outcome of [{ kind: "grace-ended", byService: false }, { kind: "revoked" }] as const) {
        expect(retire(at, outcome, true, 0, NOW)).toEqual({ next: at, effects: [] });
      }
    }
    expect(retire(inGrace, { kind: "revoked" }, true, 0, NOW).next).toBe(inGrace);
    expect(retire(inGrace, { kind: "seen-dead", confirmed: true }, true, 0, NOW).next).toBe(inGrace);
  });
});

describe("a revocation that fails", () => {
  it("backs off to once a day and never stops", () => {
    let at = revoking;
    const waits: number[] = [];
    for (let n = 0; n < 12; n++) {
      const now = at.dueAt ?? 0;
      at = retire(at, { kind: "revoke-failed" }, true, 0, now).next;
      waits.push((at.dueAt ?? 0) - now);
    }
    expect(waits.slice(0, REVOCATION_BACKOFF_MS.length)).toEqual([...REVOCATION_BACKOFF_MS]);
    expect(waits.slice(REVOCATION_BACKOFF_MS.length)).toEqual([DAY, DAY, DAY, DAY]);
  });

  it("is announced as stuck exactly once on its way up, and again on another way up", () => {
    let at = revoking;
    const announced = () => {
      let count = 0;
      for (let n = 0; n < 3 * BACKOFF_MS.length; n++) {
        const { next, effects } = retire(at, { kind: "revoke-failed" }, true, 0, NOW);
        count += effects.filter((effect) => effect === "announce-stuck").length;
        at = next;
      }
      return count;
    };
    expect(announced()).toBe(1);
    at = retire(at, { kind: "revoked" }, true, 0, NOW).next;
    expect(announced()).toBe(1);
  });
});

describe("whatever happens to an old version", () => {
  const outcomes = fc.array(
    fc.constantFrom<RetirementOutcome>(
      { kind: "grace-ended", byService: false },
      { kind: "revoked" },
      { kind: "revoke-failed" },
      { kind: "revoke-failed", retryAfterMs: 3 * DAY },
      { kind: "still-alive" },
      { kind: "unclear" },
      { kind: "seen-dead", confirmed: true },
      { kind: "seen-dead", confirmed: false },
    ),
    { maxLength: 60 },
  );

  it("it is dead only after it was seen dead, stays dead, and until then is always due again", () => {
    fc.assert(
      fc.property(
        outcomes,
        fc.boolean(),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        (all, wasCurrent, unit) => {
          let at = inGrace;
          let now = NOW;
          let burials = 0;
          for (const outcome of all) {
            const before = at;
            const { next, effects } = retire(at, outcome, wasCurrent, unit, now);
            burials += effects.filter((effect) => effect === "bury").length;
            const isDead = next.stage === "revoked" || next.stage === "discarded";
            if (isDead && before.stage !== next.stage) expect(outcome.kind).toBe("seen-dead");
            expect(isDead).toBe(burials === 1);
            expect(next.dueAt === null).toBe(isDead);
            if (next.dueAt !== null) expect(next.dueAt - now).toBeLessThanOrEqual(3 * DAY);
            if (next.stage === "previous") expect(next).toEqual(inGrace);
            now = Math.max(now, next.dueAt ?? now);
            at = next;
          }
          expect(burials).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  it("that only a person can end asks for that at once, is looked at again, and asks no more once it is seen dead", () => {
    const waits = (canSee: boolean): RetirementOutcome => ({ kind: "waits-for-person", canSee });
    const asked = retire(revoking, waits(true), true, 0, NOW);
    expect(asked.effects).toEqual(["ask-person"]);
    expect(asked.next).toMatchObject({ askedAt: NOW, remindedAt: NOW, attempt: 0, dueAt: NOW + 3_600_000 });
    const looked = retire(asked.next, waits(true), true, 0, NOW + 3_600_000);
    expect(looked).toMatchObject({ effects: [], next: { dueAt: NOW + 7_200_000, remindedAt: NOW } });
    expect(retire(asked.next, waits(false), true, 0, NOW + 1).next.dueAt).toBe(NOW + DAY);
    const dead = retire(looked.next, { kind: "seen-dead", confirmed: true }, true, 0, NOW + DAY);
    expect(dead).toMatchObject({ effects: ["bury"], next: { stage: "revoked", askedAt: null } });
  });
});
