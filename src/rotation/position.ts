/** What the machine of rotations speaks of: where a rotation stands, what happens to it, what may be known, what is committed. */
import type { Overlap } from "../providers/provider.ts";
import type { Ending, RotationState, RotationStep, Tally } from "../store/rotations.ts";

export interface Position {
  step: RotationStep;
  state: RotationState;
  attempt: number;
  /** When to look again; null once it has ended. At `deliver` it is a deadline, as deliveries have their own clocks. */
  dueAt: number | null;
  problem: string | null;
  ending: Ending | null;
  tally: Tally | null;
}

/** What just happened to a rotation. */
export type Outcome =
  | { kind: "preflight-green" }
  /** `noSlot`: the service has no room, and nothing of ours will make some. */
  | { kind: "preflight-red"; problem: string; retryAfterMs?: number; noSlot?: boolean }
  /** The next value can only be made of the present one, and that is dead. */
  | { kind: "old-dead"; problem: string }
  | { kind: "minted" }
  | { kind: "mint-refused"; problem: string }
  /** The call is known not to have taken effect. */
  | { kind: "mint-postponed"; problem: string; retryAfterMs?: number }
  /** The call may or may not have taken effect. */
  | { kind: "mint-in-doubt"; problem: string }
  /** It took effect and the value will never be had: the service said so. */
  | { kind: "mint-conflict"; problem: string }
  /** Credentials of ours without a value were found; they are on their way out. */
  | { kind: "orphans-found" }
  /** `settled`: whatever was begun must have shown by now. */
  | { kind: "none-found"; settled: boolean }
  /** More than one stranger: nobody can tell which is ours. */
  | { kind: "ambiguous"; problem: string }
  /** While in doubt: what the service says of the old value. */
  | { kind: "old-tested"; verdict: "valid" | "rejected" | "unclear"; problem: string; retryAfterMs?: number }
  | { kind: "look-failed"; problem: string; retryAfterMs?: number }
  | { kind: "test-valid" }
  | { kind: "test-rejected"; problem: string }
  | { kind: "test-indeterminate"; problem: string; retryAfterMs?: number }
  /** Every required destination confirmed what this step sends. */
  | { kind: "all-held" }
  /** The rotation's due time came while it waited for deliveries. */
  | { kind: "overdue" }
  /** The value it replaces died meanwhile, so there is no way back. */
  | { kind: "old-gone" }
  /** The value it replaces leaked: from now on this is an emergency. */
  | { kind: "escalated" }
  /** The version it made leaked before it was current, and is on its way out. */
  | { kind: "new-leaked" }
  /** Another rotation takes over, with all that this one had still to look for. */
  | { kind: "taken-over"; problem: string }
  /** The version it made, or the key, was taken away by a person, or the rotation was cancelled. */
  | { kind: "stopped"; problem: string }
  /** A person wants it tried now; of a mint in doubt it says that nothing of ours is at the service. */
  | { kind: "retried" }
  /** A person gives up finding out what became of a mint in doubt. */
  | { kind: "abandoned"; problem: string };

/** How a mint in doubt is settled. `nobody`: only a person can say. */
export type Resolver = "find" | "repeat" | "list" | "old-value" | "nobody";

/** What the machine may know about the rotation besides its position. */
export interface Facts {
  overlap: Overlap;
  resolver: Resolver;
  deadlineAt: number;
  /** The value it replaces leaked: no deadline ends it, and the new one is current as soon as it is not known to be bad. */
  escalated: boolean;
  /** Attempts to mint so far. */
  mints: number;
  /** Until when a call to mint that was started may still be running. Null when none was. */
  settleAt: number | null;
  /** Whether a call to mint was started and its result is not recorded. */
  isMinting: boolean;
  /** Whether something minted may still turn up, so that the marker is looked for once more before the end. */
  maySurface: boolean;
  /** When the service ends the old value, for overlap `provider`, once its clock runs. */
  oldEndsAt: number | null;
  /** When the present value was minted. */
  mintedAt: number | null;
  propagationMs: number;
  /** Whether any destination must hold the value before promotion. */
  hasRequired: boolean;
  /** Whether the value it replaces is still current, so that going back is possible. */
  oldIsCurrent: boolean;
  /** Whether a version was minted. */
  hasNew: boolean;
  /** Whether that version still waits to become current; a person may have revoked it. */
  newIsPending: boolean;
  /** Whether that version is current already. */
  isPromoted: boolean;
  /** Whether some destination may already hold the new value. */
  wasAttempted: boolean;
  /** A random number in [0, 1) for the backoff. */
  unit: number;
}

/** What the engine commits together with the next position, in this order. */
export type Effect =
  | "store-version"
  | "send-new"
  | "promote"
  | "send-old"
  | "discard-new"
  | "lose-version"
  | "lose-key"
  /** The service said no for good: the schedule asks again in a day, not in a moment. */
  | "rest-schedule"
  | "announce-blocked"
  | "announce-at-risk"
  | "announce-attention";

export interface Transition {
  next: Position;
  effects: Effect[];
}
