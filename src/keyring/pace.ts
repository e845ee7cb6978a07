/**
 * How fast one caller may destroy by tools: so many calls in any minute. In memory only: an object that was called a minute ago is still
 * there, and one that is not has forgotten nothing that matters.
 */
const DESTRUCTIVE_CALLS_A_MINUTE = 5;
const MINUTE_MS = 60_000;

export class Pace {
  readonly #calls = new Map<string, number[]>();

  /**
   * Counts one call.
   * @returns undefined, or when the next one is taken (milliseconds since the epoch) of a caller who is too fast
   */
  take(caller: string, now: number): number | undefined {
    for (const [id, times] of this.#calls) if ((times.at(-1) ?? 0) <= now - MINUTE_MS) this.#calls.delete(id);
    const recent = (this.#calls.get(caller) ?? []).filter((at) => at > now - MINUTE_MS);
    const [first] = recent;
    if (first !== undefined && recent.length >= DESTRUCTIVE_CALLS_A_MINUTE) return first + MINUTE_MS;
    this.#calls.set(caller, [...recent, now]);
    return undefined;
  }
}
