/** Shared policies: make, list, change with a look at the effect first, delete. */
import type { Failure, FieldError } from "../../errors/catalogue.ts";
import { newId } from "../../ids.ts";
import type { Provider } from "../../providers/provider.ts";
import { err, ok, type Result } from "../../result.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { changePolicy } from "../../rotation/policies.ts";
import { graceMs, isPlanned, nextRotationAt } from "../../rotation/policy.ts";
import type { KeyRow, Policy } from "../../store/keys.ts";
import type { PolicyRow } from "../../store/policies.ts";
import type { Store } from "../../store/store.ts";
import type { Caller } from "../caller.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { findCallerCooldown, findForeign, findSelfRule, kinWithPolicy } from "../power.ts";
import { isoOf } from "../views.ts";
import { needsReceiver } from "./create-key.ts";
import { badCursor } from "./keys.ts";

export interface PolicyView {
  id: string;
  name: string;
  policy: Policy;
  /** How many keys have it. */
  keys: number;
  /** All of them have the present one. */
  applied: boolean;
  createdAt: string;
  createdBy: string;
}

/** When one key's next rotation is, before and after a change. ISO 8601. */
export interface PlanChange {
  key: string;
  name: string;
  from: string | null;
  to: string | null;
}

/** What a change of policy does to the keys that have it. */
export interface PolicyEffect {
  /** Keys looked at: all of them, or the first 10,000. */
  keys: number;
  complete: boolean;
  /** Those whose next rotation would be due at once, and is not now. */
  dueNow: number;
  sooner: number;
  later: number;
  /** Those that get a next rotation, and those that lose it. */
  planned: number;
  unplanned: number;
  unchanged: number;
  /** The first of those that change. */
  items: PlanChange[];
}

export interface ChangedPolicy {
  policy: PolicyView;
  effect: PolicyEffect;
}

export interface PatchPolicyInput {
  name?: string | undefined;
  policy?: Policy | undefined;
}

const MAX_LOOKED_AT = 10_000;
const LOOKED_AT_ONCE = 500;
const MAX_SHOWN = 100;

export function createPolicy(
  context: EngineContext,
  caller: Caller,
  { name, policy }: { name: string; policy: Policy },
): Result<PolicyView, Failure> {
  const { store, random } = context;
  const now = context.now();
  const holder = store.policies.find(name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  const row = store.policies.insert({
    id: newId("pol", now, random),
    name,
    policy,
    createdAt: now,
    createdBy: caller.id,
    appliedTo: null,
    dueAt: null,
  });
  record(context, { type: "policy.created", actor: caller.id, data: { policyId: row.id, name } });
  return ok(viewPolicy(context, row));
}

export function getPolicy(context: EngineContext, idOrName: string): Result<PolicyView, Failure> {
  const row = context.store.policies.find(idOrName);
  return row ? ok(viewPolicy(context, row)) : err(policyNotFound());
}

export function listPolicies(context: EngineContext, page: PageRequest): Result<Page<PolicyView>, Failure> {
  const after = decodeCursor(page.cursor, "pol");
  if (after === undefined) return err(badCursor());
  const rows = context.store.policies.list(after, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewPolicy(context, row)));
}

/** Changes a policy for all its keys, or only says what that would do. */
export function patchPolicy(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: PatchPolicyInput,
  dryRun: boolean,
): Result<ChangedPolicy, Failure> {
  const { store } = context;
  const row = store.policies.find(idOrName);
  if (!row) return err(policyNotFound());
  const { name = row.name, policy = row.policy } = input;
  const holder = store.policies.find(name);
  if (holder && holder.id !== row.id) return err({ code: "name-taken", holder: holder.id });
  const unfit = store.keys
    .kindsWithPolicy(row.id)
    .flatMap((key) => findPolicyErrors(context.providerOf(key), policy));
  if (unfit.length > 0) return err({ code: "invalid", errors: unfit });
  const homeless = isPlanned(policy)
    ? store.keys
        .withoutDestination(row.id, MAX_LOOKED_AT)
        .filter((key) => needsReceiver(context.providerOf(key), policy))
    : [];
  if (homeless.length > 0)
    return err({ code: "no-receiver", usedBy: homeless.slice(0, MAX_SHOWN).map(({ id }) => id) });
  const selfish = input.policy && findSelfRule(context, caller, kinWithPolicy(context, caller, row.id));
  if (selfish) return err(selfish);
  const effect = effectOf(context, row, policy);
  if (dryRun) return ok({ policy: viewPolicy(context, { ...row, name, policy }), effect });
  const refusal =
    findCallerCooldown(context, caller) ?? findForeign(context, caller, keysWith(store, row.id));
  if (refusal) return err(refusal);
  const renamed = store.policies.update(row, { name });
  const changed = input.policy ? changePolicy(context, renamed, input.policy) : renamed;
  const data = { policyId: row.id, name, changed: Object.keys(input).sort().join(" "), keys: effect.keys };
  record(context, { type: "policy.updated", actor: caller.id, data });
  return ok({ policy: viewPolicy(context, changed), effect });
}

/** All keys of a policy, read page by page. */
function* keysWith(store: Store, policyId: string): Iterable<KeyRow> {
  let after = "";
  for (;;) {
    const page = store.keys.withPolicy(policyId, after, MAX_LOOKED_AT);
    yield* page;
    const last = page.at(-1);
    if (!last) return;
    after = last.id;
  }
}

export function deletePolicy(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
): Result<void, Failure> {
  const { store } = context;
  const row = store.policies.find(idOrName);
  if (!row) return err(policyNotFound());
  const users = store.keys.withPolicy(row.id, "", MAX_SHOWN).filter(({ state }) => state !== "deleted");
  if (users.length > 0) return err({ code: "in-use", usedBy: users.map(({ id }) => id) });
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  store.policies.remove(row);
  record(context, {
    type: "policy.deleted",
    actor: caller.id,
    data: { policyId: row.id, name: row.name },
  });
  return ok(undefined);
}

/** A policy as it comes with a key: its own, or the name or id of a shared one. */
export type PolicyChoice = Policy | string;

/** What a key keeps of the policy that was chosen for it. */
export function resolvePolicy(
  { store }: EngineContext,
  choice: PolicyChoice,
): Result<Pick<KeyRow, "policy" | "policyId">, FieldError> {
  if (typeof choice !== "string") return ok({ policy: choice, policyId: null });
  const row = store.policies.find(choice);
  return row
    ? ok({ policy: row.policy, policyId: row.id })
    : err({ path: "policy", message: "no policy has this id or name" });
}

/** What of a policy a provider cannot do. */
export function findPolicyErrors(provider: Provider, policy: Policy, isAtEdge = false): FieldError[] {
  return [...findDowntimeErrors(provider, policy), ...findRevokeWhenErrors(provider, policy, isAtEdge)];
}

/** Where the old value dies as the new one is made, nobody is surprised by that on a schedule. */
function findDowntimeErrors({ title, overlap, about }: Provider, policy: Policy): FieldError[] {
  if (!isPlanned(policy) || policy.allowDowntime === true) return [];
  if (overlap === "provider" && graceMs(policy, null) === 0) {
    const message = `must not be 0 for rotations on a schedule, unless allowDowntime is true: ${title} would end the old value the moment that it makes the new one`;
    return [{ path: "policy.grace", message }];
  }
  if (overlap !== "none") return [];
  const instead = about?.instead === undefined ? "" : `; ${about.instead}`;
  const message = `must be true for rotations on a schedule: ${title} ends the old value the moment that it makes the new one, so whoever uses it fails until the new one has arrived${instead}`;
  return [{ path: "policy.allowDowntime", message }];
}

function findRevokeWhenErrors(
  provider: Provider,
  { revokeWhen = [] }: Policy,
  isAtEdge: boolean,
): FieldError[] {
  const needsEyes = revokeWhen.some(
    (condition) => condition === "newSeen" || condition.startsWith("oldIdle:"),
  );
  if (needsEyes && isAtEdge) {
    const message = "newSeen and oldIdle are not for keys with edge: what is verified there is not seen";
    return [{ path: "policy.revokeWhen", message }];
  }
  if (!needsEyes || provider.verifiedHere || provider.lastUsed) return [];
  const message = `${provider.title} does not tell when a value was last used; newSeen and oldIdle need a service that does, or a key that Rekey verifies`;
  return [{ path: "policy.revokeWhen", message }];
}

function effectOf(context: EngineContext, row: PolicyRow, policy: Policy): PolicyEffect {
  const { store } = context;
  const now = context.now();
  const effect: PolicyEffect = {
    keys: 0,
    complete: true,
    dueNow: 0,
    sooner: 0,
    later: 0,
    planned: 0,
    unplanned: 0,
    unchanged: 0,
    items: [],
  };
  for (let after = ""; ; ) {
    const keys = store.keys.withPolicy(row.id, after, LOOKED_AT_ONCE);
    for (const key of keys) if (key.state !== "deleted") note(effect, context, key, policy, now);
    const last = keys.at(-1);
    if (!last || keys.length < LOOKED_AT_ONCE) return effect;
    if (effect.keys >= MAX_LOOKED_AT) return { ...effect, complete: false };
    after = last.id;
  }
}

function note(
  effect: PolicyEffect,
  { store }: EngineContext,
  key: KeyRow,
  policy: Policy,
  now: number,
): void {
  const current = store.versions.current(key.id);
  const from = nextRotationAt(key, current);
  const to = nextRotationAt({ ...key, policy }, current);
  effect.keys += 1;
  if (from === to) {
    effect.unchanged += 1;
    return;
  }
  if (to === null) effect.unplanned += 1;
  else if (from === null) effect.planned += 1;
  else if (to < from) effect.sooner += 1;
  else effect.later += 1;
  if (to !== null && to <= now && (from === null || from > now)) effect.dueNow += 1;
  if (effect.items.length < MAX_SHOWN) {
    effect.items.push({ key: key.id, name: key.name, from: isoOf(from), to: isoOf(to) });
  }
}

function viewPolicy({ store }: EngineContext, row: PolicyRow): PolicyView {
  return {
    id: row.id,
    name: row.name,
    policy: row.policy,
    keys: store.keys.countWithPolicy(row.id),
    applied: row.dueAt === null,
    createdAt: new Date(row.createdAt).toISOString(),
    createdBy: row.createdBy,
  };
}

function policyNotFound(): Failure {
  return { code: "not-found", detail: "no policy has this id or name" };
}
