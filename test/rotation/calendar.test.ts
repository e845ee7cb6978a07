/** Cron expressions, windows and freezes, in any time zone. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  firstAllowed,
  frozenUntil,
  isCron,
  isTimeZone,
  nextMoment,
  openedAt,
} from "../../src/rotation/calendar.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function utc(text: string): number {
  return Date.parse(`${text}Z`);
}

describe("a cron expression", () => {
  it.each(["0 3 * * 1", "*/15 * * * *", "30 2 1 1,7 *", "0 0 29 2 *", "0 9 * * MON-FRI"])(
    "%s is one",
    (text) => {
      expect(isCron(text)).toBe(true);
    },
  );

  it.each([
    ["", "nothing"],
    ["0 3 * *", "four fields"],
    ["0 0 3 * * 1", "seconds"],
    ["0 3 * * 1 2040", "a year"],
    ["0 0 30 2 *", "a day that never comes"],
    ["60 * * * *", "a minute that is none"],
    ["@daily", "a nickname"],
    ["soon", "a word"],
  ])("%s is none: %s", (text) => {
    expect(isCron(text)).toBe(false);
  });

  it("is read in its time zone, in summer and in winter", () => {
    const schedule = { cron: "0 3 * * *", timeZone: "Europe/Berlin" };
    expect(nextMoment(schedule, utc("2026-07-01T12:00:00"))).toBe(utc("2026-07-02T01:00:00"));
    expect(nextMoment(schedule, utc("2026-12-01T12:00:00"))).toBe(utc("2026-12-02T02:00:00"));
    expect(nextMoment({ cron: "0 3 * * *" }, utc("2026-07-01T12:00:00"))).toBe(utc("2026-07-02T03:00:00"));
  });

  it("comes once on the day that has its hour twice, and on the day that has it not at all", () => {
    const schedule = { cron: "30 2 * * *", timeZone: "Europe/Berlin" };
    const days = (from: string, until: string) => {
      const found: number[] = [];
      for (
        let at = nextMoment(schedule, utc(from));
        at !== null && at < utc(until);
        at = nextMoment(schedule, at)
      ) {
        found.push(at);
      }
      return found;
    };
    expect(days("2026-10-24T12:00:00", "2026-10-26T12:00:00")).toHaveLength(2);
    expect(days("2026-03-28T12:00:00", "2026-03-30T12:00:00")).toHaveLength(2);
  });

  it("names a moment after the given one, never that one itself", () => {
    const at = utc("2026-07-01T03:00:00");
    expect(nextMoment({ cron: "0 3 * * *" }, at)).toBe(at + 24 * HOUR);
    expect(nextMoment({ cron: "0 3 * * *" }, at - 1)).toBe(at);
  });
});

describe("a time zone", () => {
  it("is one that the platform knows", () => {
    expect(["UTC", "Europe/Berlin", "America/New_York"].every(isTimeZone)).toBe(true);
    expect(["", "Mars/Olympus", "Europe"].some(isTimeZone)).toBe(false);
  });
});

describe("a window", () => {
  const nights = { cron: "0 2 * * *", duration: "3h" };

  it("is open from its opening until its time is over", () => {
    const opening = utc("2026-07-01T02:00:00");
    expect(openedAt(nights, opening - 1)).toBeNull();
    expect(openedAt(nights, opening)).toBe(opening);
    expect(openedAt(nights, opening + 3 * HOUR - 1)).toBe(opening);
    expect(openedAt(nights, opening + 3 * HOUR)).toBeNull();
  });

  it("that opens again before it closes counts from the last opening", () => {
    const often = { cron: "0 * * * *", duration: "3h" };
    const at = utc("2026-07-01T02:30:00");
    expect(openedAt(often, at)).toBe(at - 30 * MINUTE);
  });

  it("moves a plan to its next opening, spread over no more than its own length", () => {
    const noon = utc("2026-07-01T12:00:00");
    const opening = utc("2026-07-02T02:00:00");
    expect(firstAllowed(noon, nights, [], 0.5, 0)).toBe(opening);
    expect(firstAllowed(noon, nights, [], 0.5, HOUR)).toBe(opening + 30 * MINUTE);
    expect(firstAllowed(noon, nights, [], 0.5, 100 * HOUR)).toBe(opening + 90 * MINUTE);
  });
});

describe("a freeze", () => {
  const holidays = { from: "2026-12-20T00:00:00Z", until: "2027-01-03T00:00:00+01:00" };

  it("holds from its first moment until its last, in whatever offset they are given", () => {
    const end = utc("2027-01-02T23:00:00");
    expect(frozenUntil([holidays], utc("2026-12-20T00:00:00") - 1)).toBeNull();
    expect(frozenUntil([holidays], utc("2026-12-20T00:00:00"))).toBe(end);
    expect(frozenUntil([holidays], end - 1)).toBe(end);
    expect(frozenUntil([holidays], end)).toBeNull();
  });

  it("moves a plan behind it, and behind the next one that holds then", () => {
    const more = { from: "2027-01-01T00:00:00Z", until: "2027-02-01T00:00:00Z" };
    expect(firstAllowed(utc("2026-12-24T00:00:00"), undefined, [holidays, more], 0, 0)).toBe(
      utc("2027-02-01T00:00:00"),
    );
  });

  it("and a window together plan the first opening after it", () => {
    const nights = { cron: "0 2 * * *", duration: "3h" };
    expect(firstAllowed(utc("2026-12-24T00:00:00"), nights, [holidays], 0, 0)).toBe(
      utc("2027-01-03T02:00:00"),
    );
  });

  it("that never ends inside any window plans nothing", () => {
    const yearly = { cron: "0 0 24 12 *", duration: "1h" };
    const freezes = [{ from: "2020-01-01T00:00:00Z", until: "2999-01-01T00:00:00Z" }];
    const at = firstAllowed(utc("2026-07-01T00:00:00"), yearly, freezes, 0, 0);
    expect(at).toBe(utc("2999-12-24T00:00:00"));
  });
});

describe("whatever the window and the freezes", () => {
  it("a plan is never earlier than asked, and always at a time that is allowed", () => {
    const start = utc("2026-01-01T00:00:00");
    const span = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 60 * 24 }),
        fc.constantFrom("0 2 * * *", "30 */6 * * *", "0 0 * * 1", undefined),
        fc.constantFrom("1h", "30m", "2d"),
        fc.array(span, { maxLength: 4 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer({ min: 0, max: 48 }),
        (hours, cron, duration, spans, spread, spreadHours) => {
          const at = start + hours * HOUR;
          const window = cron === undefined ? undefined : { cron, duration };
          const freezes = spans.map(([day, days]) => ({
            from: new Date(start + day * 24 * HOUR).toISOString(),
            until: new Date(start + (day + days) * 24 * HOUR).toISOString(),
          }));
          const planned = firstAllowed(at, window, freezes, spread, spreadHours * HOUR);
          if (planned === null) throw new Error("these windows always leave a gap");
          expect(planned).toBeGreaterThanOrEqual(at);
          expect(frozenUntil(freezes, planned)).toBeNull();
          if (window) expect(openedAt(window, planned)).not.toBeNull();
        },
      ),
      { numRuns: 300 },
    );
  });
});
