/** The one alarm of a keyring's object, as far as this instance knows when it is set for. Set in the turn of what it is set for. */
import { logBug } from "./bugs.ts";

export class Alarm {
  readonly #storage: DurableObjectStorage;
  #at: number | null = null;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  /** Has it ring at a time (milliseconds since the epoch), unless it rings before. */
  arm(at: number | null): void {
    if (at !== null && (this.#at === null || at < this.#at)) this.set(at);
  }

  /** Has it ring then and not before. */
  set(at: number): void {
    this.#at = at;
    this.#storage.setAlarm(at).catch(logBug);
  }

  /** It has rung, or nobody knows: whatever is due sets it anew. */
  forget(): void {
    this.#at = null;
  }
}
