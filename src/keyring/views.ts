/** Rows as the API shows them: times as ISO 8601, no sealed value, no hash. */
import { destinationOf } from "../destinations/registry.ts";
import { todoOf } from "../rotation/asking.ts";
import { factsOfKey, healthOf } from "../rotation/health.ts";
import type { Asked } from "../rotation/reminders.ts";
import type { DeliveryRow, DeliveryState } from "../store/deliveries.ts";
import type { DestinationRow, DestinationState } from "../store/destinations.ts";
import type { EventRow } from "../store/events.ts";
import type { KeyRow, KeyState, Policy } from "../store/keys.ts";
import type { RotationRow, RotationState, RotationStep, Trigger } from "../store/rotations.ts";
import type { Health } from "../store/settings.ts";
import type { Store } from "../store/store.ts";
import type { EndReason, Stage, VersionRow } from "../store/versions.ts";
import type { CallReport } from "../store/work-table.ts";
import { explainRotation } from "./explain.ts";

export interface CallView {
  method: string;
  host: string;
  status: number | null;
  code: string;
  at: string;
}

export interface VersionView {
  number: number;
  stage: Stage;
  hint: string;
  /** Hex, of a value that does not name its own version. */
  fingerprint: string | null;
  issuedAt: string;
  /** When its service ends it by itself. */
  expiresAt: string | null;
  promotedAt: string | null;
  graceEndsAt: string | null;
  /** Since when its grace is held beyond its time, as something in `revokeWhen` is missing. */
  heldSince: string | null;
  endReason: EndReason | null;
  revokedAt: string | null;
  confirmed: boolean;
  /** When verification last took it. */
  lastSeenAt: string | null;
  nextTryAt: string | null;
  /** What a person is asked for: to end it. */
  due: DueView | null;
}

export interface KeyDestinationView {
  id: string;
  required: boolean;
  mustAcknowledge: boolean;
  as: string;
}

export interface KeySummaryView {
  id: string;
  name: string;
  provider: string;
  connection: string | null;
  config: Record<string, unknown>;
  prefix: string;
  scopes: string[];
  role: string | null;
  subject: string | null;
  expiresAt: string | null;
  labels: Record<string, string>;
  policy: Policy;
  /** Name of the shared policy that it has. */
  sharedPolicy: string | null;
  edge: boolean;
  rateLimit: { limit: number; per: string } | null;
  usage: { limit: number; used: number } | null;
  paused: boolean;
  state: KeyState;
  revision: number;
  currentVersion: number | null;
  cooldownUntil: string | null;
  nextRotationAt: string | null;
  /** What a person is asked for: a new value. */
  due: DueView | null;
  createdAt: string;
  createdBy: string;
}

/** What only a person can do: since when it is asked, and when that was last said. */
export interface DueView {
  since: string;
  remindedAt: string | null;
  todo: string;
}

export interface KeyView extends KeySummaryView {
  health: Health;
  destinations: KeyDestinationView[];
  versions: VersionView[];
  /** Id of the live rotation. */
  rotation: string | null;
}

export interface DeliveryView {
  id: string;
  key: string;
  version: number;
  revision: number;
  rotation: string | null;
  destination: string;
  as: string;
  required: boolean;
  mustAcknowledge: boolean;
  state: DeliveryState;
  attempts: number;
  lastCall: CallView | null;
  nextTryAt: string | null;
  createdAt: string;
  deliveredAt: string | null;
  acknowledgedAt: string | null;
}

export interface RotationView {
  id: string;
  key: string;
  trigger: Trigger;
  reason: string | null;
  requestedBy: string;
  live: boolean;
  state: RotationState;
  step: RotationStep;
  /** It makes an earlier version current again. */
  rollback: boolean;
  /** Id of the batch that started or joined it. */
  batch: string | null;
  fromVersion: number | null;
  toVersion: number | null;
  attempts: number;
  problem: string | null;
  /** What it waits for, in words; null when it waits for nothing. */
  waitsFor: string | null;
  /** What somebody can do about it, in words. */
  remedy: string | null;
  lastCall: CallView | null;
  nextTryAt: string | null;
  startedAt: string;
  deadlineAt: string;
  endedAt: string | null;
  deliveries: DeliveryView[];
}

export interface DestinationView {
  id: string;
  name: string;
  type: string;
  config: Record<string, unknown>;
  state: DestinationState;
  provenAt: string | null;
  lastCall: CallView | null;
  /** It receives values from then on; null when it does already. */
  opensAt: string | null;
  usedBy: string[];
  createdAt: string;
  createdBy: string;
}

export interface EventView {
  seq: number;
  id: string;
  type: string;
  at: string;
  actor: string;
  key: string | null;
  data: Record<string, unknown>;
  /** Hex SHA-256 over the previous hash and this entry. */
  hash: string;
}

export function summarizeKey(store: Store, key: KeyRow): KeySummaryView {
  return {
    id: key.id,
    name: key.name,
    provider: key.provider,
    connection: key.connectionId,
    config: key.config,
    prefix: key.prefix,
    scopes: key.scopes,
    role: key.role,
    subject: key.subject,
    expiresAt: isoOf(key.expiresAt),
    labels: key.labels,
    policy: key.policy,
    sharedPolicy: key.policyId === null ? null : (store.policies.get(key.policyId)?.name ?? null),
    edge: key.verification.edge ?? false,
    rateLimit: key.verification.rateLimit ?? null,
    usage: viewUsage(store, key),
    paused: key.paused,
    state: key.state,
    revision: key.revision,
    currentVersion: store.versions.current(key.id)?.number ?? null,
    cooldownUntil: isoOf(key.cooldownUntil),
    nextRotationAt: isoOf(key.dueAt),
    due: key.state === "active" ? viewDue(key, todoOf("replace", key.id, null)) : null,
    createdAt: iso(key.createdAt),
    createdBy: key.createdBy,
  };
}

export function viewKey(store: Store, key: KeyRow, now: number): KeyView {
  return {
    ...summarizeKey(store, key),
    health: healthOf(factsOfKey(store, key, now)).health,
    destinations: store.destinations.linksOfKey(key.id).map((link) => ({
      id: link.destinationId,
      required: link.required,
      mustAcknowledge: link.mustAcknowledge,
      as: link.name,
    })),
    versions: store.versions.ofKey(key.id).map(viewVersion),
    rotation: store.rotations.live(key.id)?.id ?? null,
  };
}

export function viewRotation(store: Store, row: RotationRow): RotationView {
  const sent = row.toVersion === null ? [] : store.deliveries.ofRotation(row.keyId, row.id);
  return {
    id: row.id,
    key: row.keyId,
    trigger: row.trigger,
    reason: row.reason,
    requestedBy: row.requestedBy,
    live: row.live,
    state: row.state,
    step: row.step,
    rollback: row.rollbackGraceEndsAt !== null,
    batch: row.batchId,
    fromVersion: row.fromVersion,
    toVersion: row.toVersion,
    attempts: row.attempt,
    problem: row.problem,
    ...explainRotation(store, row),
    lastCall: viewCall(row.lastCall),
    nextTryAt: row.leaseUntil === null ? isoOf(row.dueAt) : null,
    startedAt: iso(row.startedAt),
    deadlineAt: iso(row.deadlineAt),
    endedAt: isoOf(row.endedAt),
    deliveries: sent.map(viewDelivery),
  };
}

export function viewDelivery(row: DeliveryRow): DeliveryView {
  return {
    id: row.id,
    key: row.keyId,
    version: row.number,
    revision: row.revision,
    rotation: row.rotationId,
    destination: row.destinationId,
    as: row.name,
    required: row.required,
    mustAcknowledge: row.mustAcknowledge,
    state: row.state,
    attempts: row.attempt,
    lastCall: viewCall(row.lastCall),
    nextTryAt: row.leaseUntil === null ? isoOf(row.dueAt) : null,
    createdAt: iso(row.createdAt),
    deliveredAt: isoOf(row.deliveredAt),
    acknowledgedAt: isoOf(row.acknowledgedAt),
  };
}

export function viewDestination(store: Store, row: DestinationRow): DestinationView {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    config: destinationOf(row.type).config.parse(row.config),
    state: row.state,
    provenAt: isoOf(row.provenAt),
    lastCall: viewCall(row.lastCall),
    opensAt: isoOf(row.opensAt),
    usedBy: store.destinations.linksOfDestination(row.id).map((link) => link.keyId),
    createdAt: iso(row.createdAt),
    createdBy: row.createdBy,
  };
}

export function viewEvent(row: EventRow): EventView {
  return {
    seq: row.seq,
    id: row.id,
    type: row.type,
    at: iso(row.at),
    actor: row.actor,
    key: row.keyId,
    data: JSON.parse(row.data) as Record<string, unknown>,
    hash: Buffer.from(row.hash).toString("hex"),
  };
}

function viewUsage(store: Store, { id, verification: { usage } }: KeyRow): KeySummaryView["usage"] {
  return usage ? { ...usage, used: store.keyUses.get(id)?.uses ?? 0 } : null;
}

function viewVersion(row: VersionRow): VersionView {
  return {
    number: row.number,
    stage: row.stage,
    hint: row.hint,
    fingerprint: row.fingerprint && Buffer.from(row.fingerprint).toString("hex"),
    issuedAt: iso(row.issuedAt),
    expiresAt: isoOf(row.expiresAt),
    promotedAt: isoOf(row.promotedAt),
    graceEndsAt: isoOf(row.graceEndsAt),
    heldSince: isoOf(row.heldAt),
    endReason: row.endReason,
    revokedAt: isoOf(row.revokedAt),
    confirmed: row.confirmed,
    lastSeenAt: isoOf(row.lastSeenAt),
    nextTryAt: row.stage === "revoking" && row.leaseUntil === null ? isoOf(row.dueAt) : null,
    due: viewDue(row, todoOf("revoke", row.keyId, row.number)),
  };
}

function viewDue({ askedAt, remindedAt }: Asked, todo: string): DueView | null {
  return askedAt === null ? null : { since: iso(askedAt), remindedAt: isoOf(remindedAt), todo };
}

/** A call to the outside as the API shows it. */
export function viewCall(call: CallReport | null): CallView | null {
  return (
    call && {
      method: call.method,
      host: call.host,
      status: call.status ?? null,
      code: call.code,
      at: iso(call.at),
    }
  );
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

/** ISO 8601 of a time that may be absent. */
export function isoOf(at: number | null): string | null {
  return at === null ? null : iso(at);
}
