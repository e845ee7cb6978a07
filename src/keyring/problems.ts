/**
 * What is wrong in a keyring, from the red light to its cause and what somebody can do about it. Looks only into indexes that hold what
 * is stuck, and stops when it has enough. Reads only.
 */
import { todoOf } from "../rotation/asking.ts";
import type { EngineContext } from "../rotation/context.ts";
import { latestGraceEnd } from "../rotation/graces.ts";
import { FAILED_OFTEN, OVERDUE_MS } from "../rotation/health.ts";
import { whatHolds } from "../rotation/holding.ts";
import type { DeliveryRow } from "../store/deliveries.ts";
import type { DestinationRow } from "../store/destinations.ts";
import type { KeyRow } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { SubscriptionRow } from "../store/subscriptions.ts";
import type { VersionRow } from "../store/versions.ts";
import type { CallReport } from "../store/work-table.ts";
import { explainRotation } from "./explain.ts";
import { isoOf } from "./views.ts";

export const PROBLEM_KINDS = [
  "keyring-closed",
  "keyring-on-hold",
  "cron-missing",
  "key-lost",
  "rotation-needs-human",
  "rotation-needs-attention",
  "revocation-stuck",
  "rotation-blocked",
  "rotation-needs-slot",
  "key-failing",
  "key-overdue",
  "key-due",
  "revocation-due",
  "delivery-failing",
  "destination-failing",
  "subscription-failing",
  "grace-held",
] as const;

export interface ProblemView {
  what: (typeof PROBLEM_KINDS)[number];
  /** Of what has the problem: a key, rotation, delivery, destination or subscription; else the keyring's name. */
  id: string;
  /** Id of the key that it concerns, where it concerns one. */
  key: string | null;
  /** As far as that is known. */
  since: string | null;
  cause: string;
  remedy: string;
  nextTryAt: string | null;
}

/** As many as one answer shows. */
export const MAX_PROBLEMS = 100;

/**
 * What is wrong, the worst first, in the order of the rules of health; at last what may still heal by itself. Looks no further once it
 * has `MAX_PROBLEMS`, but may give a few more.
 */
export function listProblems(context: EngineContext): ProblemView[] {
  const { store } = context;
  const now = context.now();
  const held = (state: RotationRow["state"], limit: number) =>
    store.rotations.heldAs(state, limit).map((row) => ofRotation(context, row));
  // Late ones come first: with fewer asked for, those that are not late might not be among them.
  const waiting = (isLate: boolean) => () =>
    (["blocked", "needs-slot"] as const).flatMap((state) =>
      store.rotations
        .heldAs(state, MAX_PROBLEMS)
        .filter(({ deadlineAt }) => deadlineAt <= now === isLate)
        .map((row) => ofRotation(context, row)),
    );
  const failed = store.keys.failed(1, MAX_PROBLEMS);
  const sources: ((limit: number) => ProblemView[])[] = [
    () => (store.overview.hasHeld() ? [ofImport(context)] : []),
    (limit) => store.keys.lost(limit).map((key) => ofLostKey(context, key)),
    (limit) => held("needs-human", limit),
    (limit) => held("needs-attention", limit),
    (limit) => store.versions.stuck(limit).map((version) => ofRevocation(version)),
    waiting(true),
    () => failed.filter(({ failures }) => failures >= FAILED_OFTEN).map((key) => ofFailedKey(context, key)),
    (limit) => store.due.startsDue(now - OVERDUE_MS, limit).map(({ id, at }) => ofOverdue(context, id, at)),
    (limit) => store.keys.asked(limit).map((key) => ofDueKey(context, key)),
    (limit) => store.versions.asked(limit).map((version) => ofDueEnd(context, version)),
    () => failed.filter(({ failures }) => failures < FAILED_OFTEN).map((key) => ofFailedKey(context, key)),
    (limit) => store.deliveries.failing(limit).map((row) => ofDelivery(context, row)),
    (limit) => store.destinations.unwell(limit).map(ofDestination),
    (limit) => store.subscriptions.unwell(limit).map(ofSubscription),
    (limit) => store.versions.heldInGrace(limit).flatMap((version) => ofHeldGrace(context, version)),
    waiting(false),
  ];
  const found: ProblemView[] = [];
  for (const list of sources) {
    if (found.length < MAX_PROBLEMS) found.push(...list(MAX_PROBLEMS - found.length));
  }
  return found;
}

/** Cron stays away. */
export function ofCron({ identity }: EngineContext, lastCronAt: number | null): ProblemView {
  return {
    what: "cron-missing",
    id: identity.name,
    key: null,
    since: isoOf(lastCronAt),
    cause: lastCronAt === null ? "Cron has never come." : "Cron does not come any more.",
    remedy:
      "Scheduled rotations begin with cron. Look at the Worker's cron trigger ([triggers] in wrangler.toml) and at its log; what is under way goes on without it.",
    nextTryAt: null,
  };
}

function ofImport({ identity }: EngineContext): ProblemView {
  return {
    what: "keyring-on-hold",
    id: identity.name,
    key: null,
    since: null,
    cause: "The keyring was imported, and what was under way waits for its release.",
    remedy: `Once it runs nowhere else, POST /v1/keyrings/${identity.name}/release until nothing is left.`,
    nextTryAt: null,
  };
}

function ofLostKey({ store }: EngineContext, { id }: KeyRow): ProblemView {
  const [last] = store.rotations.list(id, "", 1);
  return {
    what: "key-lost",
    id,
    key: id,
    since: isoOf(last?.endedAt ?? last?.startedAt ?? null),
    cause: last?.problem ?? "The service holds a value that never came here, and the old one is dead.",
    remedy: `Make a value at the service by hand and hand it in: PUT /v1/keys/${id}/value.`,
    nextTryAt: null,
  };
}

const WAITING = {
  blocked: "rotation-blocked",
  "needs-slot": "rotation-needs-slot",
  "needs-human": "rotation-needs-human",
  "needs-attention": "rotation-needs-attention",
} as const;

function ofRotation({ store }: EngineContext, row: RotationRow): ProblemView {
  const { waitsFor, remedy } = explainRotation(store, row);
  const { id, keyId, state, problem } = row;
  return {
    what: state in WAITING ? WAITING[state as keyof typeof WAITING] : "rotation-needs-attention",
    id,
    key: keyId,
    since: isoOf(row.startedAt),
    cause: join(
      waitsFor && problem && waitsFor !== problem
        ? `${problem}; it waits for ${waitsFor}`
        : (problem ?? waitsFor),
      row.lastCall,
    ),
    remedy:
      remedy ??
      `POST /v1/rotations/${id}/retry tries again at once, POST /v1/rotations/${id}/cancel gives up.`,
    nextTryAt: nextTryOf(row),
  };
}

function ofRevocation(row: VersionRow): ProblemView {
  const { id, keyId, number, attempt } = row;
  return {
    what: "revocation-stuck",
    id,
    key: keyId,
    since: isoOf(row.compromisedAt ?? row.graceEndsAt ?? row.retiredAt),
    cause: join(
      `Version ${number} may still work: ${attempt} tries to revoke it and see it dead failed`,
      row.lastCall,
    ),
    remedy: `Revoke it at the service by hand: it is seen dead at the next try. POST /v1/keys/${keyId}/versions/${number}/abandon gives up on it.`,
    nextTryAt: nextTryOf(row),
  };
}

function ofDueKey(context: EngineContext, key: KeyRow): ProblemView {
  const current = context.store.versions.current(key.id);
  const hasLeaked = (current?.compromisedAt ?? null) !== null;
  return {
    what: "key-due",
    id: key.id,
    key: key.id,
    since: isoOf(key.askedAt),
    cause: hasLeaked
      ? "Its current value leaked, and only a person can make a new one."
      : "Its value is past its age, and only a person can make a new one.",
    remedy: `${todoOf("replace", key.id, null)}${runbookOf(context, key)}`,
    nextTryAt: isoOf(key.dueAt),
  };
}

function ofDueEnd(context: EngineContext, version: VersionRow): ProblemView {
  const { id, keyId, number } = version;
  const key = context.store.keys.get(keyId);
  return {
    what: "revocation-due",
    id,
    key: keyId,
    since: isoOf(version.askedAt),
    cause: `Version ${number} may still work, and only a person can end it.`,
    remedy: `${todoOf("revoke", keyId, number)}${key ? runbookOf(context, key) : ""}`,
    nextTryAt: nextTryOf(version),
  };
}

function runbookOf({ providerOf }: EngineContext, key: KeyRow): string {
  const runbook = providerOf(key).runbook?.(key.config);
  if (!runbook) return "";
  return ` Runbook: ${runbook.text}${runbook.url === undefined ? "" : ` (${runbook.url})`}`;
}

function ofFailedKey({ store }: EngineContext, key: KeyRow): ProblemView {
  const [last] = store.rotations.list(key.id, "", 1);
  const times = key.failures === 1 ? "The last rotation" : `The last ${key.failures} rotations`;
  const explained = last && !last.live ? explainRotation(store, last).remedy : null;
  return {
    what: "key-failing",
    id: key.id,
    key: key.id,
    since: isoOf(last?.endedAt ?? null),
    cause: join(`${times} failed${last?.problem ? `: ${last.problem}` : ""}`, last?.lastCall ?? null),
    remedy: explained ?? `Mend what it names, then POST /v1/keys/${key.id}/rotate.`,
    nextTryAt: isoOf(key.dueAt),
  };
}

function ofOverdue({ store, now }: EngineContext, id: string, at: number): ProblemView {
  const isHeld = store.settings.hold(now()) !== null;
  const isLimited = store.settings.limits().rotations !== undefined;
  const why = isHeld
    ? "scheduled rotations are on hold"
    : isLimited
      ? "as many rotations are live as the settings allow, or cron does not come"
      : "cron did not come, or could not start it";
  const what = isHeld
    ? "POST /v1/settings/release lets scheduled rotations begin"
    : isLimited
      ? "Mend the rotations that are live, or raise limits.rotations by PATCH /v1/settings"
      : "See lastSweepAt and the Worker's log";
  return {
    what: "key-overdue",
    id,
    key: id,
    since: isoOf(at),
    cause: `Its rotation was due and was not started: ${why}.`,
    remedy: `${what}; POST /v1/keys/${id}/rotate starts this one now.`,
    nextTryAt: null,
  };
}

function ofDelivery({ store }: EngineContext, row: DeliveryRow): ProblemView {
  const { id, destinationId, number, attempt } = row;
  const name = store.destinations.get(destinationId)?.name ?? destinationId;
  return {
    what: "delivery-failing",
    id,
    key: row.keyId,
    since: isoOf(row.attemptedAt ?? row.createdAt),
    cause: join(`${name} did not take version ${number} in ${attempt} tries`, row.lastCall),
    remedy: `Mend ${name}, then POST /v1/destinations/${destinationId}/test, which sends what waits for it; POST /v1/deliveries/${id}/replay sends only this.`,
    nextTryAt: nextTryOf(row),
  };
}

function ofDestination(row: DestinationRow): ProblemView {
  return {
    what: "destination-failing",
    id: row.id,
    key: null,
    since: isoOf(row.provenAt),
    cause: describeUnwell(row),
    remedy: `Mend ${row.name}, then POST /v1/destinations/${row.id}/test, which sends what waits for it.`,
    nextTryAt: null,
  };
}

function ofSubscription(row: SubscriptionRow): ProblemView {
  return {
    what: "subscription-failing",
    id: row.id,
    key: null,
    since: isoOf(row.provenAt),
    cause: `${describeUnwell(row)}${row.missedSeq > 0 ? ` What it was not told up to event ${row.missedSeq} has outlived its retention.` : ""}`,
    remedy: `Mend ${row.name}, then POST /v1/subscriptions/${row.id}/test; it is sent all that it missed and that is still kept.`,
    nextTryAt: nextTryOf(row),
  };
}

/** Nothing is wrong with one that goes at its present deadline, as all that it waited for has come. */
function ofHeldGrace(context: EngineContext, row: VersionRow): ProblemView[] {
  const { id, keyId, number, graceEndsAt } = row;
  const key = context.store.keys.get(keyId);
  const missing = key ? whatHolds(context, key, row) : [];
  if (!key || missing.length === 0) return [];
  const ceiling = latestGraceEnd(key, row);
  const isHeldOn = key.policy.onCeiling === "hold";
  const end = isHeldOn
    ? "It is held until a person ends it"
    : `It is revoked on ${new Date(ceiling).toISOString()}, whoever uses it still`;
  return [
    {
      what: "grace-held",
      id,
      key: keyId,
      since: isoOf(row.heldAt),
      cause: `Version ${number} lives beyond its grace, now until ${isoOf(graceEndsAt)}: ${missing.join("; ")}. ${end}.`,
      remedy: `Have them move to the new version; POST /v1/deliveries/{id}/acknowledge says so of one that has. POST /v1/keys/${keyId}/versions/${number}/extend gives them more time, …/finish ends the old version now.`,
      nextTryAt: nextTryOf(row),
    },
  ];
}

/** Why a receiver counts as not answering, in words. */
export function describeUnwell({ name, state, lastCall }: DestinationRow | SubscriptionRow): string {
  const what = state === "disabled" ? "told us to stop (HTTP 410)" : "does not answer as it should";
  return join(`${name} ${what}`, state === "disabled" ? null : lastCall);
}

/** Adds what the outside said last. A body is never part of it. */
function join(cause: string | null, call: CallReport | null): string {
  const last =
    call && call.code !== "ok"
      ? ` (${call.method} ${call.host}: ${call.status ? `HTTP ${call.status}` : call.code})`
      : "";
  return `${cause ?? "It does not go on by itself"}${last}.`.replace(/\.\.$/, ".");
}

function nextTryOf({
  leaseUntil,
  dueAt,
}: {
  leaseUntil: number | null;
  dueAt: number | null;
}): string | null {
  return leaseUntil === null ? isoOf(dueAt) : null;
}
