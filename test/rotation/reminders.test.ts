/** When a person is reminded: by the table, and never twice within a day. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nextLookAt, nextReminderAt } from "../../src/rotation/reminders.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2040, 0, 1);

describe("a reminder", () => {
  it("comes at once when nobody was told yet", () => {
    expect(nextReminderAt({ askedAt: null, remindedAt: null })).toBe(0);
    expect(nextReminderAt({ askedAt: NOW, remindedAt: null })).toBe(NOW);
  });

  it("comes again by the table, counted from the first, and then at the last interval for ever", () => {
    const days = [0];
    for (let n = 0; n < 7; n++) {
      const remindedAt = NOW + (days.at(-1) ?? 0) * DAY;
      days.push((nextReminderAt({ askedAt: NOW, remindedAt }) - NOW) / DAY);
    }
    expect(days).toEqual([0, 1, 3, 7, 14, 28, 42, 56]);
  });

  it("that came late puts the next one off only as far as a day after it", () => {
    expect(nextReminderAt({ askedAt: NOW, remindedAt: NOW + 2.5 * DAY })).toBe(NOW + 7 * DAY);
    expect(nextReminderAt({ askedAt: NOW, remindedAt: NOW + 1.9 * DAY })).toBe(NOW + 3 * DAY);
  });

  it("never comes twice within a day, whatever was done in between, and never later than two weeks", () => {
    const time = fc.integer({ min: 0, max: 400 * DAY });
    fc.assert(
      fc.property(fc.option(time), time, (asked, after) => {
        const askedAt = asked === null ? null : NOW + asked;
        const remindedAt = NOW + (asked ?? 0) + after;
        const wait = nextReminderAt({ askedAt, remindedAt }) - remindedAt;
        return wait >= DAY && wait <= 14 * DAY;
      }),
    );
  });
});

describe("a look at whether it was done", () => {
  it("comes each hour of the first day, then four times a day", () => {
    expect(nextLookAt(NOW, NOW)).toBe(NOW + HOUR);
    expect(nextLookAt(NOW, NOW + DAY - 1)).toBe(NOW + DAY - 1 + HOUR);
    expect(nextLookAt(NOW, NOW + DAY)).toBe(NOW + DAY + 6 * HOUR);
  });
});
