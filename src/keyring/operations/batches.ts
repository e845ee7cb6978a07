/** Batches: ask for many rotations at once, or see first what that would do; list, read, pause, resume, cancel. */
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import { findBatchRefusal } from "../../rotation/batch-round.ts";
import {
  cancelBatch,
  countSkipped,
  createBatch,
  findObstacle,
  pauseBatch,
  resumeBatch,
  sharesOf,
} from "../../rotation/batches.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { callsOf, type Estimate, estimate, type Load } from "../../rotation/estimate.ts";
import { mayActOn } from "../../rotation/kinship.ts";
import { graceMs } from "../../rotation/policy.ts";
import type { BatchRow, BatchState, Share } from "../../store/batches.ts";
import type { KeyRow, KeySelection } from "../../store/keys.ts";
import type { Caller } from "../caller.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { findCallerCooldown } from "../power.ts";
import { isoOf } from "../views.ts";
import { badCursor } from "./keys.ts";

export interface BatchInput {
  /** Which keys: those to which all that is named applies. `connection` is an id or a name. */
  select: {
    provider?: string | undefined;
    connection?: string | undefined;
    label?: { name: string; value: string } | undefined;
  };
  grace?: string | undefined;
  reason: string;
}

export interface SelectView {
  provider: string | null;
  connection: string | null;
  label: string | null;
}

export interface SkippedView {
  /** The code of the failure that a rotation by hand would answer. */
  reason: string;
  count: number;
  /** Ids of the first of them. */
  keys: string[];
}

export interface BatchView {
  id: string;
  state: BatchState;
  select: SelectView;
  grace: string | null;
  reason: string;
  requestedBy: string;
  total: number;
  /** Not looked at yet. */
  left: number;
  started: number;
  joined: number;
  live: number;
  succeeded: number;
  failed: number;
  skipped: SkippedView[];
  waitsFor: string | null;
  problem: string | null;
  estimate: Estimate;
  createdAt: string;
  endedAt: string | null;
}

export interface AccountView {
  provider: string;
  connection: string | null;
  keys: number;
}

export interface BatchPlanView {
  select: SelectView;
  keys: number;
  /** Keys that were looked at one by one: all of them, or the first 10,000. */
  looked: number;
  accounts: AccountView[];
  starts: number;
  joins: number;
  skipped: SkippedView[];
  /** Ids of keys that open a connection, which go first. */
  first: string[];
  waitsFor: string | null;
  estimate: Estimate;
}

export type BatchChange = "pause" | "resume" | "cancel";

/** Keys that a dry run looks at one by one. */
const MAX_PLANNED = 10_000;
const PLANNED_ONCE = 500;
const EXAMPLES = 10;
/** A pace is believed once so many have ended, and after so long. */
const LEAST_ENDED = 20;
const LEAST_MS = 10_000;

/** Makes a batch, whose first rotations start with it. */
export function beginBatch(
  context: EngineContext,
  caller: Caller,
  input: BatchInput,
): Result<BatchView, Failure> {
  const selection = selectionOf(context, input);
  if (!selection.ok) return selection;
  const { grace = null, reason } = input;
  const asked = { selection: selection.value, grace, reason, requestedBy: caller.id };
  return ok(viewBatch(context, createBatch(context, asked)));
}

/** What a batch would do now. Reads only. */
export function planBatch(
  context: EngineContext,
  caller: Caller,
  input: BatchInput,
): Result<BatchPlanView, Failure> {
  const { store } = context;
  const selected = selectionOf(context, input);
  if (!selected.ok) return selected;
  const selection = selected.value;
  const shares = sharesOf(context, selection);
  const own = caller.id === "root" ? undefined : store.keys.get(caller.id);
  const skipped: BatchRow["skipped"] = {};
  const counts = { looked: 0, starts: 0, joins: 0 };
  for (const key of keysOf(context, selection, shares)) {
    counts.looked += 1;
    const live = store.rotations.live(key.id);
    const refusal =
      findBatchRefusal(context, own, key, input.grace ?? null) ??
      (live && live.batchId !== null ? "rotation-live" : undefined);
    if (refusal === undefined) counts[live ? "joins" : "starts"] += 1;
    else {
      const { count, keys } = skipped[refusal] ?? { count: 0, keys: [] };
      skipped[refusal] = { count: count + 1, keys: keys.length < EXAMPLES ? [...keys, key.id] : keys };
    }
  }
  return ok({
    select: viewSelection(selection),
    keys: shares.reduce((sum, { total }) => sum + total, 0),
    ...counts,
    accounts: shares.map(({ provider, connectionId, total }) => ({
      provider,
      connection: connectionId,
      keys: total,
    })),
    skipped: viewSkipped(skipped),
    first: store.keys.openersIn(selection).map(({ id }) => id),
    waitsFor: findObstacle(context)?.waitsFor ?? null,
    estimate: estimate(loadsOf(context, shares), graceMs({}, input.grace ?? null)),
  });
}

export function getBatch(context: EngineContext, id: string): Result<BatchView, Failure> {
  const row = context.store.batches.get(id);
  return row ? ok(viewBatch(context, row)) : err(batchNotFound());
}

/** A page of batches, newest first. */
export function listBatches(context: EngineContext, page: PageRequest): Result<Page<BatchView>, Failure> {
  const before = decodeCursor(page.cursor, "bat");
  if (before === undefined) return err(badCursor());
  const rows = context.store.batches.list(before, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewBatch(context, row)));
}

/**
 * Pauses, resumes or cancels a batch. What it is already is no failure. To stop one is the safe direction, which is open in a cooldown,
 * too.
 */
export function changeBatch(
  context: EngineContext,
  caller: Caller,
  id: string,
  change: BatchChange,
): Result<BatchView, Failure> {
  const row = context.store.batches.get(id);
  if (!row) return err(batchNotFound());
  const cooldown = change === "resume" ? findCallerCooldown(context, caller) : undefined;
  const refusal = findForeignBatch(context, caller, row) ?? cooldown;
  if (refusal) return err(refusal);
  if (row.state === OUTCOME[change]) return ok(viewBatch(context, row));
  if (row.state === "done" || row.state === "cancelled") return err({ code: "batch-over" });
  return ok(viewBatch(context, CHANGES[change](context, row, caller.id)));
}

const OUTCOME = { pause: "paused", resume: "running", cancel: "cancelled" } as const;
const CHANGES = { pause: pauseBatch, resume: resumeBatch, cancel: cancelBatch } as const;

/** Who has a role has a say in a batch of its own, or of a key that it may act on. */
function findForeignBatch(
  context: EngineContext,
  caller: Caller,
  { requestedBy }: BatchRow,
): Failure | undefined {
  const { store } = context;
  const own = caller.id === "root" ? undefined : store.keys.get(caller.id);
  const role = own?.role ?? null;
  if (role === null || requestedBy === caller.id) return undefined;
  const maker = store.keys.get(requestedBy);
  return maker && mayActOn(context, own, maker) ? undefined : { code: "not-yours", role };
}

function selectionOf({ store }: EngineContext, { select }: BatchInput): Result<KeySelection, Failure> {
  const { provider, label } = select;
  const connection = select.connection === undefined ? undefined : store.connections.find(select.connection);
  if (select.connection !== undefined && !connection) {
    const message = "no connection has this id or name";
    return err({ code: "invalid", errors: [{ path: "select.connection", message }] });
  }
  return ok({
    ...(provider !== undefined && { provider }),
    ...(connection && { connectionId: connection.id }),
    ...(label && { label }),
  });
}

/** The keys of each account in order, up to as many as a dry run looks at. */
function* keysOf(
  { store }: EngineContext,
  selection: KeySelection,
  shares: readonly Share[],
): Iterable<KeyRow> {
  let left = MAX_PLANNED;
  for (const share of shares) {
    for (let after = ""; left > 0; ) {
      const keys = store.keys.nextOf(selection, share, after, Math.min(PLANNED_ONCE, left));
      yield* keys;
      left -= keys.length;
      const last = keys.at(-1);
      if (!last || last.id >= share.last) break;
      after = last.id;
    }
  }
}

/** A batch as the API shows it. */
export function viewBatch(context: EngineContext, row: BatchRow): BatchView {
  const { started, joined, succeeded, failed } = row;
  const obstacle = row.state === "running" ? findObstacle(context)?.waitsFor : undefined;
  return {
    id: row.id,
    state: row.state,
    select: viewSelection(row.selection),
    grace: row.grace,
    reason: row.reason,
    requestedBy: row.requestedBy,
    total: row.total,
    left: row.state === "done" ? 0 : leftOf(row),
    started,
    joined,
    live: started + joined - succeeded - failed,
    succeeded,
    failed,
    skipped: viewSkipped(row.skipped),
    waitsFor: obstacle ?? row.waitsFor,
    problem: row.problem,
    estimate: estimateOf(context, row),
    createdAt: new Date(row.createdAt).toISOString(),
    endedAt: isoOf(row.endedAt),
  };
}

function leftOf(row: BatchRow): number {
  return Math.max(0, row.total - row.started - row.joined - countSkipped(row));
}

function estimateOf(context: EngineContext, row: BatchRow): Estimate {
  if (row.state === "paused") return { seconds: null, words: "nothing starts while it is paused" };
  if (row.state !== "running") return { seconds: null, words: "it is over" };
  const ended = row.succeeded + row.failed - row.paceFrom.ended;
  const elapsedMs = context.now() - row.paceFrom.at;
  const isPaced = ended >= LEAST_ENDED && elapsedMs >= LEAST_MS;
  const pace = isPaced ? { perSecond: (ended * 1_000) / elapsedMs, keys: leftOf(row) } : undefined;
  return estimate(loadsOf(context, row.shares), graceMs({}, row.grace), pace);
}

function loadsOf(context: EngineContext, shares: readonly Share[]): Load[] {
  return shares.map((share) => {
    const provider = context.providerOf(share);
    return {
      title: provider.title,
      keys: Math.max(0, share.total - share.looked),
      calls: callsOf(provider),
      // Without a connection each key is an account of its own.
      rateLimit: share.connectionId === null ? undefined : provider.rateLimit,
    };
  });
}

function viewSelection({ provider, connectionId, label }: KeySelection): SelectView {
  return {
    provider: provider ?? null,
    connection: connectionId ?? null,
    label: label ? `${label.name}=${label.value}` : null,
  };
}

function viewSkipped(skipped: BatchRow["skipped"]): SkippedView[] {
  return Object.entries(skipped)
    .map(([reason, { count, keys }]) => ({ reason, count, keys }))
    .toSorted((a, b) => b.count - a.count);
}

function batchNotFound(): Failure {
  return { code: "not-found", detail: "no batch has this id" };
}
