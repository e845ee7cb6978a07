/** Keys: list, read, change, revoke, delete. */
import type { Failure } from "../../errors/catalogue.ts";
import type { Fields } from "../../providers/provider.ts";
import { err, ok, type Result } from "../../result.ts";
import { advanceRotation, reschedule, startByHand, startRotation } from "../../rotation/changes.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { closeIfUseless, finishDeletion, killVersion } from "../../rotation/effects.ts";
import { replanGraces } from "../../rotation/graces.ts";
import { findEnd, findRotationRefusal } from "../../rotation/refusal.ts";
import { supersede } from "../../rotation/sends.ts";
import type { KeyFilter, KeyRow } from "../../store/keys.ts";
import type { RotationRow } from "../../store/rotations.ts";
import { type Caller, findExcess, requireScope } from "../caller.ts";
import { findKey } from "../find-key.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { findActable, findCallerCooldown, findSelfRule } from "../power.ts";
import { type KeySummaryView, type KeyView, summarizeKey, viewKey } from "../views.ts";
import { findValueErrors, NO_RECEIVER, nameOf, needsReceiver } from "./create-key.ts";
import { changeKeyConfig } from "./key-config.ts";
import { type LinkInput, replaceLinks, resolveLinks } from "./links.ts";
import { findPolicyErrors, type PolicyChoice, resolvePolicy } from "./policies.ts";
import {
  changeVerification,
  findVerificationErrors,
  storeVerification,
  type VerificationInput,
} from "./verification.ts";

export interface PatchKeyInput {
  policy?: PolicyChoice | undefined;
  config?: Record<string, unknown> | undefined;
  destinations?: LinkInput[] | undefined;
  labels?: Record<string, string> | undefined;
  paused?: boolean | undefined;
  verification?: VerificationInput | undefined;
}

/** A page of keys in order of creation. */
export function listKeys(
  { store }: EngineContext,
  filter: KeyFilter,
  page: PageRequest,
): Result<Page<KeySummaryView>, Failure> {
  const after = decodeCursor(page.cursor, "key");
  if (after === undefined) return err(badCursor());
  return ok(
    pageOf(store.keys.list(filter, after, page.limit + 1), page.limit, (row) => summarizeKey(store, row)),
  );
}

export function getKey(context: EngineContext, idOrName: string): Result<KeyView, Failure> {
  const key = findKey(context, idOrName);
  return key.ok ? ok(viewKey(context.store, key.value, context.now())) : key;
}

/**
 * Changes a key. Each part that is given replaces that part whole.
 * @param rotate when new destinations need a value of which only a hash is kept, start a rotation that they receive
 */
export function patchKey(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: PatchKeyInput,
  rotate: boolean,
): Result<KeyView, Failure> {
  const { store } = context;
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const key = found.value;
  if (key.state === "deleting" || key.state === "deleted") return err({ code: "key-deleting" });
  const isPowerful = input.destinations !== undefined || context.providerOf(key).opensApi;
  const excess =
    (input.destinations && findExcess(context, caller, key)) ??
    (isPowerful ? findCallerCooldown(context, caller) : undefined) ??
    (input.policy !== undefined || input.paused !== undefined
      ? findSelfRule(context, caller, [key])
      : undefined);
  if (excess) return err(excess);
  const links = input.destinations && resolveLinks(context, key.id, key.name, input.destinations);
  if (links && !links.ok) return links;
  const config = input.config && changeKeyConfig(context.providerOf(key), key.config, input.config);
  if (config && !config.ok) return err({ code: "invalid", errors: config.error });
  const chosen = resolvePolicy(context, input.policy ?? key.policyId ?? key.policy);
  if (!chosen.ok) return err({ code: "invalid", errors: [chosen.error] });
  const { policy } = chosen.value;
  const edge = input.verification?.edge ?? key.verification.edge;
  const isFitAnew = input.policy !== undefined || input.verification?.edge !== undefined;
  const unfit = isFitAnew ? findPolicyErrors(context.providerOf(key), policy, edge) : [];
  if (unfit.length > 0) return err({ code: "invalid", errors: unfit });
  const receivers = links?.value.length ?? store.destinations.linksOfKey(key.id).length;
  if (needsReceiver(context.providerOf(key), policy) && receivers === 0)
    return err({ code: "invalid", errors: [NO_RECEIVER] });
  if (input.verification) {
    const wanted = changeVerification(key.verification, input.verification);
    const errors = findVerificationErrors(context.providerOf(key), wanted);
    if (errors.length > 0) return err({ code: "invalid", errors });
  }
  if (rotate) {
    const asChanged = { ...key, policy, paused: input.paused ?? key.paused };
    const refusal = requireScope(caller, "keys:rotate") ?? findRotationRefusal(context, asChanged);
    if (refusal) return err(refusal);
  }
  if (links) {
    const replaced = replaceLinks(context, key, links.value, rotate);
    if (!replaced.ok) return replaced;
  }
  const changed = store.keys.update(store.keys.get(key.id) ?? key, {
    ...(input.policy !== undefined && chosen.value),
    ...(config && { config: config.value }),
    ...(input.labels && { labels: input.labels }),
    ...(input.paused !== undefined && { paused: input.paused }),
  });
  if (input.policy !== undefined) replanGraces(context, changed);
  if (input.verification) storeVerification(context, store.keys.get(key.id) ?? key, input.verification);
  const { verification = {}, ...others } = input;
  record(context, {
    type: "key.updated",
    actor: caller.id,
    keyId: key.id,
    data: {
      changed: Object.keys({ ...others, ...verification })
        .sort()
        .join(" "),
    },
  });
  reschedule(context, key.id);
  if (rotate && !store.rotations.live(key.id)) {
    const request = {
      trigger: "manual",
      reason: "destinations changed",
      requestedBy: caller.id,
      grace: null,
    } as const;
    startRotation(context, store.keys.get(key.id) ?? key, request);
  }
  return getKey(context, key.id);
}

/** Deletes a key: a live rotation stops, every version is revoked, and the key goes once all are seen dead. */
export function deleteKey(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
): Result<KeyView, Failure> {
  const { store } = context;
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const key = found.value;
  const refusal = requireScope(caller, "keys:revoke") ?? findCallerCooldown(context, caller);
  if (refusal) return err(refusal);
  if (key.state === "deleting" || key.state === "deleted") return getKey(context, key.id);
  const opens = store.connections.openedBy(key.id).map(({ id }) => id);
  if (opens.length > 0) return err({ code: "in-use", usedBy: opens });
  endEveryVersion(context, key, "deleted");
  record(context, {
    type: "key.updated",
    actor: caller.id,
    keyId: key.id,
    data: { changed: "state", state: "deleting" },
  });
  store.keys.update(store.keys.get(key.id) ?? key, { state: "deleting", dueAt: null, askedAt: null });
  finishDeletion(context, key.id);
  return getKey(context, key.id);
}

export interface RevokeInput {
  reason: string;
  version?: number | undefined;
}

/** Revokes one version, or every version that is not dead yet: now, with no replacement. */
export function revokeKey(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: RevokeInput,
): Result<KeyView, Failure> {
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const key = found.value;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  if (input.version === undefined) {
    endEveryVersion(context, key, "revoked");
    closeIfUseless(context, key.id);
  } else {
    const refusal = revokeVersion(context, key, input.version);
    if (refusal) return err(refusal);
  }
  record(context, {
    type: "key.updated",
    actor: caller.id,
    keyId: key.id,
    data: { changed: "revoked", version: input.version ?? null, reason: input.reason },
  });
  reschedule(context, key.id);
  return getKey(context, key.id);
}

export interface HandInInput {
  fields: Fields;
  /** How the service names it. */
  reference?: string | undefined;
}

/**
 * Takes a value by hand, at any time where only a person makes them, else for a key that has lost its own. It is tested, delivered and
 * made current like any other.
 */
export function handInValue(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  { fields, reference }: HandInInput,
): Result<RotationRow, Failure> {
  const { store } = context;
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const key = found.value;
  const refusal = findExcess(context, caller, key) ?? findCallerCooldown(context, caller);
  if (refusal) return err(refusal);
  const provider = context.providerOf(key);
  const unwanted = provider.runbook ? findEnd(context, key) : undefined;
  if (unwanted) return err(unwanted);
  const isLive = store.rotations.live(key.id) !== undefined;
  if (provider.runbook ? isLive : key.state !== "lost" || isLive)
    return err({ code: provider.runbook ? "rotation-live" : "not-awaited" });
  const errors = findValueErrors(context, provider, fields, reference);
  if (errors.length > 0) return err({ code: "invalid", errors });
  const request = {
    trigger: "manual",
    reason: "a value was handed in",
    requestedBy: caller.id,
    grace: null,
  } as const;
  return ok(startByHand(context, key, request, fields, nameOf(provider, fields, reference) ?? null));
}

export function badCursor(): Failure {
  return { code: "invalid", errors: [{ path: "cursor", message: "not a cursor of this list" }] };
}

/** Revokes what is alive, old values first, so that the live rotation sees no way back and stops. */
function endEveryVersion(context: EngineContext, key: KeyRow, reason: "revoked" | "deleted"): void {
  const { store } = context;
  const endOld = () => {
    for (const version of store.versions.alive(key.id)) {
      if (version.stage === "current" || version.stage === "previous") killVersion(context, version, reason);
    }
  };
  endOld();
  const rotation = store.rotations.live(key.id);
  if (rotation)
    advanceRotation(context, rotation, { outcome: { kind: "stopped", problem: `the key was ${reason}` } });
  // A rollback that stops gives its version back to its grace.
  endOld();
  for (const delivery of store.deliveries.unsettled(key.id)) {
    supersede(context, delivery);
  }
}

/** Revokes one version now. Returns why that cannot be done, or undefined. */
export function revokeVersion(context: EngineContext, key: KeyRow, number: number): Failure | undefined {
  const refusal = revokeOne(context, key, number);
  if (!refusal) closeIfUseless(context, key.id);
  return refusal;
}

function revokeOne(context: EngineContext, key: KeyRow, number: number): Failure | undefined {
  const { store } = context;
  const version = store.versions.byNumber(key.id, number);
  if (!version) return { code: "not-found", detail: `the key has no version ${number}` };
  const rotation = store.rotations.live(key.id);
  switch (version.stage) {
    case "revoked":
    case "discarded":
    case "lost":
      return { code: "version-dead" };
    case "revoking":
      return undefined;
    case "previous":
      killVersion(context, version, "revoked");
      return undefined;
    case "current":
    case "pending":
      killVersion(context, version, "revoked");
      if (rotation?.toVersion === number) {
        const problem = "its new version was revoked";
        advanceRotation(context, rotation, { outcome: { kind: "stopped", problem } });
      } else if (rotation) {
        advanceRotation(context, rotation, { outcome: { kind: "old-gone" } });
      }
      return undefined;
  }
}
