/** Subscriptions: create, list, read, change, delete, test, send again. */
import { judgeAddress } from "../../destinations/address.ts";
import type { SendResult } from "../../destinations/destination.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { newSigningSecret } from "../../events/signing.ts";
import { newId } from "../../ids.ts";
import { err, ok, type Result } from "../../result.ts";
import { nextEnd, openAddress, sealAddress } from "../../rotation/addresses.ts";
import { planCronWatch } from "../../rotation/chores.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { withNew } from "../../rotation/secret-list.ts";
import { findNext, placeAt, release, WELL, welcome } from "../../rotation/subscriptions.ts";
import {
  NEW_SUBSCRIPTION,
  type SubscriptionFormat,
  type SubscriptionRow,
} from "../../store/subscriptions.ts";
import type { Caller } from "../caller.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { type SubscriptionView, viewSubscription } from "../subscription-view.ts";
import { type CallView, viewCall } from "../views.ts";
import { badCursor } from "./keys.ts";

export interface CreateSubscriptionInput {
  name: string;
  url: string;
  types: string[];
  labels: Record<string, string>;
  format: SubscriptionFormat;
}

export interface PatchSubscriptionInput {
  name?: string | undefined;
  url?: string | undefined;
  types?: string[] | undefined;
  labels?: Record<string, string> | undefined;
  /** The old signing secret goes on signing for a day. */
  rotateSecret?: boolean | undefined;
}

export interface CreatedSubscription {
  subscription: SubscriptionView;
  /** Shown this once, for the format that is signed. */
  signingSecret?: string;
}

export interface TestedSubscription {
  subscription: SubscriptionView;
  ok: boolean;
  problem: string | null;
  call: CallView | null;
}

const MAX_SUBSCRIPTIONS = 50;

export function createSubscription(
  context: EngineContext,
  caller: Caller,
  input: CreateSubscriptionInput,
): Result<CreatedSubscription, Failure> {
  const { store, random } = context;
  const { name, format, types, labels, url } = input;
  const problem = judgeAddress(context.outbound, url, "url");
  if (problem) return err(problem);
  const holder = store.subscriptions.find(name);
  if (holder) return err({ code: "name-taken", holder: holder.id });
  if (store.subscriptions.count() >= MAX_SUBSCRIPTIONS) {
    return err({ code: "limit-reached", detail: `a keyring has at most ${MAX_SUBSCRIPTIONS} subscriptions` });
  }
  const now = context.now();
  const id = newId("sub", now, random);
  const signingSecret = format === "standard" ? newSigningSecret(random) : undefined;
  const secrets = signingSecret === undefined ? [] : [{ secret: signingSecret, until: null }];
  record(context, {
    type: "subscription.created",
    actor: caller.id,
    data: { subscriptionId: id, name, format },
  });
  const row = store.subscriptions.insert({
    ...NEW_SUBSCRIPTION,
    id,
    name,
    format,
    ...shownOf(url),
    types,
    labels,
    sealed: sealAddress(context, id, NEW_SUBSCRIPTION.revision, { url, secrets }),
    sentSeq: store.events.head()?.seq ?? 0,
    createdAt: now,
    createdBy: caller.id,
  });
  planCronWatch(context);
  return ok({ subscription: viewSubscription(context, row), ...(signingSecret && { signingSecret }) });
}

export function listSubscriptions(
  context: EngineContext,
  page: PageRequest,
): Result<Page<SubscriptionView>, Failure> {
  const after = decodeCursor(page.cursor, "sub");
  if (after === undefined) return err(badCursor());
  const rows = context.store.subscriptions.list(after, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewSubscription(context, row)));
}

export function getSubscription(context: EngineContext, idOrName: string): Result<SubscriptionView, Failure> {
  const row = context.store.subscriptions.find(idOrName);
  return row ? ok(viewSubscription(context, row)) : err(subscriptionNotFound());
}

/**
 * Changes a subscription. Another filter is asked of events from now on and of those that wait; another address has to prove itself
 * before it is told anything.
 */
export function patchSubscription(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: PatchSubscriptionInput,
): Result<CreatedSubscription, Failure> {
  const { store } = context;
  const found = store.subscriptions.find(idOrName);
  if (!found) return err(subscriptionNotFound());
  const holder = input.name === undefined ? undefined : store.subscriptions.find(input.name);
  if (holder && holder.id !== found.id) return err({ code: "name-taken", holder: holder.id });
  const problem = input.url === undefined ? undefined : judgeAddress(context.outbound, input.url, "url");
  if (problem) return err(problem);
  if (input.rotateSecret && found.format !== "standard") {
    const message = "only messages of the format standard are signed";
    return err({ code: "invalid", errors: [{ path: "rotateSecret", message }] });
  }
  const changed = Object.keys(input).sort().join(" ");
  record(context, {
    type: "subscription.updated",
    actor: caller.id,
    data: { subscriptionId: found.id, changed },
  });
  const { name = found.name, types = found.types, labels = found.labels, url } = input;
  // An idle one was told all there is, and none of that is looked at again by another filter.
  const sentSeq = found.dueAt === null && found.state !== "disabled" ? headOf(context) : found.sentSeq;
  let row = store.subscriptions.update(found, { name, types, labels, sentSeq });
  const signingSecret = input.rotateSecret ? newSigningSecret(context.random) : undefined;
  if (url !== undefined || signingSecret !== undefined) row = readdress(context, row, url, signingSecret);
  return ok({ subscription: viewSubscription(context, row), ...(signingSecret && { signingSecret }) });
}

/** Deletes a subscription. What it was not told yet is dropped; the event says from where. */
export function deleteSubscription(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
): Result<void, Failure> {
  const { store } = context;
  const row = store.subscriptions.find(idOrName);
  if (!row) return err(subscriptionNotFound());
  const dropped = findNext(context, row, row.sentSeq).event?.seq ?? null;
  store.subscriptions.remove(row);
  store.chores.set(row.id, null);
  planCronWatch(context);
  record(context, {
    type: "subscription.deleted",
    actor: caller.id,
    data: { subscriptionId: row.id, name: row.name, droppedFrom: dropped },
  });
  return ok(undefined);
}

/** Tells again what happened since a time (milliseconds since the epoch) or an event's number, under the same ids. */
export function replaySubscription(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  since: { at: number } | { seq: number },
): Result<SubscriptionView, Failure> {
  const { store } = context;
  const found = store.subscriptions.find(idOrName);
  if (!found) return err(subscriptionNotFound());
  const asked = "seq" in since ? since.seq - 1 : store.events.lastBefore(since.at);
  // What was pruned cannot be told again.
  const wanted = Math.max(asked, (store.events.oldest()?.seq ?? 1) - 1);
  const row = store.subscriptions.update(found, {
    sentSeq: Math.min(found.sentSeq, wanted),
    skipped: found.skipped.filter((seq) => seq <= wanted),
    failedSeq: found.failedSeq > wanted ? 0 : found.failedSeq,
  });
  record(context, {
    type: "subscription.updated",
    actor: caller.id,
    data: { subscriptionId: row.id, changed: "replay", fromSeq: row.sentSeq + 1 },
  });
  // What is not due yet, for it failed, keeps its time; a worker that is at it has to begin again from here.
  const isAtRest = row.dueAt === null || row.leaseUntil !== null;
  if (isAtRest) release(context, row, row.sentSeq);
  return getSubscription(context, row.id);
}

/** Keeps what a test found. One that is back is told what it missed. */
export function noteTest(
  context: EngineContext,
  asked: SubscriptionRow,
  result: SendResult,
): Result<TestedSubscription, Failure> {
  const { store } = context;
  const row = store.subscriptions.get(asked.id);
  if (!row) return err(subscriptionNotFound());
  // An answer says nothing of an address that came after it.
  if (row.revision === asked.revision) keepTest(context, row, result);
  const problem = result.kind === "held" ? null : result.problem;
  const call = viewCall(result.report);
  const fresh = store.subscriptions.get(row.id) ?? row;
  return ok({ subscription: viewSubscription(context, fresh), ok: problem === null, problem, call });
}

/** How a subscription stands since it was last asked. */
export function describeTested(context: EngineContext, row: SubscriptionRow): TestedSubscription {
  const problem = row.state === "ready" ? null : `it is ${row.state}`;
  const subscription = viewSubscription(context, row);
  return { subscription, ok: problem === null, problem, call: subscription.lastCall };
}

export function subscriptionNotFound(): Failure {
  return { code: "not-found", detail: "no subscription has this id or name" };
}

function keepTest(context: EngineContext, row: SubscriptionRow, result: SendResult): void {
  const { subscriptions } = context.store;
  if (result.kind !== "held") {
    const isOver = result.kind === "gone" && row.state !== "disabled";
    subscriptions.update(row, {
      lastCall: result.report,
      ...(isOver && {
        state: "disabled",
        unwellSince: row.unwellSince ?? context.now(),
        dueAt: null,
        leaseUntil: null,
        claim: row.claim + 1,
      }),
    });
    return;
  }
  const back = welcome(context, row, result);
  // A worker that is at it goes on by itself.
  if (back.leaseUntil === null) subscriptions.update(back, placeAt(context, back, back.sentSeq));
}

/** Gives a row a new address, or a new secret beside the old ones. */
function readdress(
  context: EngineContext,
  row: SubscriptionRow,
  url: string | undefined,
  signingSecret: string | undefined,
): SubscriptionRow {
  const { subscriptions, chores } = context.store;
  const before = openAddress(context, row);
  const secrets =
    signingSecret === undefined ? before.secrets : withNew(before.secrets, signingSecret, context.now());
  const address = { url: url ?? before.url, secrets };
  const revision = row.revision + 1;
  chores.set(row.id, nextEnd(secrets));
  const sealed = sealAddress(context, row.id, revision, address);
  if (url === undefined) return subscriptions.update(row, { revision, sealed });
  const moved: SubscriptionRow = { ...row, state: "unproven" };
  return subscriptions.update(row, {
    revision,
    sealed,
    ...shownOf(url),
    ...placeAt(context, moved, row.sentSeq),
    ...WELL,
    state: "unproven",
    provenAt: null,
    attempt: 0,
    failedSeq: 0,
    leaseUntil: null,
    claim: row.claim + 1,
  });
}

function headOf({ store }: EngineContext): number {
  return store.events.head()?.seq ?? 0;
}

const HINT_LENGTH = 4;

function shownOf(url: string): Pick<SubscriptionRow, "host" | "hint"> {
  return { host: new URL(url).host, hint: url.slice(-HINT_LENGTH) };
}
