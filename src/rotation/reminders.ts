/** When a person is reminded of what only a person can do. Pure: times are milliseconds since the epoch. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * After the day on which it was first asked for. The first ones catch who had no time that day, or was away over a weekend; the later
 * ones who was on leave. The last interval repeats for as long as it is not done.
 */
const REMINDERS_MS: readonly number[] = [
  1 * DAY_MS, // the next day
  3 * DAY_MS, // a weekend later
  7 * DAY_MS, // in next week's meeting
  14 * DAY_MS, // after a leave
];
const LAST_INTERVAL_MS = 14 * DAY_MS;

/** What is asked for is looked at each hour of the first day, as it is usually done then, and four times a day after that. */
const LOOK_FIRST_MS = HOUR_MS;
const LOOK_LATER_MS = 6 * HOUR_MS;

export interface Asked {
  /** Since when a person is asked; null while nobody is. */
  askedAt: number | null;
  /** When that was last said. It outlives the answer, so that nobody hears of one thing twice in a day. */
  remindedAt: number | null;
}

/** When a person is reminded next: at once when nobody was yet, and never twice within a day. */
export function nextReminderAt({ askedAt, remindedAt }: Asked): number {
  if (remindedAt === null) return askedAt ?? 0;
  const least = remindedAt + DAY_MS;
  if (askedAt === null) return least;
  const planned = REMINDERS_MS.map((after) => askedAt + after).find((at) => at >= least);
  return planned ?? remindedAt + LAST_INTERVAL_MS;
}

/** When it is looked at again whether it was done. */
export function nextLookAt(askedAt: number, now: number): number {
  return now + (now - askedAt < DAY_MS ? LOOK_FIRST_MS : LOOK_LATER_MS);
}
