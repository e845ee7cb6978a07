/** How long to wait before the next try. One table for everything that has no schedule of its own. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** How much longer than its call a worker holds its row. */
export const LEASE_MARGIN_MS = 30 * SECOND;

/**
 * Waits after the first, second… failed try. The first ones ride out a deploy or a lost packet, the middle ones an incident;
 * the last repeats for as long as somebody may still fix it.
 */
export const BACKOFF_MS: readonly number[] = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  6 * HOUR,
];

/** The same, going on to once a day: a revocation is never given up. */
export const REVOCATION_BACKOFF_MS: readonly number[] = [...BACKOFF_MS, 24 * HOUR];

/** Up to a tenth is added, so that what failed together does not come back together. */
const JITTER_SHARE = 0.1;

/**
 * Milliseconds to wait.
 * @param attempt failed tries so far, 0 for the first wait; beyond the table its last entry repeats
 * @param unit a random number in [0, 1)
 * @param retryAfterMs what the other side asked for; never waits less
 */
export function backoffMs(table: readonly number[], attempt: number, unit: number, retryAfterMs = 0): number {
  const base = table[Math.min(attempt, table.length - 1)] ?? 0;
  return Math.max(Math.round(base * (1 + JITTER_SHARE * unit)), retryAfterMs);
}

/** When a clock that nobody vouches for is looked at again. */
export const TIME_ASKED_AGAIN_MS = 60_000;

/** A claim that nobody used by then is void, and a message that brought one is sent again with another. */
export const CLAIM_LASTS_MS = 10 * MINUTE;
