/** The commits of deliveries and of dying versions. Like changes.ts: rows inside the caller's transaction, no calls. */

import type { SendResult } from "../destinations/destination.ts";
import { destinationOf } from "../destinations/registry.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { DestinationRow } from "../store/destinations.ts";
import type { VersionRow } from "../store/versions.ts";
import { askToEnd } from "./asking.ts";
import { BACKOFF_MS, backoffMs, CLAIM_LASTS_MS, TIME_ASKED_AGAIN_MS } from "./backoff.ts";
import { advanceRotation } from "./changes.ts";
import { type EngineContext, randomUnit, record } from "./context.ts";
import { closeIfUseless, finishDeletion } from "./effects.ts";
import { markUnwell, noteResult } from "./probe.ts";
import { type RetirementOutcome, retire } from "./retirement.ts";
import { allHeld } from "./sends.ts";
import { type DeliverResult, mayStillLand } from "./steps/deliver.ts";

/** Commits how an attempt to deliver ended. When it was the last one that a rotation waited for, that goes on in the same commit. */
export function settleDelivery(context: EngineContext, delivery: DeliveryRow, sent: DeliverResult): void {
  if (delivery.state === "acknowledged" || delivery.state === "delivered") {
    // It was claimed or acknowledged before its call was answered, so the answer says nothing that is not known.
    if (sent.kind === "sent") noteResult(context, sent.to, sent.result);
    release(context, delivery, sent.kind === "sent" ? { lastCall: sent.result.report } : {});
    return;
  }
  if (sent.kind === "moot") {
    release(context, delivery, { state: "superseded", dueAt: null });
    return;
  }
  if (sent.kind === "held-back") {
    release(context, delivery, { dueAt: context.now() + TIME_ASKED_AGAIN_MS });
    return;
  }
  if (sent.kind === "not-open") {
    release(context, delivery, { dueAt: sent.until });
    return;
  }
  if (sent.kind === "disabled") {
    release(context, delivery, { state: "failing", dueAt: null });
    return;
  }
  const { to, result } = sent;
  const destination = noteResult(context, to, result);
  if (destination && destination.revision !== to.revision) {
    // Its config changed during the call: whoever answered is not the destination any more.
    release(context, delivery, { dueAt: context.now() });
  } else if (sent.kind === "probed") {
    goOnAfterProbe(context, delivery, destination, result);
  } else if (result.kind === "held") {
    const isNew = delivery.deliveredAt === null;
    if (isNew && destinationOf(to.type).claims?.(to.config)) awaitClaim(context, delivery, result);
    else hold(context, delivery, result);
  } else {
    retryOrFail(context, delivery, result, mayStillLand(sent) ? delivery.leaseUntil : delivery.landsUntil);
  }
}

/** Lets the key's live rotation see that its deliveries have changed. */
export function checkDeliveries(context: EngineContext, keyId: string): void {
  const { store } = context;
  const rotation = store.rotations.live(keyId);
  const key = store.keys.get(keyId);
  if (!rotation || !key || (rotation.step !== "deliver" && rotation.step !== "put-back")) return;
  if (allHeld(context, key, rotation)) advanceRotation(context, rotation, { outcome: { kind: "all-held" } });
}

/**
 * Commits what became of a version on its way out.
 * @param lease kept when there is more to do at once; null gives the row back
 */
export function settleRetirement(
  context: EngineContext,
  version: VersionRow,
  outcome: RetirementOutcome,
  lease: number | null,
): VersionRow {
  const { store, random } = context;
  const now = context.now();
  const { next, effects } = retire(version, outcome, version.promotedAt !== null, randomUnit(random), now);
  const goesOn = lease !== null && next.dueAt !== null && next.dueAt <= now;
  const isConfirmed = outcome.kind === "seen-dead" && outcome.confirmed;
  const row = store.versions.update(version, {
    ...(effects.includes("bury") && { revokedAt: now, confirmed: isConfirmed, sealed: null }),
    stage: next.stage,
    serviceRevokedAt: next.serviceRevokedAt,
    attempt: next.attempt,
    askedAt: next.askedAt,
    remindedAt: next.remindedAt,
    dueAt: goesOn ? lease : next.dueAt,
    leaseUntil: goesOn ? lease : null,
    claim: goesOn ? version.claim : version.claim + 1,
  });
  for (const effect of effects) {
    switch (effect) {
      case "bury":
        bury(context, row);
        break;
      case "announce-stuck":
        announceStuck(context, row);
        break;
      case "ask-person":
        askToEnd(context, row);
    }
  }
  return row;
}

/**
 * A receiver opened what its message brought, so it holds the value. A worker that still waits for the answer to that message keeps its
 * lease until it has it.
 */
export function noteClaimed(context: EngineContext, delivery: DeliveryRow): void {
  if (delivery.state === "acknowledged" || delivery.state === "delivered") return;
  const { store } = context;
  const patch = { state: "delivered", dueAt: null, deliveredAt: context.now() } as const;
  announceHeld(context, store.deliveries.update(delivery, patch));
}

function hold(context: EngineContext, delivery: DeliveryRow, { report }: SendResult): void {
  release(context, delivery, {
    state: "delivered",
    dueAt: null,
    deliveredAt: context.now(),
    lastCall: report,
  });
  announceHeld(context, delivery);
}

/** The message came, and nobody has opened what it brought: there is a next one, with a fresh claim, when this claim is void. */
function awaitClaim(context: EngineContext, delivery: DeliveryRow, { report }: SendResult): void {
  const problem = `${report.host} took the message and has not claimed the value`;
  const unclaimed = { kind: "failed", report, problem, retryAfterMs: CLAIM_LASTS_MS } as const;
  retryOrFail(context, delivery, unclaimed, delivery.landsUntil);
}

function announceHeld(context: EngineContext, delivery: DeliveryRow): void {
  record(context, {
    type: "delivery.succeeded",
    actor: "rekey",
    keyId: delivery.keyId,
    data: {
      deliveryId: delivery.id,
      destinationId: delivery.destinationId,
      version: delivery.number,
      revision: delivery.revision,
    },
  });
  checkDeliveries(context, delivery.keyId);
}

/** Nothing was sent yet. While the probe fails it has the backoff table, and the delivery uses no attempt. */
function goOnAfterProbe(
  context: EngineContext,
  delivery: DeliveryRow,
  destination: DestinationRow | undefined,
  result: SendResult,
): void {
  if (result.kind === "held") {
    release(context, delivery, { dueAt: context.now() });
    return;
  }
  const tries = destination?.probeAttempt ?? 1;
  const wait = backoffMs(BACKOFF_MS, tries - 1, randomUnit(context.random), waitOf(result));
  release(context, delivery, {
    ...(result.kind === "gone" ? { state: "failing", dueAt: null } : { dueAt: context.now() + wait }),
    lastCall: result.report,
  });
}

function retryOrFail(
  context: EngineContext,
  delivery: DeliveryRow,
  result: Exclude<SendResult, { kind: "held" }>,
  landsUntil: number | null,
): void {
  const { store, random } = context;
  const destination = store.destinations.get(delivery.destinationId);
  if (!destination) return;
  const table = destinationOf(destination.type).retryAfterMs ?? BACKOFF_MS;
  const exhausted = result.kind === "gone" || delivery.attempt >= table.length;
  if (exhausted && destination.state !== "disabled") markUnwell(context, destination, "failing", result);
  // What a live rotation waits for is tried until it is held: there may be no other way on.
  const isAwaited = store.rotations.live(delivery.keyId)?.id === delivery.rotationId;
  const attempt = delivery.attempt + 1;
  if (exhausted && !isAwaited) {
    release(context, delivery, {
      state: "failing",
      attempt,
      landsUntil,
      dueAt: null,
      lastCall: result.report,
    });
    return;
  }
  const wait = backoffMs(table, delivery.attempt, randomUnit(random), waitOf(result));
  release(context, delivery, { attempt, landsUntil, dueAt: context.now() + wait, lastCall: result.report });
}

function waitOf(result: SendResult): number {
  return result.kind === "failed" ? (result.retryAfterMs ?? 0) : 0;
}

function release(context: EngineContext, delivery: DeliveryRow, patch: Partial<DeliveryRow>): void {
  context.store.deliveries.update(delivery, { ...patch, leaseUntil: null, claim: delivery.claim + 1 });
}

/** A version was seen dead: its value is gone, its hash stays so that who still holds it is told the truth. */
function bury(context: EngineContext, row: VersionRow): void {
  record(context, {
    type: "key.revoked",
    actor: "rekey",
    keyId: row.keyId,
    data: { version: row.number, reason: row.endReason, confirmed: row.confirmed },
  });
  afterDeath(context, row.keyId);
}

/** What the end of a version may set free: a slot, the key's own end. */
export function afterDeath(context: EngineContext, keyId: string): void {
  wakeSlotWaiter(context, keyId);
  closeIfUseless(context, keyId);
  finishDeletion(context, keyId);
}

/** A slot is free: the rotation that may wait for it looks now. */
function wakeSlotWaiter({ store, now, providerOf }: EngineContext, keyId: string): void {
  const key = store.keys.get(keyId);
  if (!key || providerOf(key).maxLive === undefined) return;
  const rotation = store.rotations.live(keyId);
  if (rotation?.step !== "preflight" || rotation.leaseUntil !== null) return;
  if (rotation.state === "running") return;
  store.rotations.update(rotation, { dueAt: now() });
}

function announceStuck(context: EngineContext, version: VersionRow): void {
  record(context, {
    type: "key.revocation.stuck",
    actor: "rekey",
    keyId: version.keyId,
    data: { version: version.number, attempts: version.attempt },
  });
}
