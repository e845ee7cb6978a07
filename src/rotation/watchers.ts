/** Who waits for a rotation of this instance: for its end, or for the value that it makes. In memory: whoever waits dies with the instance. */
import type { Fields } from "../providers/provider.ts";
import type { RotationRow } from "../store/rotations.ts";

export class Watchers {
  readonly #find: (rotationId: string) => RotationRow | undefined;
  /** Woken whenever a rotation commits. */
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Values of rotations that somebody asked to see, between mint and answer. */
  readonly #revealed = new Map<string, { readers: number; fields: Fields | undefined }>();

  constructor(find: (rotationId: string) => RotationRow | undefined) {
    this.#find = find;
  }

  /** Keeps a rotation's value in memory from its mint until every reader has called `releaseReveal`. */
  holdReveal(rotationId: string): void {
    const held = this.#revealed.get(rotationId);
    if (held) held.readers += 1;
    else this.#revealed.set(rotationId, { readers: 1, fields: undefined });
  }

  /** A rotation made its value: kept if somebody asked to see it. */
  keep(rotationId: string, fields: Fields): void {
    const held = this.#revealed.get(rotationId);
    if (held) held.fields = fields;
  }

  /** The value held for a rotation, if it was minted meanwhile. */
  releaseReveal(rotationId: string): Fields | undefined {
    const held = this.#revealed.get(rotationId);
    if (!held) return undefined;
    held.readers -= 1;
    if (held.readers === 0) this.#revealed.delete(rotationId);
    return held.fields;
  }

  /** Resolves when `done` is true of the rotation, or after `timeoutMs`. */
  async waitFor(rotationId: string, done: (row: RotationRow) => boolean, timeoutMs: number): Promise<void> {
    const isDone = () => {
      const row = this.#find(rotationId);
      return !row || done(row);
    };
    if (isDone()) return;
    await new Promise<void>((resolve) => {
      const checks = this.#waiting.get(rotationId) ?? new Set();
      this.#waiting.set(rotationId, checks);
      const finish = () => {
        clearTimeout(timer);
        checks.delete(check);
        if (checks.size === 0) this.#waiting.delete(rotationId);
        resolve();
      };
      const check = () => {
        if (isDone()) finish();
      };
      const timer = setTimeout(finish, timeoutMs);
      checks.add(check);
    });
  }

  /** Tells who waits that rotations may have moved on. Called after every commit that touches one. */
  wake(): void {
    for (const checks of [...this.#waiting.values()]) for (const check of [...checks]) check();
  }
}
