/**
 * Rows as one transaction has seen and written them, so that one commit does not read the same row again and again. Nothing else runs
 * while a transaction does, and nothing is kept after it.
 */
export class RowCache {
  readonly #rows = new Map<string, unknown>();
  #depth = 0;

  /** Runs a transaction. One that fails takes back what was written, so all is forgotten. */
  during<T>(body: () => T): T {
    this.#depth += 1;
    try {
      return body();
    } catch (error) {
      this.#rows.clear();
      throw error;
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) this.#rows.clear();
    }
  }

  /** What is known under a name, or what `read` gives. */
  get<T>(name: string, read: () => T): T {
    if (this.#depth === 0) return read();
    if (this.#rows.has(name)) return this.#rows.get(name) as T;
    const found = read();
    this.#rows.set(name, found);
    return found;
  }

  /** Changes what is known under a name, if anything is. */
  patch<T extends object>(name: string, patch: Partial<T>): void {
    const known = this.#rows.get(name) as T | undefined;
    if (known) this.#rows.set(name, { ...known, ...patch });
    else this.#rows.delete(name);
  }

  forget(name: string): void {
    this.#rows.delete(name);
  }
}
