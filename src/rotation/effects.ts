/** What each effect of the machine means in the database. Inside the caller's transaction; no calls. */

import { newVersionId } from "../issuer/token.ts";
import type { Fields, MintResult } from "../providers/provider.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import { type EndReason, NEW_VERSION, type VersionRow } from "../store/versions.ts";
import { type EngineContext, record } from "./context.ts";
import { publish } from "./edge.ts";
import { returnToGrace } from "./graces.ts";
import { DAILY_MS } from "./moves.ts";
import { cooldownEndsAt, firstDeadline, graceDueAt, graceEndsAt } from "./policy.ts";
import type { Effect, Position } from "./position.ts";
import { placesAstray, sendVersion, slowestPropagationMs, supersede } from "./sends.ts";
import { valueColumns } from "./values.ts";

export type Minted = Extract<MintResult, { kind: "minted" }>;

/** Commits one effect. Returns the rotation as it will be: the caller writes it, once. */
export function applyEffect(
  context: EngineContext,
  rotation: RotationRow,
  effect: Effect,
  next: Position,
  minted: Minted | undefined,
): RotationRow {
  switch (effect) {
    case "store-version":
      return storeMinted(context, rotation, minted);
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
    case "lose-version":
      loseVersion(context, rotation);
      return { ...rotation, intentAt: null };
    case "lose-key":
      return loseKey(context, rotation, next.problem);
    case "rest-schedule":
      context.store.keys.update(keyOf(context, rotation), { retryAt: context.now() + DAILY_MS });
      return rotation;
    case "announce-blocked":
      announce(context, rotation, "key.rotation.blocked", next);
      return rotation;
    case "announce-at-risk":
      announce(context, rotation, "key.at-risk", next);
      return rotation;
    case "announce-attention":
      announce(context, rotation, "key.rotation.needs-human", next);
      return rotation;
  }
}

/** Ends a version now: from this commit on verification refuses it, and the engine goes on until it is seen dead. */
export function killVersion(context: EngineContext, version: VersionRow, endReason: EndReason): VersionRow {
  for (const delivery of context.store.deliveries.ofVersion(version.keyId, version.number)) {
    if (delivery.state === "pending" || delivery.state === "failing") supersede(context, delivery);
  }
  return context.store.versions.update(version, {
    stage: "revoking",
    endReason,
    urgent: endReason === "compromised" || endReason === "revoked",
    attempt: 0,
    dueAt: context.now(),
    leaseUntil: null,
    claim: version.claim + 1,
  });
}

/**
 * Takes in a credential that the service made for us and that will never be of use: its value was lost on the way, or the
 * rotation had ended when it came. It goes straight to its revocation.
 * @param fields its value, when that came after all: then it ends as discarded, not as lost
 */
export function recordOrphan(
  context: EngineContext,
  rotation: RotationRow,
  reference: string,
  fields?: Fields,
): void {
  const version = insertVersion(context, keyOf(context, rotation), rotation, reference, fields);
  killVersion(context, version, fields ? "discarded" : "lost");
}

function storeMinted(context: EngineContext, rotation: RotationRow, minted: Minted | undefined): RotationRow {
  if (!minted) throw new Error("a minted version without a value");
  const { reference, fields, oldEndsAt, expiresAt, cooldownUntil } = minted;
  const key = keyOf(context, rotation);
  const version = insertVersion(context, key, rotation, reference, fields, expiresAt ?? null);
  if (cooldownUntil !== undefined) {
    const until = Math.max(key.cooldownUntil ?? 0, cooldownUntil);
    context.store.keys.update(keyOf(context, rotation), { cooldownUntil: until, heldUntil: cooldownUntil });
  }
  return {
    ...rotation,
    toVersion: version.number,
    intentAt: null,
    // An emergency turned a rollback into a rotation like any other.
    rollbackGraceEndsAt: null,
    ...(oldEndsAt !== undefined && { oldEndsAt }),
  };
}

/** Takes in a value that a person hands in. Returns its version's number. */
export function adoptVersion(
  context: EngineContext,
  rotation: RotationRow,
  fields: Fields,
  reference: string | null,
): number {
  const key = keyOf(context, rotation);
  const isOwn = context.providerOf(key).verifiedHere;
  const name = isOwn ? newVersionId(context.now(), context.random) : reference;
  return insertVersion(context, key, rotation, name, fields).number;
}

function insertVersion(
  context: EngineContext,
  key: KeyRow,
  { id: rotationId, connectionRevision }: Pick<RotationRow, "id" | "connectionRevision">,
  reference: string | null,
  fields: Fields | undefined,
  expiresAt: number | null = null,
): VersionRow {
  const { store, random } = context;
  const provider = context.providerOf(key);
  const number = key.lastNumber + 1;
  const id = provider.verifiedHere && reference !== null ? reference : newVersionId(context.now(), random);
  const keep = store.destinations.linksOfKey(key.id).length > 0;
  const value = fields
    ? valueColumns(context, provider, id, fields, keep)
    : { sealed: null, digest: null, fingerprint: null, hint: "" };
  store.keys.update(key, { lastNumber: number });
  const version = store.versions.insert({
    ...NEW_VERSION,
    id,
    keyId: key.id,
    number,
    stage: "pending",
    rotationId,
    connectionRevision,
    reference,
    ...value,
    issuedAt: context.now(),
    expiresAt,
  });
  publish(context, key, version);
  return version;
}

function sendNew(context: EngineContext, rotation: RotationRow): void {
  const version = versionOf(context, rotation, rotation.toVersion);
  if (!version) throw new Error("a rotation delivers before it minted");
  const links = context.store.destinations.linksOfKey(rotation.keyId);
  sendVersion(context, keyOf(context, rotation), version, links, rotation);
}

/** Back to the old value, everywhere the new one may have landed and wherever the old one never arrived. */
function sendOld(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const old = versionOf(context, rotation, rotation.fromVersion);
  if (!old) return;
  const astray = placesAstray(context, rotation);
  const arrived = store.deliveries
    .ofVersion(old.keyId, old.number)
    .filter(({ state }) => state === "delivered" || state === "acknowledged");
  const holders = new Set(arrived.map((delivery) => delivery.destinationId));
  const links = store.destinations
    .linksOfKey(rotation.keyId)
    .filter((link) => astray.has(link.destinationId) || !holders.has(link.destinationId));
  sendVersion(context, keyOf(context, rotation), old, links, rotation);
}

function promote(context: EngineContext, rotation: RotationRow): void {
  const { store } = context;
  const now = context.now();
  const fresh = versionOf(context, rotation, rotation.toVersion);
  if (fresh?.stage !== "pending") throw new Error("only a pending version can be promoted");
  const key = keyOf(context, rotation);
  const old = store.versions.current(rotation.keyId);
  if (old) retireOld(context, rotation, key, old);
  else if (context.providerOf(key).overlap === "none") noteEnded(context, rotation);
  store.versions.update(fresh, { stage: "current", promotedAt: now });
  const isRollback = rotation.rollbackGraceEndsAt !== null;
  const ours = cooldownEndsAt(key, context.providerOf(key).defaultCooldown, now);
  // Nobody has the value of an emergency that goes nowhere, so its owner must be able to ask for the next one.
  const isUnheard = rotation.urgent && store.destinations.linksOfKey(key.id).length === 0;
  const setsCooldown = rotation.trigger !== "schedule" && !isUnheard;
  store.keys.update(key, {
    ...((key.state === "pending" || key.state === "lost") && { state: "active" }),
    failures: 0,
    askedAt: null,
    // A value that is past its age would be replaced at once, and the rollback with it.
    retryAt: isRollback ? now + DAILY_MS : null,
    // What the service itself holds back may last longer.
    ...(setsCooldown && { cooldownUntil: laterOf(ours, key.heldUntil, now) }),
  });
}

/** The later of two ends, of which the second may have passed. */
function laterOf(one: number | null, other: number | null, now: number): number | null {
  return other !== null && other > Math.max(one ?? 0, now) ? other : one;
}

/** What becomes of the old value depends on who keeps it alive: we do, the service does, or nobody. */
function retireOld(context: EngineContext, rotation: RotationRow, key: KeyRow, old: VersionRow): void {
  const { store } = context;
  const now = context.now();
  const { overlap } = context.providerOf(key);
  const hasLeaked = old.compromisedAt !== null;
  if (overlap === "none" || hasLeaked) {
    const dead = killVersion(context, old, hasLeaked ? "compromised" : "rotated");
    if (overlap === "none") store.versions.update(dead, { serviceRevokedAt: now, graceEndsAt: now });
    return;
  }
  // What a rollback takes back has its own short grace, whoever uses it still.
  const policy = rotation.rollbackGraceEndsAt === null ? key.policy : {};
  const wanted = graceEndsAt(key.policy, rotation.grace, slowestPropagationMs(context, key.id), now);
  const endsAt =
    overlap === "provider" && rotation.oldEndsAt !== null
      ? rotation.oldEndsAt
      : firstDeadline(policy, wanted, now);
  store.versions.update(old, {
    stage: "previous",
    endReason: "rotated",
    retiredAt: now,
    heldAt: null,
    graceEndsAt: endsAt,
    dueAt: overlap === "ours" ? graceDueAt(policy, endsAt, now) : Math.max(endsAt, now),
  });
}

/** Without overlap the mint ended the old value, whoever had revoked it before. */
function noteEnded(context: EngineContext, rotation: RotationRow): void {
  const old = versionOf(context, rotation, rotation.fromVersion);
  if (old?.stage !== "revoking" || old.serviceRevokedAt !== null) return;
  const isFree = old.leaseUntil === null;
  const now = context.now();
  context.store.versions.update(old, { serviceRevokedAt: now, ...(isFree && { attempt: 0, dueAt: now }) });
}

function discardNew(context: EngineContext, rotation: RotationRow): void {
  const version = versionOf(context, rotation, rotation.toVersion);
  if (version?.stage !== "pending") return;
  if (rotation.rollbackGraceEndsAt === null) killVersion(context, version, "discarded");
  else returnToGrace(context, version, rotation.rollbackGraceEndsAt);
}

/** Something may live at the service that nothing here can name: it stays visible. Returns its number. */
function loseVersion(context: EngineContext, rotation: RotationRow): number {
  const lost = insertVersion(context, keyOf(context, rotation), rotation, null, undefined);
  context.store.versions.update(lost, { stage: "lost", endReason: "lost" });
  return lost.number;
}

/** The service holds a value that we shall never have, and the old one is dead: only a person can go on. */
function loseKey(context: EngineContext, rotation: RotationRow, problem: string | null): RotationRow {
  const { store } = context;
  const key = keyOf(context, rotation);
  const fresh = versionOf(context, rotation, rotation.toVersion);
  let number = fresh?.number ?? null;
  if (fresh && (fresh.stage === "pending" || fresh.stage === "current")) {
    const dying = killVersion(context, fresh, "lost");
    if (!context.providerOf(key).revoke)
      store.versions.update(dying, { stage: "lost", dueAt: null, sealed: null });
  } else if (rotation.intentAt !== null) {
    number = loseVersion(context, rotation);
  }
  const old = store.versions.current(key.id);
  if (old) {
    const dead = killVersion(context, old, "lost");
    store.versions.update(dead, { serviceRevokedAt: context.now() });
  }
  const rests = context.providerOf(key).restsMs?.(key.config);
  store.keys.update(keyOf(context, rotation), {
    state: "lost",
    // Lost is what was made, so the service holds back what it does after each mint.
    ...(rests !== undefined && { heldUntil: Math.max(key.heldUntil ?? 0, context.now() + rests) }),
  });
  record(context, {
    type: "key.lost",
    actor: "rekey",
    keyId: key.id,
    data: { rotationId: rotation.id, version: number, problem },
  });
  return { ...rotation, intentAt: null };
}

function announce(
  context: EngineContext,
  rotation: RotationRow,
  type: "key.rotation.blocked" | "key.at-risk" | "key.rotation.needs-human",
  { problem }: Position,
): void {
  record(context, {
    type,
    actor: "rekey",
    keyId: rotation.keyId,
    data: { rotationId: rotation.id, problem },
  });
}

/** Whether a key has a version that is not on its way out, or a live rotation that may yet make one. */
export function isOfUse({ store }: EngineContext, keyId: string): boolean {
  const alive = store.versions.alive(keyId);
  return store.rotations.live(keyId) !== undefined || alive.some((version) => version.stage !== "revoking");
}

/** A key that is being deleted is gone once nothing of it lives and no rotation may still bring something up. */
export function finishDeletion(context: EngineContext, keyId: string): void {
  const { store } = context;
  const key = store.keys.get(keyId);
  if (key?.state !== "deleting" || store.versions.alive(keyId).length > 0 || store.rotations.live(keyId))
    return;
  store.destinations.unlinkKey(keyId);
  store.keys.update(key, { state: "deleted", dueAt: null });
  record(context, { type: "key.deleted", actor: "rekey", keyId, data: { name: key.name } });
}

/** A key that nothing of it is of use any more is revoked. */
export function closeIfUseless(context: EngineContext, keyId: string): void {
  const { store } = context;
  const key = store.keys.get(keyId);
  const wasOfUse = key?.state === "active" || key?.state === "pending";
  if (key && wasOfUse && !isOfUse(context, keyId)) store.keys.update(key, { state: "revoked", dueAt: null });
}

/** The key of a rotation. */
export function keyOf({ store }: EngineContext, rotation: RotationRow): KeyRow {
  const key = store.keys.get(rotation.keyId);
  if (!key) throw new Error("a rotation without its key");
  return key;
}

/** A version of a rotation's key by number. */
export function versionOf(
  { store }: EngineContext,
  rotation: RotationRow,
  number: number | null,
): VersionRow | undefined {
  return number === null ? undefined : store.versions.byNumber(rotation.keyId, number);
}
