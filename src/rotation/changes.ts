/**
 * The commits of a rotation: each function changes rows inside the caller's transaction and makes no call. The machine
 * decides what happens; this says what that means in the database.
 */
import { newId } from "../ids.ts";
import type { MintResult } from "../providers/provider.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow, Trigger } from "../store/rotations.ts";
import type { EndReason, VersionRow } from "../store/versions.ts";
import type { CallReport } from "../store/work-table.ts";
import { BACKOFF_MS, backoffMs } from "./backoff.ts";
import { type EngineContext, randomUnit, record } from "./context.ts";
import {
  type Effect,
  type Facts,
  initialPosition,
  isLive,
  type Outcome,
  type Position,
  transition,
} from "./machine.ts";
import { cooldownEndsAt, deliverBy, graceEndsAt, nextRotationAt } from "./policy.ts";
import { placesTried, sendVersion, slowestPropagationMs, supersede } from "./sends.ts";
import { valueColumns } from "./values.ts";

export interface StartRequest {
  trigger: Trigger;
  reason: string | null;
  requestedBy: string;
  grace: string | null;
}

export type Minted = Extract<MintResult, { kind: "minted" }>;

/** Starts a rotation, due now. The caller has checked that none is live. */
export function startRotation(context: EngineContext, key: KeyRow, request: StartRequest): RotationRow {
  const { store, random } = context;
  const now = context.now();
  const position = initialPosition(now);
  const rotation = store.rotations.insert({
    id: newId("rot", now, random),
    keyId: key.id,
    ...request,
    live: true,
    ...position,
    fromVersion: store.versions.current(key.id)?.number ?? null,
    toVersion: null,
    lastCall: null,
    startedAt: now,
    deadlineAt: deliverBy(key.policy, now),
    endedAt: null,
    claim: 0,
    leaseUntil: null,
  });
  store.keys.update(key, { dueAt: null });
  record(context, {
    type: "key.rotation.started",
    actor: request.requestedBy,
    keyId: key.id,
    data: { rotationId: rotation.id, trigger: request.trigger, fromVersion: rotation.fromVersion },
  });
  return rotation;
}

/** What comes with an outcome into its commit. */
export interface StepNews {
  outcome: Outcome;
  minted?: Minted;
  report?: CallReport | undefined;
}

/**
 * Feeds one outcome to the machine and commits what follows.
 * @param lease how a worker goes on that keeps the row: its present or extended lease; null gives it back
 * @param at where the worker stands, when that is further than what is stored
 * @returns the row as it is now
 */
export function advanceRotation(
  context: EngineContext,
  rotation: RotationRow,
  news: StepNews,
  lease: number | null = null,
  at: Pick<Position, "step" | "attempt"> = rotation,
): RotationRow {
  const { store } = context;
  const now = context.now();
  const position = { ...rotation, step: at.step, attempt: at.attempt };
  const { next, effects } = transition(position, news.outcome, factsOf(context, rotation), now);
  // News that changes nothing must not take the row from the worker that holds it.
  if (next === position && lease === null) return rotation;
  let row = rotation;
  for (const effect of effects) row = apply(context, row, effect, next, news);
  const goesOn = lease !== null && isLive(next) && next.dueAt !== null && next.dueAt <= now;
  row = store.rotations.update(rotation, {
    toVersion: row.toVersion,
    step: next.step,
    state: next.state,
    attempt: next.attempt,
    problem: next.problem,
    live: isLive(next),
    dueAt: goesOn ? lease : next.dueAt,
    leaseUntil: goesOn ? lease : null,
    claim: goesOn ? row.claim : row.claim + 1,
    ...(news.report && { lastCall: news.report }),
    ...(!isLive(next) && rotation.live && { endedAt: now }),
  });
  if (!row.live && rotation.live) close(context, row);
  return row;
}

/** Ends a version now: from this commit on verification refuses it, and the engine goes on until it is seen dead. */
export function killVersion(context: EngineContext, version: VersionRow, endReason: EndReason): VersionRow {
  for (const delivery of context.store.deliveries.ofVersion(version.keyId, version.number)) {
    if (delivery.state === "pending" || delivery.state === "failing") supersede(context, delivery);
  }
  return context.store.versions.update(version, {
    stage: "revoking",
    endReason,
    attempt: 0,
    dueAt: context.now(),
    leaseUntil: null,
    claim: version.claim + 1,
  });
}

/** Sets a key's next scheduled start from its policy and its current version. None while a rotation is live. */
export function reschedule(context: EngineContext, keyId: string): void {
  const { store } = context;
  const key = store.keys.get(keyId);
  if (!key) return;
  const dueAt = store.rotations.live(keyId) ? null : nextRotationAt(key, store.versions.current(keyId));
  store.keys.update(key, { dueAt });
}

function factsOf(context: EngineContext, rotation: RotationRow): Facts {
  const { store, random } = context;
  const { keyId, fromVersion, toVersion } = rotation;
  return {
    deadlineAt: rotation.deadlineAt,
    hasRequired: store.destinations.linksOfKey(keyId).some((link) => link.required),
    oldIsCurrent: versionOf(context, rotation, fromVersion)?.stage === "current",
    hasNew: toVersion !== null,
    newIsPending: versionOf(context, rotation, toVersion)?.stage === "pending",
    wasAttempted: placesTried(context, rotation).size > 0,
    unit: randomUnit(random),
  };
}

/** Returns the rotation as it will be: the caller writes it, once. */
function apply(
  context: EngineContext,
  rotation: RotationRow,
  effect: Effect,
  next: Position,
  news: StepNews,
): RotationRow {
  switch (effect) {
    case "store-version":
      return storeVersion(context, rotation, news.minted);
    case "send-new":
      sendNew(context, rotation);
      return rotation;
    case "promote":
      promote(context, rotation);
      return rotation;
    case "send-old":
      sendOld(context, rotation);
      return rotation;
    case "discard-new":
      discardNew(context, rotation);
      return rotation;
    case "announce-blocked":
      record(context, {
        type: "key.rotation.blocked",
        actor: "rekey",
        keyId: rotation.keyId,
        data: { rotationId: rotation.id, problem: next.problem },
      });
      return rotation;
  }
}

function storeVersion(
  context: EngineContext,
  rotation: RotationRow,
  minted: Minted | undefined,
): RotationRow {
  if (!minted) throw new Error("a minted version without a value");
  const { store } = context;
  const key = keyOf(context, rotation);
  const number = key.lastNumber + 1;
  const keep = store.destinations.linksOfKey(key.id).length > 0;
  store.versions.insert({
    id: minted.reference,
    keyId: key.id,
    number,
    stage: "pending",
    rotationId: rotation.id,
    ...valueColumns(context, context.providerOf(key.provider), minted.reference, minted.fields, keep),
    issuedAt: context.now(),
    promotedAt: null,
    graceEndsAt: null,
    endReason: null,
    serviceRevokedAt: null,
    revokedAt: null,
    confirmed: false,
    attempt: 0,
    lastCall: null,
    claim: 0,
    leaseUntil: null,
    dueAt: null,
  });
  store.keys.update(key, { lastNumber: number });
  return { ...rotation, toVersion: number };
}

function sendNew(context: EngineContext, rotation: RotationRow): void {
  const version = versionOf(context, rotation, rotation.toVersion);
  if (!version) throw new Error("a rotation delivers before it minted");
  const links = context.store.destinations.linksOfKey(rotation.keyId);
  sendVersion(context, keyOf(context, rotation), version, links, rotation.id);
}

/** Back to the old value, everywhere the new one may have landed and wherever the old one never arrived. */
function sendOld(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const old = versionOf(context, rotation, rotation.fromVersion);
  if (!old) return;
  const tried = placesTried(context, rotation);
  const arrived = store.deliveries
    .ofVersion(old.keyId, old.number)
    .filter((delivery) => delivery.state === "delivered");
  const holders = new Set(arrived.map((delivery) => delivery.destinationId));
  const links = store.destinations
    .linksOfKey(rotation.keyId)
    .filter((link) => tried.has(link.destinationId) || !holders.has(link.destinationId));
  sendVersion(context, keyOf(context, rotation), old, links, rotation.id);
}

function promote(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const now = context.now();
  const fresh = versionOf(context, rotation, rotation.toVersion);
  if (fresh?.stage !== "pending") throw new Error("only a pending version can be promoted");
  const old = store.versions.current(rotation.keyId);
  const key = keyOf(context, rotation);
  if (old) {
    const endsAt = graceEndsAt(key.policy, rotation.grace, slowestPropagationMs(context, key.id), now);
    store.versions.update(old, {
      stage: "previous",
      endReason: "rotated",
      graceEndsAt: endsAt,
      dueAt: endsAt,
    });
  }
  store.versions.update(fresh, { stage: "current", promotedAt: now });
  const defaults = { cooldown: context.providerOf(key.provider).defaultCooldown };
  store.keys.update(key, {
    failures: 0,
    retryAt: null,
    ...(rotation.trigger !== "schedule" && { cooldownUntil: cooldownEndsAt(key.policy, defaults, now) }),
  });
}

function discardNew(context: EngineContext, rotation: RotationRow): void {
  const version = versionOf(context, rotation, rotation.toVersion);
  if (version?.stage === "pending") killVersion(context, version, "discarded");
}

/** The end of a rotation: an event, and the key's next start. */
function close(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const now = context.now();
  const { keyId, requestedBy, fromVersion, toVersion } = rotation;
  if (rotation.state === "succeeded") {
    const old = versionOf(context, rotation, fromVersion);
    record(context, {
      type: "key.rotated",
      actor: requestedBy,
      keyId,
      data: { rotationId: rotation.id, fromVersion, toVersion, graceEndsAt: isoOf(old?.graceEndsAt ?? null) },
    });
  } else {
    const key = keyOf(context, rotation);
    const { failures } = key;
    const wait = backoffMs(BACKOFF_MS, failures, randomUnit(context.random));
    const isOver = key.state === "active" && !isOfUse(context, keyId);
    store.keys.update(key, {
      ...(rotation.state === "failed" && { failures: failures + 1, retryAt: now + wait }),
      ...(isOver && { state: "revoked" }),
    });
    record(context, {
      type: "key.rotation.failed",
      actor: "rekey",
      keyId,
      data: { rotationId: rotation.id, state: rotation.state, problem: rotation.problem },
    });
  }
  reschedule(context, keyId);
}

/** Whether a key has a version that is not on its way out, or a live rotation that may yet make one. */
export function isOfUse({ store }: EngineContext, keyId: string): boolean {
  const alive = store.versions.alive(keyId);
  return store.rotations.live(keyId) !== undefined || alive.some((version) => version.stage !== "revoking");
}

function keyOf({ store }: EngineContext, rotation: RotationRow): KeyRow {
  const key = store.keys.get(rotation.keyId);
  if (!key) throw new Error("a rotation without its key");
  return key;
}

function versionOf(
  { store }: EngineContext,
  rotation: RotationRow,
  number: number | null,
): VersionRow | undefined {
  return number === null ? undefined : store.versions.byNumber(rotation.keyId, number);
}

function isoOf(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
