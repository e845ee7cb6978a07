/**
 * The commits of a rotation: start it, intend a mint, advance it by what happened. Inside the caller's transaction; no calls.
 * The machine decides what happens, effects.ts says what that means in the database.
 */
import { newId } from "../ids.ts";
import type { Fields } from "../providers/provider.ts";
import type { KeyRow } from "../store/keys.ts";
import { NEW_ROTATION, type RotationRow, type Trigger } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import type { CallReport } from "../store/work-table.ts";
import { BACKOFF_MS, backoffMs, LEASE_MARGIN_MS } from "./backoff.ts";
import { countBatchEnd, wakeBatch } from "./batch-ends.ts";
import { dropRevisions, repinToPresent, wakeWaiting } from "./connections.ts";
import { type EngineContext, randomUnit, record } from "./context.ts";
import {
  adoptVersion,
  applyEffect,
  finishDeletion,
  isOfUse,
  keyOf,
  type Minted,
  recordOrphan,
  versionOf,
} from "./effects.ts";
import { factsOf, mayHaveMinted, settleTime } from "./facts.ts";
import { initialPosition, isLive, transition } from "./machine.ts";
import { deliverBy, graceMs, nextRotationAt, plannedAt } from "./policy.ts";
import type { Outcome, Position } from "./position.ts";
import { resumeCurrent } from "./sends.ts";

export interface StartRequest {
  trigger: Trigger;
  reason: string | null;
  requestedBy: string;
  grace: string | null;
  /** An emergency. */
  urgent?: true;
  /** The batch that it belongs to. */
  batchId?: string;
  /** Number of the version to replace. Default: the current one. */
  fromVersion?: number;
  /** Markers of what a rotation before it may have left at the service, and when that must have shown. */
  sought?: string[];
  settleAt?: number | null;
  /** The revision of the key's connection under which they are looked for. Default: the present one. */
  connectionRevision?: number | null;
}

/** Starts a rotation, due now. The caller has checked that none is live. */
export function startRotation(context: EngineContext, key: KeyRow, request: StartRequest): RotationRow {
  const { store, random } = context;
  const now = context.now();
  const position = initialPosition(now);
  const connection = key.connectionId === null ? undefined : store.connections.get(key.connectionId);
  const rotation = store.rotations.insert({
    id: newId("rot", now, random),
    keyId: key.id,
    ...NEW_ROTATION,
    fromVersion: store.versions.current(key.id)?.number ?? null,
    ...request,
    ...(request.trigger === "agent" && reasonOf(context, request)),
    live: true,
    ...position,
    startedAt: now,
    deadlineAt: deliverBy(key.policy, now),
    connectionRevision: request.connectionRevision ?? connection?.revision ?? null,
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

/** What an agent says is kept as the history has it: without what may be a secret. */
function reasonOf({ acting }: EngineContext, { reason }: StartRequest): Pick<StartRequest, "reason"> {
  return { reason: acting?.reason ?? reason };
}

/** Starts a rotation to a value that a person made at the service: nothing is minted, the rest is as ever. */
export function startByHand(
  context: EngineContext,
  key: KeyRow,
  request: StartRequest,
  fields: Fields,
  reference: string | null,
): RotationRow {
  const rotation = startRotation(context, key, request);
  const toVersion = adoptVersion(context, rotation, fields, reference);
  return context.store.rotations.update(rotation, { step: "test", byHand: true, toVersion });
}

/**
 * Keeps that a call to mint is about to be made, before it is made: whoever finds this row with no result knows that the call
 * may have taken effect.
 */
export function intendMint(context: EngineContext, rotation: RotationRow): RotationRow {
  const provider = context.providerOf(keyOf(context, rotation));
  const now = context.now();
  const overAt = now + provider.timeoutMs;
  const lease = overAt + LEASE_MARGIN_MS;
  return context.store.rotations.update(rotation, {
    // Nobody takes the row up while the call may still be answered.
    ...((rotation.leaseUntil ?? Infinity) < overAt && { leaseUntil: lease, dueAt: lease }),
    step: "mint",
    byHand: false,
    mints: rotation.mints + 1,
    intentAt: now,
    settleAt: settleTime(provider, now),
  });
}

/** What comes with an outcome into its commit. */
export interface StepNews {
  outcome: Outcome;
  minted?: Minted;
  /** References of credentials that carry our marker and whose value never reached us. */
  orphans?: string[];
  /** References listed before the mint. */
  seen?: string[];
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
  let row = keepNews(context, rotation, news);
  const position = { ...row, step: at.step, attempt: at.attempt };
  const { next, effects } = transition(position, news.outcome, factsOf(context, row), now);
  // News that changes nothing must not take the row from the worker that holds it.
  if (next === position && lease === null) return rotation;
  for (const effect of effects) row = applyEffect(context, row, effect, next, news.minted);
  const goesOn = lease !== null && isLive(next) && next.dueAt !== null && next.dueAt <= now;
  const leavesDoubt = at.step === "settle" && next.step !== "settle";
  row = store.rotations.update(rotation, {
    ...row,
    ...next,
    live: isLive(next),
    dueAt: goesOn ? lease : next.dueAt,
    leaseUntil: goesOn ? lease : null,
    claim: goesOn ? row.claim : row.claim + 1,
    ...(next.step === "settle" && at.step === "mint" && { doubts: row.doubts + 1 }),
    ...((leavesDoubt || (at.step === "mint" && settlesMint(news.outcome))) && { intentAt: null }),
    ...(news.report && { lastCall: news.report }),
    ...(!isLive(next) && rotation.live && { endedAt: now }),
  });
  if (row.batchId !== null && row.live && row.state !== rotation.state) wakeBatch(context, row.batchId);
  if (!row.live && rotation.live) {
    close(context, row);
    // Who takes over may go on with the account that this one was tied to.
    if (news.outcome.kind !== "taken-over") dropRevisions(context, row);
  }
  // Where nothing of it can be left, it begins again where the connection leads now.
  const isFree = leavesDoubt && row.live && row.step === "preflight" && !mayHaveMinted(context, row);
  return isFree ? repinToPresent(context, row) : row;
}

/** Sets a key's next scheduled start from its policy and its current version. None while a rotation is live. */
export function reschedule(context: EngineContext, keyId: string): void {
  const { store } = context;
  const key = store.keys.get(keyId);
  if (!key) return;
  const current = store.versions.current(keyId);
  const isOver = key.askedAt !== null && !isStillAsked(key, current, context.now());
  const asked = isOver ? { ...key, askedAt: null } : key;
  const dueAt = store.rotations.live(keyId) ? null : nextRotationAt(asked, current);
  store.keys.update(key, { dueAt, askedAt: asked.askedAt });
}

/** Whether a person is still to make a new value: another policy may have moved the day. */
function isStillAsked({ policy }: KeyRow, current: VersionRow | undefined, now: number): boolean {
  const planned = current ? plannedAt(policy, current) : null;
  return (current?.compromisedAt ?? null) !== null || (planned !== null && planned <= now);
}

/** The call is known to be over without a credential. */
function settlesMint({ kind }: Outcome): boolean {
  return kind === "mint-refused" || kind === "mint-postponed";
}

/** Takes in what a step found. Returns the rotation as it will be: the caller writes it, once. */
function keepNews(context: EngineContext, rotation: RotationRow, { orphans, seen }: StepNews): RotationRow {
  for (const reference of orphans ?? []) recordOrphan(context, rotation, reference);
  const patch: Partial<RotationRow> = {};
  if (seen) patch.seen = seen;
  if (orphans?.length) {
    patch.seen = [...(seen ?? rotation.seen ?? []), ...orphans];
    const key = keyOf(context, rotation);
    const { overlap, oldLastsMs } = context.providerOf(key);
    if (overlap === "provider" && rotation.oldEndsAt === null) {
      // It took effect, so the old one's clock runs since then at the latest: count from the intent.
      const lasts = oldLastsMs ?? graceMs(key.policy, rotation.grace);
      patch.oldEndsAt = (rotation.intentAt ?? context.now()) + lasts;
    }
  }
  return { ...rotation, ...patch };
}

/** The end of a rotation: an event, and the key's next start. */
function close(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const now = context.now();
  const { keyId, requestedBy, fromVersion, toVersion } = rotation;
  wakeWaiting(context, rotation);
  countBatchEnd(context, rotation);
  if (rotation.state === "succeeded") {
    const endsAt = versionOf(context, rotation, fromVersion)?.graceEndsAt ?? null;
    const graceEndsAt = endsAt === null ? null : new Date(endsAt).toISOString();
    const isRollback = rotation.rollbackGraceEndsAt !== null;
    record(context, {
      type: isRollback ? "key.rolled-back" : "key.rotated",
      actor: requestedBy,
      keyId,
      data: {
        rotationId: rotation.id,
        fromVersion,
        toVersion,
        graceEndsAt,
        ...(isRollback && { reason: rotation.reason }),
      },
    });
  } else {
    const key = keyOf(context, rotation);
    const { failures } = key;
    const wait = backoffMs(BACKOFF_MS, failures, randomUnit(context.random));
    const isOver = key.state === "active" && !isOfUse(context, keyId);
    store.keys.update(key, {
      ...(rotation.state === "failed" && {
        failures: failures + 1,
        retryAt: Math.max(now + wait, key.retryAt ?? 0),
      }),
      ...(isOver && { state: "revoked" }),
    });
    resumeCurrent(context, keyId);
    record(context, {
      type: "key.rotation.failed",
      actor: "rekey",
      keyId,
      data: { rotationId: rotation.id, state: rotation.state, problem: rotation.problem },
    });
  }
  finishDeletion(context, keyId);
  reschedule(context, keyId);
}
