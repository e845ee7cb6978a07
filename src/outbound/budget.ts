/**
 * What a service allows an account, shared by all that call it: a bucket for each account that fills up evenly. Kept in memory, as a
 * service that is asked too often after a restart says so itself, and when to come back.
 */

/** Calls that a service allows in a stretch of time. */
export interface Allowance {
  readonly calls: number;
  readonly perMs: number;
}

interface Bucket {
  left: number;
  /** When `left` was so, milliseconds since the epoch. */
  at: number;
}

/** Then all is forgotten: more accounts than any keyring calls at once. */
const MAX_ACCOUNTS = 10_000;

/** Of an allowance, what only emergencies may take: they find calls left whatever else has used up the rest. */
const RESERVED_SHARE = 0.1;

/** Calls of an allowance that are kept for emergencies. */
function reservedOf({ calls }: Allowance): number {
  return Math.floor(calls * RESERVED_SHARE);
}

/** Calls that may go out at once for what is no emergency, at the most. */
export function ordinaryCalls(allowance: Allowance): number {
  return allowance.calls - reservedOf(allowance);
}

export class Budgets {
  readonly #buckets = new Map<string, Bucket>();

  /**
   * Takes one call.
   * @param account whose it is
   * @param now milliseconds since the epoch
   * @param isUrgent for an emergency, which may take what is kept back from the others
   * @returns 0 to go ahead, else how long to wait, milliseconds
   */
  take(account: string, allowance: Allowance | undefined, now: number, isUrgent = false): number {
    if (!allowance) return 0;
    const left = this.#leftOf(account, allowance, now);
    const least = 1 + (isUrgent ? 0 : reservedOf(allowance));
    const isFree = left >= least;
    if (this.#buckets.size >= MAX_ACCOUNTS && !this.#buckets.has(account)) this.#buckets.clear();
    this.#buckets.set(account, { left: isFree ? left - 1 : left, at: now });
    return isFree ? 0 : Math.ceil(((least - left) * allowance.perMs) / allowance.calls);
  }

  /** How many calls of an account could go out now that are no emergency; below 0 while an emergency has taken of what is kept back. */
  ordinaryLeft(account: string, allowance: Allowance, now: number): number {
    return this.#leftOf(account, allowance, now) - reservedOf(allowance);
  }

  #leftOf(account: string, { calls, perMs }: Allowance, now: number): number {
    const before = this.#buckets.get(account);
    return before ? Math.min(calls, before.left + (Math.max(0, now - before.at) * calls) / perMs) : calls;
  }
}
