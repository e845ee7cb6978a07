/**
 * How an old version dies: its grace ends, the service revokes it, and it is tested until the service is seen to refuse it.
 * Pure, like the machine of rotations. A revocation is never forgotten: it backs off to once a day and stays visible.
 */
import type { Stage } from "../store/versions.ts";
import { BACKOFF_MS, backoffMs, REVOCATION_BACKOFF_MS, TIME_ASKED_AGAIN_MS } from "./backoff.ts";
import { nextLookAt, nextReminderAt } from "./reminders.ts";

export interface RetirementPosition {
  stage: Stage;
  /** When the service took the revocation, or null. */
  serviceRevokedAt: number | null;
  attempt: number;
  dueAt: number | null;
  askedAt: number | null;
  remindedAt: number | null;
}

export type RetirementOutcome =
  /** `byService`: the service has ended the old value by itself, so only its confirmation is left. */
  | { kind: "grace-ended"; byService: boolean }
  /** The deadline has come by this clock alone. */
  | { kind: "time-unproven" }
  /** The service took it, or said that it was gone already. */
  | { kind: "revoked" }
  | { kind: "revoke-failed"; retryAfterMs?: number }
  /** Seen dead; `confirmed: false` when the provider can neither test nor list. */
  | { kind: "seen-dead"; confirmed: boolean }
  | { kind: "still-alive" }
  /** Only a person can end it, and has not been seen to. `canSee`: a test will tell. */
  | { kind: "waits-for-person"; canSee: boolean }
  | { kind: "unclear"; retryAfterMs?: number };

export interface RetirementTransition {
  next: RetirementPosition;
  effects: ("bury" | "announce-stuck" | "ask-person")[];
}

/** Tests that may still see the old value alive, as services take a moment to forget, before it is revoked again. */
const TESTS_BEFORE_REVOKING_AGAIN = 3;

/** Whether the service is told (again) to revoke, before the old value is tested. */
export function mustRevoke({
  serviceRevokedAt,
  attempt,
}: Pick<RetirementPosition, "serviceRevokedAt" | "attempt">): boolean {
  return serviceRevokedAt === null || attempt >= TESTS_BEFORE_REVOKING_AGAIN;
}

/** The next position of a version on its way out. `wasCurrent` decides between `revoked` and `discarded`. */
export function retire(
  at: RetirementPosition,
  outcome: RetirementOutcome,
  wasCurrent: boolean,
  unit: number,
  now: number,
): RetirementTransition {
  if (at.stage === "previous" && outcome.kind === "grace-ended") {
    const serviceRevokedAt = outcome.byService ? now : null;
    return { next: { ...at, stage: "revoking", serviceRevokedAt, attempt: 0, dueAt: now }, effects: [] };
  }
  if (at.stage === "previous" && outcome.kind === "time-unproven") {
    return { next: { ...at, dueAt: now + TIME_ASKED_AGAIN_MS }, effects: [] };
  }
  if (at.stage !== "revoking") return { next: at, effects: [] };
  switch (outcome.kind) {
    case "grace-ended":
    case "time-unproven":
      return { next: at, effects: [] };
    case "revoked":
      return { next: { ...at, serviceRevokedAt: now, attempt: 0, dueAt: now }, effects: [] };
    case "seen-dead":
      return {
        next: {
          ...at,
          stage: wasCurrent ? "revoked" : "discarded",
          serviceRevokedAt: at.serviceRevokedAt ?? now,
          dueAt: null,
          askedAt: null,
        },
        effects: ["bury"],
      };
    case "waits-for-person":
      return waitForPerson(at, outcome.canSee, now);
    case "still-alive":
      return tryLater(at, unit, now, 0);
    case "revoke-failed":
    case "unclear":
      return tryLater(at, unit, now, outcome.retryAfterMs ?? 0);
  }
}

/** No try is used up: it is looked at again, and said again, for as long as it takes. */
function waitForPerson(at: RetirementPosition, canSee: boolean, now: number): RetirementTransition {
  const isDue = nextReminderAt(at) <= now;
  const askedAt = at.askedAt ?? now;
  const remindedAt = isDue ? now : at.remindedAt;
  const look = canSee ? nextLookAt(askedAt, now) : Infinity;
  const dueAt = Math.min(look, nextReminderAt({ askedAt, remindedAt }));
  return {
    next: { ...at, attempt: 0, dueAt, askedAt, remindedAt },
    effects: isDue ? ["ask-person"] : [],
  };
}

function tryLater(
  at: RetirementPosition,
  unit: number,
  now: number,
  retryAfterMs: number,
): RetirementTransition {
  const dueAt = now + backoffMs(REVOCATION_BACKOFF_MS, at.attempt, unit, retryAfterMs);
  const attempt = at.attempt + 1;
  return {
    next: { ...at, attempt, dueAt },
    effects: attempt === BACKOFF_MS.length ? ["announce-stuck"] : [],
  };
}
