/** The demo's claims: each is checked, and one that does not hold says what was expected and what was seen. */
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;

/** A claim that did not hold. */
export class Unexpected extends Error {
  readonly expected: string;
  readonly seen: string;

  constructor(what: string, expected: string, seen: string) {
    super(what);
    this.expected = expected;
    this.seen = seen;
  }
}

/** What one look found: `undefined` in `found` means not yet, and `seen` says what there was instead. */
export interface Look<T> {
  found: T | undefined;
  seen: string;
}

export class Checks {
  readonly #alarm: () => string | undefined;
  #passed = 0;

  /** @param alarm says what went wrong meanwhile, such as a process that ended; looked at while waiting */
  constructor(alarm: () => string | undefined) {
    this.#alarm = alarm;
  }

  get passed(): number {
    return this.#passed;
  }

  /** @throws Unexpected unless the two are the same. */
  equal(
    what: string,
    seen: string | number | boolean | null,
    expected: string | number | boolean | null,
  ): void {
    this.holds(what, seen === expected, String(expected), String(seen));
  }

  /** @throws Unexpected unless it holds. */
  holds(what: string, holds: boolean, expected: string, seen: string): void {
    if (!holds) throw new Unexpected(what, expected, seen);
    this.#passed += 1;
  }

  /** Looks again and again until something is found. */
  async until<T>(what: string, expected: string, withinMs: number, look: () => Promise<Look<T>>): Promise<T> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      const wrong = this.#alarm();
      if (wrong !== undefined) throw new Unexpected(what, expected, wrong);
      const { found, seen } = await look();
      if (found !== undefined) {
        this.#passed += 1;
        return found;
      }
      if (Date.now() > deadline) throw new Unexpected(what, `${expected} within ${withinMs / 1_000} s`, seen);
      await sleep(POLL_MS);
    }
  }
}
