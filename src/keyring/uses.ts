/**
 * What verification counts: when each version was last seen, and how often each key with a limit was found valid. Counted in memory
 * before the answer, by key and not by version, and written at most once a minute, so that a verification writes nothing and a crash
 * forgets a minute at most. A count that reaches its limit is written at once: what is used up stays so.
 */
import { parseDuration } from "../duration.ts";
import type { KeyUseRow } from "../store/key-uses.ts";
import type { Store } from "../store/store.ts";
import type { Verifiable } from "../store/verifiables.ts";

const WRITTEN_EVERY_MS = 60_000;

/** So many versions are written before their minute is over, so that no write takes long. */
const MAX_SEEN = 5_000;

export interface Admission {
  isAdmitted: boolean;
  /** What the limits leave; null without one. */
  remaining: number | null;
  /** When the next window begins; null when waiting does not help. */
  retryAfterMs: number | null;
}

const NO_LIMIT: Admission = { isAdmitted: true, remaining: null, retryAfterMs: null };

interface Count extends KeyUseRow {
  isWritten: boolean;
}

export class Uses {
  readonly #store: Store;
  readonly #later: (run: () => void, delayMs: number) => void;
  readonly #seen = new Map<string, number>();
  readonly #counts = new Map<string, Count>();
  #isWriteDue = false;

  /** @param later runs something after a while, if this instance lives that long */
  constructor(store: Store, later: (run: () => void, delayMs: number) => void) {
    this.#store = store;
    this.#later = later;
  }

  /** Somebody presented this version. */
  see(versionId: string, now: number): void {
    this.#seen.set(versionId, now);
    if (this.#seen.size < MAX_SEEN) this.#writeLater();
    else this.write();
  }

  /** Counts one valid answer against the key's limits, unless they are used up. */
  admit({ id, verification: { rateLimit, usage } }: Verifiable["key"], now: number): Admission {
    if (!rateLimit && !usage) return NO_LIMIT;
    const perMs = rateLimit ? parseDuration(rateLimit.per) : 0;
    const count = this.#countOf(id, now, perMs);
    const left = usage ? Math.max(0, usage.limit - count.uses) : null;
    const inWindow = rateLimit ? Math.max(0, rateLimit.limit - count.windowUses) : null;
    if (left === 0) return { isAdmitted: false, remaining: 0, retryAfterMs: null };
    if (inWindow === 0)
      return { isAdmitted: false, remaining: 0, retryAfterMs: count.windowAt + perMs - now };
    if (usage) count.uses += 1;
    if (rateLimit) count.windowUses += 1;
    count.isWritten = false;
    if (left === 1) this.write();
    else this.#writeLater();
    return {
      isAdmitted: true,
      remaining: Math.min(left ?? Infinity, inWindow ?? Infinity) - 1,
      retryAfterMs: null,
    };
  }

  /** A key's `usage` was set: it counts from 0. */
  restart(keyId: string): void {
    const count = this.#counts.get(keyId);
    if (count) count.uses = 0;
  }

  /** Writes what was counted since it was last written. */
  write(): void {
    const { versions, keyUses } = this.#store;
    this.#store.transaction(() => {
      for (const [id, at] of this.#seen) {
        const row = versions.get(id);
        if (row) versions.update(row, { lastSeenAt: Math.max(at, row.lastSeenAt ?? 0) });
      }
      for (const { id, uses, windowAt, windowUses, isWritten } of this.#counts.values()) {
        if (!isWritten) keyUses.put({ id, uses, windowAt, windowUses });
      }
    });
    this.#seen.clear();
    this.#counts.clear();
  }

  #countOf(id: string, now: number, perMs: number): Count {
    let count = this.#counts.get(id);
    if (!count) {
      const stored = this.#store.keyUses.get(id) ?? { id, uses: 0, windowAt: 0, windowUses: 0 };
      count = { ...stored, isWritten: true };
      this.#counts.set(id, count);
    }
    if (perMs > 0 && now >= count.windowAt + perMs) {
      count.windowAt = now - (now % perMs);
      count.windowUses = 0;
    }
    return count;
  }

  #writeLater(): void {
    if (this.#isWriteDue) return;
    this.#isWriteDue = true;
    this.#later(() => {
      this.#isWriteDue = false;
      this.write();
    }, WRITTEN_EVERY_MS);
  }
}
