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

export class Budgets {
  readonly #buckets = new Map<string, Bucket>();

  /**
   * Takes one call.
   * @param account whose it is
   * @param now milliseconds since the epoch
   * @returns 0 to go ahead, else how long to wait, milliseconds
   */
  take(account: string, allowance: Allowance | undefined, now: number): number {
    if (!allowance) return 0;
    const { calls, perMs } = allowance;
    const before = this.#buckets.get(account);
    const filled = before ? before.left + (Math.max(0, now - before.at) * calls) / perMs : calls;
    const left = Math.min(calls, filled);
    if (this.#buckets.size >= MAX_ACCOUNTS && !before) this.#buckets.clear();
    this.#buckets.set(account, { left: left >= 1 ? left - 1 : left, at: now });
    return left >= 1 ? 0 : Math.ceil(((1 - left) * perMs) / calls);
  }
}
