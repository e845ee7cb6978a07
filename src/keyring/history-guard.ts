/**
 * Compares the history with its anchor when the object starts. A keyring whose database was set back in time finds itself behind: what
 * was revoked since would work again, so it stays closed until root reconciles it.
 */
import type { Failure } from "../errors/catalogue.ts";
import { hasReached } from "../events/chain.ts";
import type { Anchor } from "../registry/anchors.ts";
import type { Store } from "../store/store.ts";

export type GuardState =
  /** Not compared yet: the registry did not answer. */
  { kind: "unknown" } | { kind: "whole" } | { kind: "behind"; anchor: Anchor; headSeq: number };

export class HistoryGuard {
  #state: GuardState = { kind: "unknown" };
  readonly #read: () => Promise<Anchor | null>;

  /** @param read asks the registry for this keyring's anchor */
  constructor(read: () => Promise<Anchor | null>) {
    this.#read = read;
  }

  get state(): GuardState {
    return this.#state;
  }

  /** Asks and compares. A registry that does not answer leaves the state unknown. */
  async compare(store: Store): Promise<void> {
    let anchor: Anchor | null;
    try {
      anchor = await this.#read();
    } catch {
      return;
    }
    if (anchor === null) return this.accept();
    const headSeq = store.events.head()?.seq ?? 0;
    this.#state = hasReached(store, anchor) ? { kind: "whole" } : { kind: "behind", anchor, headSeq };
  }

  /** The history was accepted as it is, or has just begun. */
  accept(): void {
    this.#state = { kind: "whole" };
  }

  /** Why nothing that depends on the history may be done, or undefined. */
  refusal(): Failure | undefined {
    switch (this.#state.kind) {
      case "whole":
        return undefined;
      case "unknown":
        return { code: "registry-unreachable", retryAfterSeconds: 1 };
      case "behind":
        return { code: "chain-broken" };
    }
  }
}
