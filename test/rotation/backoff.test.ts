import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BACKOFF_MS, backoffMs, REVOCATION_BACKOFF_MS } from "../../src/rotation/backoff.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

describe("the backoff table", () => {
  it("waits 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, then 6 h", () => {
    const waits = [0, 1, 2, 3, 4, 5, 6].map((attempt) => backoffMs(BACKOFF_MS, attempt, 0));
    expect(waits).toEqual([
      5 * SECOND,
      30 * SECOND,
      2 * MINUTE,
      10 * MINUTE,
      30 * MINUTE,
      2 * HOUR,
      6 * HOUR,
    ]);
  });

  it("repeats its last entry without end", () => {
    expect(backoffMs(BACKOFF_MS, 7, 0)).toBe(6 * HOUR);
    expect(backoffMs(BACKOFF_MS, 10_000, 0)).toBe(6 * HOUR);
  });

  it("goes on to once a day for revocations", () => {
    expect(backoffMs(REVOCATION_BACKOFF_MS, 6, 0)).toBe(6 * HOUR);
    expect(backoffMs(REVOCATION_BACKOFF_MS, 7, 0)).toBe(24 * HOUR);
    expect(backoffMs(REVOCATION_BACKOFF_MS, 999, 0)).toBe(24 * HOUR);
  });
});

describe("a wait", () => {
  const attempts = fc.nat({ max: 40 });
  const units = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  it("has a jitter of at most a tenth, never less than the table says", () => {
    fc.assert(
      fc.property(attempts, units, (attempt, unit) => {
        const base = backoffMs(BACKOFF_MS, attempt, 0);
        const wait = backoffMs(BACKOFF_MS, attempt, unit);
        expect(wait).toBeGreaterThanOrEqual(base);
        expect(wait).toBeLessThanOrEqual(Math.round(base * 1.1));
      }),
    );
  });

  it("uses its jitter: what failed together does not come back together", () => {
    expect(backoffMs(BACKOFF_MS, 3, 0.9)).toBeGreaterThan(backoffMs(BACKOFF_MS, 3, 0.1));
  });

  it("is never shorter than what the other side asked for", () => {
    fc.assert(
      fc.property(attempts, units, fc.nat({ max: 24 * HOUR }), (attempt, unit, asked) => {
        expect(backoffMs(BACKOFF_MS, attempt, unit, asked)).toBe(
          Math.max(backoffMs(BACKOFF_MS, attempt, unit), asked),
        );
      }),
    );
  });

  it("is not shortened by an answer that asks for less", () => {
    expect(backoffMs(BACKOFF_MS, 4, 0, SECOND)).toBe(30 * MINUTE);
  });
});
