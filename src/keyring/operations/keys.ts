/** Keys: create, adopt, list, read, change, delete. */
import type { Failure, FieldError } from "../../errors/catalogue.ts";
import { newId } from "../../ids.ts";
import { DEFAULT_PREFIX, formatToken, newPublicId, parseToken } from "../../issuer/token.ts";
import type { Fields } from "../../providers/provider.ts";
import { providerOf } from "../../providers/registry.ts";
import { err, ok, type Result } from "../../result.ts";
import { advanceRotation, reschedule, startRotation } from "../../rotation/changes.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { isOfUse, killVersion } from "../../rotation/effects.ts";
import { addDelivery } from "../../rotation/sends.ts";
import { valueColumns } from "../../rotation/values.ts";
import type { KeyFilter, KeyRow, Policy } from "../../store/keys.ts";
import { type Caller, findExcess, requireScope } from "../caller.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { isScope } from "../scopes.ts";
import { type KeySummaryView, type KeyView, summarizeKey, viewKey } from "../views.ts";
import { type LinkInput, replaceLinks, resolveLinks } from "./links.ts";

export interface CreateKeyInput {
  name: string;
  provider: string;
  prefix?: string | undefined;
  scopes: string[];
  role?: "operator" | "agent" | undefined;
  subject?: string | undefined;
  /** Milliseconds since the epoch. */
  expiresAt?: number | undefined;
  labels: Record<string, string>;
  policy: Policy;
  destinations: LinkInput[];
  fields?: Fields | undefined;
  /** Milliseconds since the epoch. */
  issuedAt?: number | undefined;
}

export interface PatchKeyInput {
  policy?: Policy | undefined;
  destinations?: LinkInput[] | undefined;
  labels?: Record<string, string> | undefined;
  paused?: boolean | undefined;
}

export interface CreatedKey {
  key: KeyView;
  /** The issued value, this once; absent for an adopted key. */
  secret?: string;
}

/** Creates an issued key, or adopts an existing value. Version 1 is current in the commit that answers. */
export function createKey(
  context: EngineContext,
  caller: Caller,
  input: CreateKeyInput,
): Result<CreatedKey, Failure> {
  const { store, identity, random } = context;
  const now = context.now();
  const errors = findErrors(input, now);
  if (errors.length > 0) return err({ code: "invalid", errors });
  const provider = providerOf(input.provider);
  const excess = findExcess(caller, input);
  if (excess) return err(excess);
  const holder = store.keys.byName(input.name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  const id = newId("key", now, random);
  const links = resolveLinks(context, id, input.name, input.destinations);
  if (!links.ok) return links;

  const prefix = input.prefix ?? DEFAULT_PREFIX;
  const versionId = newPublicId(random);
  const fields = input.fields ?? { secret: formatToken(prefix, identity.code, versionId, random) };
  const value = valueColumns(context, provider, versionId, fields, links.value.length > 0);
  if (input.fields && value.fingerprint && store.versions.byFingerprint(value.fingerprint).length > 0) {
    return err({
      code: "invalid",
      errors: [{ path: "fields.secret", message: "this value is already kept here" }],
    });
  }
  const key = store.keys.insert({
    id,
    name: input.name,
    provider: provider.name,
    prefix,
    scopes: input.scopes,
    role: input.role ?? null,
    subject: input.subject ?? null,
    expiresAt: input.expiresAt ?? null,
    labels: input.labels,
    policy: input.policy,
    paused: false,
    state: "active",
    revision: 1,
    lastNumber: 1,
    cooldownUntil: null,
    failures: 0,
    retryAt: null,
    dueAt: null,
    createdAt: now,
    createdBy: caller.id,
  });
  const version = store.versions.insert({
    id: versionId,
    keyId: id,
    number: 1,
    stage: "current",
    rotationId: null,
    reference: versionId,
    ...value,
    issuedAt: input.issuedAt ?? now,
    promotedAt: now,
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
  for (const link of links.value) {
    store.destinations.link(link);
    addDelivery(context, key, version, link, null);
  }
  reschedule(context, id);
  record(context, {
    type: "key.created",
    actor: caller.id,
    keyId: id,
    data: { name: key.name, provider: key.provider, adopted: input.fields !== undefined },
  });
  const view = viewKey(store, store.keys.get(id) ?? key);
  return ok({ key: view, ...(!input.fields && { secret: fields.secret }) });
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

export function getKey({ store }: EngineContext, idOrName: string): Result<KeyView, Failure> {
  const key = store.keys.find(idOrName);
  return key ? ok(viewKey(store, key)) : err(keyNotFound());
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
  const key = store.keys.find(idOrName);
  if (!key) return err(keyNotFound());
  if (key.state === "deleting" || key.state === "deleted") return err({ code: "key-deleting" });
  const excess = input.destinations && findExcess(caller, key);
  if (excess) return err(excess);
  const links = input.destinations && resolveLinks(context, key.id, key.name, input.destinations);
  if (links && !links.ok) return links;
  const policy = input.policy ?? key.policy;
  const receivers = links?.value.length ?? store.destinations.linksOfKey(key.id).length;
  if (policy.maxAge !== undefined && receivers === 0) return err({ code: "invalid", errors: [NO_RECEIVER] });
  if (rotate) {
    const asChanged = { ...key, paused: input.paused ?? key.paused };
    const refusal = requireScope(caller, "keys:rotate") ?? findRotationRefusal(context, asChanged);
    if (refusal) return err(refusal);
  }
  if (links) {
    const replaced = replaceLinks(context, key, links.value, rotate);
    if (!replaced.ok) return replaced;
  }
  store.keys.update(store.keys.get(key.id) ?? key, {
    ...(input.policy && { policy: input.policy }),
    ...(input.labels && { labels: input.labels }),
    ...(input.paused !== undefined && { paused: input.paused }),
  });
  record(context, {
    type: "key.updated",
    actor: caller.id,
    keyId: key.id,
    data: { changed: Object.keys(input).sort().join(" ") },
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
  const key = store.keys.find(idOrName);
  if (!key) return err(keyNotFound());
  const refusal = requireScope(caller, "keys:revoke");
  if (refusal) return err(refusal);
  if (key.state === "deleting" || key.state === "deleted") return getKey(context, key.id);
  const alive = endEveryVersion(context, key, "deleted");
  record(context, {
    type: "key.updated",
    actor: caller.id,
    keyId: key.id,
    data: { changed: "state", state: "deleting" },
  });
  const ended = store.keys.get(key.id) ?? key;
  store.keys.update(ended, { state: alive > 0 ? "deleting" : "deleted", dueAt: null });
  if (alive === 0) {
    store.destinations.unlinkKey(key.id);
    record(context, { type: "key.deleted", actor: caller.id, keyId: key.id, data: { name: key.name } });
  }
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
  const { store } = context;
  const key = store.keys.find(idOrName);
  if (!key) return err(keyNotFound());
  if (input.version === undefined) {
    endEveryVersion(context, key, "revoked");
  } else {
    const refusal = revokeOne(context, key, input.version);
    if (refusal) return err(refusal);
  }
  const now = store.keys.get(key.id) ?? key;
  if (now.state === "active" && !isOfUse(context, key.id)) store.keys.update(now, { state: "revoked" });
  record(context, {
    type: "key.updated",
    actor: caller.id,
    keyId: key.id,
    data: { changed: "revoked", version: input.version ?? null, reason: input.reason },
  });
  reschedule(context, key.id);
  return getKey(context, key.id);
}

/** Why a key cannot be rotated by hand now, or undefined. */
export function findRotationRefusal(context: EngineContext, key: KeyRow): Failure | undefined {
  const now = context.now();
  if (key.state === "deleting" || key.state === "deleted") return { code: "key-deleting" };
  if (key.expiresAt !== null && key.expiresAt <= now) return { code: "key-expired" };
  const { store } = context;
  if (key.state === "revoked" || (!store.versions.current(key.id) && !store.rotations.live(key.id))) {
    return { code: "key-revoked" };
  }
  if (key.paused && !store.rotations.live(key.id)) return { code: "key-paused" };
  if (key.cooldownUntil !== null && key.cooldownUntil > now) {
    return { code: "cooldown", retryAt: new Date(key.cooldownUntil).toISOString() };
  }
  return undefined;
}

export function keyNotFound(): Failure {
  return { code: "not-found", detail: "no key has this id or name" };
}

export function badCursor(): Failure {
  return { code: "invalid", errors: [{ path: "cursor", message: "not a cursor of this list" }] };
}

const NO_RECEIVER: FieldError = {
  path: "policy.maxAge",
  message: "needs a destination: a scheduled rotation would make a value that nobody receives",
};

function findErrors(input: CreateKeyInput, now: number): FieldError[] {
  const provider = providerOf(input.provider);
  const errors: FieldError[] = [];
  const add = (path: string, message: string) => errors.push({ path, message });
  if (provider.opensApi) {
    if (input.scopes.length === 0) add("scopes", "an access key needs at least one scope");
    for (const [index, scope] of input.scopes.entries()) {
      if (!isScope(scope)) add(`scopes.${index}`, "not a scope of this API");
    }
  }
  if (input.fields && !provider.adopts) add("fields", `${provider.title} cannot adopt an existing value`);
  if (input.fields && parseToken(input.fields.secret).kind !== "foreign") {
    add("fields.secret", "has the form of an issued key; only values made elsewhere can be adopted");
  }
  if (!input.fields && input.issuedAt !== undefined) add("issuedAt", "only goes with fields");
  if (input.issuedAt !== undefined && input.issuedAt > now) add("issuedAt", "must not be in the future");
  if (input.expiresAt !== undefined && input.expiresAt <= now) add("expiresAt", "must be in the future");
  if (input.policy.maxAge !== undefined && input.destinations.length === 0) errors.push(NO_RECEIVER);
  return errors;
}

/** Revokes what is alive, old values first, so that the live rotation sees no way back and stops. Returns how many are alive. */
function endEveryVersion(context: EngineContext, key: KeyRow, reason: "revoked" | "deleted"): number {
  const { store } = context;
  for (const version of store.versions.alive(key.id)) {
    if (version.stage === "current" || version.stage === "previous") killVersion(context, version, reason);
  }
  const rotation = store.rotations.live(key.id);
  if (rotation)
    advanceRotation(context, rotation, { outcome: { kind: "stopped", problem: `the key was ${reason}` } });
  for (const delivery of store.deliveries.unsettled(key.id)) {
    store.deliveries.update(delivery, { state: "superseded", dueAt: null, claim: delivery.claim + 1 });
  }
  return store.versions.alive(key.id).length;
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
