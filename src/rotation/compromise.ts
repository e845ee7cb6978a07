/**
 * A version leaked. What follows depends on where it stands and, for the current one, on the policy's `onCompromise`:
 *
 * - `replace-first` (default): an escalated rotation replaces it; if none is minted within a minute, it is revoked anyway
 * - `hold`: the same without that minute: it lives until its replacement is there
 * - `revoke-first`: it is revoked at once, then replaced
 * - `revoke-only`: it is revoked, and nothing is minted
 * - `notify-only`: nothing but the event
 *
 * Inside the caller's transaction; the caller pumps afterwards.
 */
import type { LeakAction } from "../store/compromises.ts";
import type { KeyRow, OnCompromise } from "../store/keys.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { VersionRow } from "../store/versions.ts";
import { noteAsked, requestData } from "./asking.ts";
import { advanceRotation, startRotation } from "./changes.ts";
import { dropRevisions } from "./connections.ts";
import { type EngineContext, record } from "./context.ts";
import { closeIfUseless, killVersion } from "./effects.ts";
import { seeksMarkers } from "./facts.ts";
import { supersede } from "./sends.ts";
import { markerOf } from "./steps/mint.ts";
import { openFields } from "./values.ts";

/** A leaked value without a replacement is revoked after this long. */
const REPLACED_WITHIN_MS = 60_000;

export interface LeakReport {
  /** Where the report came from, for the history. */
  source: string;
  /** Id of the access key that reported it, `root` or `rekey`. */
  actor: string;
  /** The report that it is part of, and where the value was seen. */
  compromiseId?: string;
  seenAt?: string | null;
  url?: string | null;
}

export interface LeakResponse {
  action: LeakAction;
  /** Id of the rotation that replaces it, if one does. */
  rotationId: string | null;
}

/** Acts on a report that a version leaked. Reporting it again does no harm. */
export function compromiseVersion(
  context: EngineContext,
  version: VersionRow,
  { actor, ...where }: LeakReport,
): LeakResponse {
  const key = context.store.keys.get(version.keyId);
  if (!key) throw new Error("a version without its key");
  const isKnown = version.compromisedAt !== null;
  const response = respond(context, key, version, actor);
  // What is dead, or is being dealt with, is no news.
  if (response.action === "none" || (isKnown && !isNews(response.action))) return response;
  if (response.action === "notified" && context.store.leaks.isNotified(version.id)) return response;
  record(context, {
    type: "key.compromised",
    actor,
    keyId: key.id,
    data: {
      ...askedOfPerson(context, key, version, response),
      version: version.number,
      stage: version.stage,
      ...where,
      ...response,
    },
  });
  return response;
}

function isNews(action: LeakAction): boolean {
  return action === "started" || action === "revoked" || action === "discarded";
}

/**
 * The minute is over and the leaked version is current still. One that was minted meanwhile is about to replace it, so it is looked
 * at again; without one the leaked version dies now.
 */
export function endPatience(context: EngineContext, version: VersionRow): VersionRow {
  const { store } = context;
  const rotation = store.rotations.live(version.keyId);
  const next =
    rotation && rotation.toVersion !== null && store.versions.byNumber(version.keyId, rotation.toVersion);
  if (next && next.stage === "pending") {
    return store.versions.update(version, {
      dueAt: context.now() + REPLACED_WITHIN_MS,
      leaseUntil: null,
      claim: version.claim + 1,
    });
  }
  const dead = killVersion(context, version, "compromised");
  if (rotation) advanceRotation(context, rotation, { outcome: { kind: "old-gone" } });
  return dead;
}

function respond(context: EngineContext, key: KeyRow, version: VersionRow, actor: string): LeakResponse {
  const { store } = context;
  const rotation = store.rotations.live(key.id);
  const isReported = version.compromisedAt !== null;
  switch (version.stage) {
    case "revoked":
    case "discarded":
    case "lost":
      return { action: "none", rotationId: null };
    case "revoking":
      store.versions.update(version, {
        compromisedAt: version.compromisedAt ?? context.now(),
        urgent: true,
        // Whoever reports it again and again must not have the service called as often.
        ...(version.leaseUntil === null && !isReported && { attempt: 0, dueAt: context.now() }),
      });
      return { action: "retried", rotationId: null };
    case "previous":
      markLeaked(context, version);
      return { action: "revoked", rotationId: null };
    case "pending":
      markLeaked(context, version);
      if (rotation) advanceRotation(context, rotation, { outcome: { kind: "new-leaked" } });
      return { action: "discarded", rotationId: rotation?.id ?? null };
    case "current":
      return respondToCurrent(context, key, version, rotation, actor);
  }
}

function respondToCurrent(
  context: EngineContext,
  key: KeyRow,
  version: VersionRow,
  rotation: RotationRow | undefined,
  actor: string,
): LeakResponse {
  const { store } = context;
  const choice = choiceFor(context, key);
  switch (choice) {
    case "notify-only":
      return { action: "notified", rotationId: null };
    case "revoke-only":
      markLeaked(context, version);
      if (rotation) advanceRotation(context, rotation, stopOrGoOn(rotation, version));
      return { action: "revoked", rotationId: rotation?.id ?? null };
    case "revoke-first":
      markLeaked(context, version);
      break;
    case "hold":
    case "replace-first": {
      const isTimed = choice === "replace-first" && canEnd(context, key, version);
      const now = context.now();
      // Where only a person could make a replacement, and none is on its way, nothing comes within a minute.
      const patience = context.providerOf(key).runbook && !rotation ? 0 : REPLACED_WITHIN_MS;
      store.versions.update(version, {
        compromisedAt: version.compromisedAt ?? now,
        urgent: true,
        ...(isTimed && version.dueAt === null && { dueAt: now + patience }),
      });
      break;
    }
  }
  const isReplacing = rotation !== undefined && rotation.toVersion !== version.number;
  if (context.providerOf(key).runbook) {
    noteAsked(context, store.keys.get(key.id) ?? key, !isReplacing);
    if (!isReplacing) return { action: "asked", rotationId: null };
  }
  if (isReplacing) {
    return { action: "escalated", rotationId: escalate(context, rotation).id };
  }
  return { action: "started", rotationId: replace(context, key, version, rotation, actor).id };
}

/** Whether a call ends a version of a key that leaked. */
function canEnd(context: EngineContext, key: KeyRow, version: VersionRow): boolean {
  const { revoke, leakDesk } = context.providerOf(key);
  if (revoke) return true;
  const fields = leakDesk && openFields(context, version);
  return fields !== undefined && leakDesk?.(fields) !== undefined;
}

/** What a person is to do about a leak, where no call can, and where: replace what is current, end the rest. */
function askedOfPerson(context: EngineContext, key: KeyRow, version: VersionRow, { action }: LeakResponse) {
  const { number } = version;
  const provider = context.providerOf(key);
  const runbook = provider.runbook?.(key.config);
  const isCurrent = action === "asked" || action === "notified";
  if (runbook && isCurrent) return requestData("replace", key.id, number, runbook);
  if (action === "notified") {
    return {
      todo: `Replace it: POST /v1/keys/${key.id}/rotate. Its policy says that nothing is done about a leak.`,
    };
  }
  if (action === "started" || action === "escalated") {
    const isHeard = context.store.destinations.linksOfKey(key.id).length > 0;
    return isHeard || provider.overlap === "none" ? {} : { todo: todoOfUnheard(key.id) };
  }
  if (canEnd(context, key, version)) return {};
  if (runbook) return requestData("revoke", key.id, number, runbook);
  const todo = `End the value of version ${number} at ${provider.title} itself: no call to it does. It is tested until it is refused.`;
  return { do: "revoke", version: number, todo, url: provider.about?.page ?? null };
}

function todoOfUnheard(keyId: string): string {
  return `No destination receives its new value. Have it shown: POST /v1/keys/${keyId}/rotate {"reveal":"claim"}.`;
}

/** What the policy says, as far as the service allows: where a mint ends the old value, and may need it alive, that comes first. */
function choiceFor(context: EngineContext, key: KeyRow): OnCompromise {
  const choice = key.policy.onCompromise ?? "replace-first";
  const isOver = key.expiresAt !== null && key.expiresAt <= context.now();
  if (isOver && choice !== "notify-only") return "revoke-only";
  const { revoke, overlap } = context.providerOf(key);
  const mintEndsIt = overlap === "none" || !revoke;
  return choice === "revoke-first" && mintEndsIt ? "replace-first" : choice;
}

/** Ends a leaked version now. */
function markLeaked(context: EngineContext, version: VersionRow): void {
  const { store } = context;
  const marked = store.versions.update(version, { compromisedAt: version.compromisedAt ?? context.now() });
  killVersion(context, marked, "compromised");
  closeIfUseless(context, version.keyId);
}

/** A rotation whose own new version was ended is over; one that replaces it goes on, with no way back. */
function stopOrGoOn(rotation: RotationRow, version: VersionRow) {
  const problem = "its new version leaked";
  return rotation.toVersion === version.number
    ? { outcome: { kind: "stopped", problem } as const }
    : { outcome: { kind: "old-gone" } as const };
}

/** Turns a live rotation into an emergency. */
function escalate(context: EngineContext, rotation: RotationRow): RotationRow {
  const { store } = context;
  if (rotation.urgent) return rotation;
  for (const delivery of store.deliveries.unsettled(rotation.keyId)) {
    const isFree = delivery.leaseUntil === null;
    store.deliveries.update(delivery, {
      urgent: true,
      ...(isFree && { state: "pending", attempt: 0, dueAt: context.now() }),
    });
  }
  const urgent = store.rotations.update(rotation, { urgent: true, ending: null });
  // What a worker has in hand at these steps must not be begun a second time; it goes on as an emergency by itself.
  const inHand = rotation.leaseUntil !== null && ["mint", "settle", "test"].includes(rotation.step);
  return inHand ? urgent : advanceRotation(context, urgent, { outcome: { kind: "escalated" } });
}

/** An escalated rotation of its own. One that had just made the leaked version is closed first; what it may have left behind is sought on. */
function replace(
  context: EngineContext,
  key: KeyRow,
  version: VersionRow,
  rotation: RotationRow | undefined,
  actor: string,
): RotationRow {
  const { store } = context;
  if (rotation) {
    for (const delivery of store.deliveries.ofVersion(key.id, version.number)) {
      if (delivery.state === "pending" || delivery.state === "failing") {
        supersede(context, delivery);
      }
    }
    const problem = "its new version leaked";
    advanceRotation(context, rotation, { outcome: { kind: "taken-over", problem } });
  }
  const canFind = seeksMarkers(context.providerOf(key));
  const heir = canFind && rotation && (rotation.doubts > 0 || rotation.sought) ? rotation : undefined;
  const markers = heir && [
    ...(heir.sought ?? []),
    ...Array.from({ length: heir.mints }, (_, index) => markerOf(heir, index + 1)),
  ];
  const next = startRotation(context, store.keys.get(key.id) ?? key, {
    trigger: "compromise",
    reason: `version ${version.number} leaked`,
    requestedBy: actor,
    grace: null,
    urgent: true,
    fromVersion: version.number,
    ...(markers && {
      sought: markers,
      settleAt: heir.settleAt,
      connectionRevision: heir.connectionRevision,
    }),
  });
  if (rotation) dropRevisions(context, rotation);
  return next;
}
