/**
 * Rows as they were last read and written, so that none is read again while it is at work. Nobody but a keyring's own object writes its
 * database, so one that is kept stays true for as long as the object lives; a transaction that fails forgets everything.
 */

import type { Holder } from "./held-sql.ts";

/** Then all is forgotten and read anew. About as many megabytes as thousands. */
const MAX_ENTRIES = 10_000;

export class RowCache implements Holder {
  readonly #rows = new Map<string, unknown>();
  readonly #isKept: boolean;
  readonly #watchers = new Set<(name: string) => void>();
  #depth = 0;

  /** @param isKept beyond a transaction: only for whoever makes all the writes */
  constructor(isKept: boolean) {
    this.#isKept = isKept;
  }

  flush(): void {}

  discard(): void {
    this.#rows.clear();
  }

  /** Runs a transaction. */
  during<T>(body: () => T): T {
    this.#depth += 1;
    try {
      return body();
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0 && !this.#isKept) this.#rows.clear();
    }
  }

  /** What is known under a name, or what `read` gives. */
  get<T>(name: string, read: () => T): T {
    if (this.#rows.has(name)) return this.#rows.get(name) as T;
    const found = read();
    // What does not exist is asked for by strangers, too.
    if (found !== undefined || this.#depth > 0) this.put(name, found);
    return found;
  }

  /** Has somebody hear the name of each row that is written. Returns how to stop that. */
  watch(watcher: (name: string) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  put(name: string, value: unknown): void {
    if (this.#depth === 0 && !this.#isKept) return;
    if (this.#rows.size >= MAX_ENTRIES) this.#rows.clear();
    this.#rows.set(name, value);
  }

  /** A row was written. */
  noteWritten(name: string): void {
    for (const watcher of this.#watchers) watcher(name);
  }

  /** Changes what is known under a name, if anything is. */
  patch<T extends object>(name: string, patch: Partial<T>): void {
    this.noteWritten(name);
    const known = this.#rows.get(name) as T | undefined;
    if (known) this.#rows.set(name, { ...known, ...patch });
    else this.#rows.delete(name);
  }

  /** Adds to a list that is known. */
  append<T>(name: string, value: T): void {
    const known = this.#rows.get(name) as readonly T[] | undefined;
    if (known) this.#rows.set(name, [...known, value]);
  }

  forget(name: string): void {
    this.noteWritten(name);
    this.#rows.delete(name);
  }
}
