/** Rotations: start one by hand, list, read. */
import type { Failure } from "../../errors/catalogue.ts";
import type { Fields } from "../../providers/provider.ts";
import { err, ok, type Result } from "../../result.ts";
import { CLAIM_LASTS_MS } from "../../rotation/backoff.ts";
import { startRotation } from "../../rotation/changes.ts";
import { type EngineContext, record, triggerOf } from "../../rotation/context.ts";
import type { Engine } from "../../rotation/engine.ts";
import { findGraceExcess, findNoReceiver, findRotationRefusal } from "../../rotation/refusal.ts";
import { claimUrlAt, keptBy, openClaim } from "../../rotation/value-claims.ts";
import { openFields } from "../../rotation/values.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { RotationRow } from "../../store/rotations.ts";
import type { VersionRow } from "../../store/versions.ts";
import { type Caller, findExcess, requireScope } from "../caller.ts";
import { findKey, type KeyTarget } from "../find-key.ts";
import { type Outlook, viewOutlook } from "../outlook.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { allowedGrace, findActable, findCallerCooldown } from "../power.ts";
import { type RotationView, viewRotation } from "../views.ts";
import { badCursor } from "./keys.ts";

export interface RotateInput {
  grace?: string | undefined;
  reason?: string | undefined;
  reveal: "none" | "claim" | "inline";
}

export interface RotateAnswer {
  rotation: RotationView;
  /** The new value, when it was asked for and the rotation did not fail. */
  secret?: string;
  /** What opens it, when that was asked for. */
  claim?: { token: string; url: string; expiresAt: string };
  /** For an agent: what it could not ask for any more, should the key be its own. */
  outlook?: Outlook;
}

/** A caller who asks to see the value waits at least this long for it to be minted. */
const REVEAL_WAIT_MS = 10_000;

/** Starts a rotation, or joins the one that is live. */
export function beginRotation(
  context: EngineContext,
  caller: Caller,
  target: KeyTarget,
  input: RotateInput,
): Result<RotationRow, Failure> {
  const found = findActable(context, caller, target);
  if (!found.ok) return found;
  const key = found.value;
  const refusal = findRefusal(context, caller, key, input);
  if (refusal) return err(refusal);
  const live = context.store.rotations.live(key.id);
  if (live) return ok(join(context, caller, live));
  const { reason = null } = input;
  const grace = allowedGrace(context, caller, key, input.grace ?? null);
  return ok(
    startRotation(context, key, { trigger: triggerOf(context), reason, requestedBy: caller.id, grace }),
  );
}

/** Nothing is begun; that an agent asked, and may have seen the value, is told all the same. */
function join(context: EngineContext, { id: actor }: Caller, live: RotationRow): RotationRow {
  const { id: rotationId, keyId } = live;
  if (context.acting) record(context, { type: "key.rotation.joined", actor, keyId, data: { rotationId } });
  return live;
}

/** Why a caller cannot have a rotation of a key now, or undefined. */
export function findRefusal(
  context: EngineContext,
  caller: Caller,
  key: KeyRow,
  input: RotateInput,
): Failure | undefined {
  const reveals = input.reveal !== "none";
  return (
    (reveals ? (requireScope(caller, "keys:reveal") ?? findExcess(context, caller, key)) : undefined) ??
    findRotationRefusal(context, key) ??
    (reveals ? findCallerCooldown(context, caller) : undefined) ??
    findGraceExcess(key, input.grace ?? null) ??
    (reveals ? undefined : findNoReceiver(context, key))
  );
}

/** Adds what an agent hears. */
export function withOutlook(context: EngineContext, answer: RotateAnswer): RotateAnswer {
  const row = context.store.rotations.get(answer.rotation.id);
  return row ? { ...answer, outlook: viewOutlook(context, row) } : answer;
}

/** Waits as asked, then shows the rotation and, if asked for, the value it made. */
export async function awaitRotation(
  context: EngineContext,
  engine: Engine,
  id: string,
  reveal: boolean,
  waitMs: number,
): Promise<RotateAnswer> {
  const { row, fields } = await awaitValue(context, engine, id, reveal, waitMs);
  return { rotation: viewRotation(context.store, row), ...(fields && { secret: fields.secret }) };
}

/**
 * The same with a claim in place of the value. The same request again gets a new one, and the one that it did not use is void; once
 * one was used, or nobody can tell any more, there is none.
 */
export async function awaitClaim(
  context: EngineContext,
  engine: Engine,
  { id, waits, waitMs }: { id: string; waits: boolean; waitMs: number },
  { claimant, isRepeated, origin }: { claimant: string; isRepeated: boolean; origin: string },
): Promise<RotateAnswer> {
  const { store } = context;
  const { row, fields } = await awaitValue(context, engine, id, waits, waitMs);
  const opened = store.transaction(() => {
    const version = revealable(context, row);
    const [earlier] = store.valueClaims.of(id, claimant);
    const isStale = version === undefined || context.now() >= version.issuedAt + CLAIM_LASTS_MS;
    if (!version || (isRepeated && (earlier ? earlier.claimedAt !== null : isStale))) return undefined;
    const value = fields ?? (earlier && keptBy(context, earlier));
    const isKept = version.sealed !== null || value !== undefined;
    return isKept ? openClaim(context, version, id, claimant, value) : undefined;
  });
  const claim = opened && {
    token: opened.claim,
    url: claimUrlAt(origin),
    expiresAt: new Date(opened.expiresAt).toISOString(),
  };
  return { rotation: viewRotation(store, row), ...(claim && { claim }) };
}

async function awaitValue(
  context: EngineContext,
  engine: Engine,
  id: string,
  reveal: boolean,
  waitMs: number,
): Promise<{ row: RotationRow; fields: Fields | undefined }> {
  if (reveal) {
    const isMinted = (row: RotationRow) => row.toVersion !== null || !row.live;
    await engine.watchers.waitFor(id, isMinted, Math.max(waitMs, REVEAL_WAIT_MS));
  }
  if (waitMs > 0) await engine.watchers.waitFor(id, (row) => !row.live, waitMs);
  const held = reveal ? engine.watchers.releaseReveal(id) : undefined;
  const row = context.store.rotations.get(id);
  if (!row) throw new Error("a rotation vanished");
  const version = revealable(context, row);
  return { row, fields: reveal && version ? (held ?? openFields(context, version)) : undefined };
}

/** The version that a rotation made, while it is of use. */
function revealable({ store }: EngineContext, { keyId, toVersion }: RotationRow): VersionRow | undefined {
  const version = toVersion === null ? undefined : store.versions.byNumber(keyId, toVersion);
  return version?.stage === "pending" || version?.stage === "current" ? version : undefined;
}

export function getRotation({ store }: EngineContext, id: string): Result<RotationView, Failure> {
  const row = store.rotations.get(id);
  return row ? ok(viewRotation(store, row)) : err({ code: "not-found", detail: "no rotation has this id" });
}

export interface RotationFilter {
  /** Id or name of a key. */
  key?: string | undefined;
  /** Id of a batch. */
  batch?: string | undefined;
}

/** A page of rotations, newest first. */
export function listRotations(
  context: EngineContext,
  { key: idOrName, batch }: RotationFilter,
  page: PageRequest,
): Result<Page<RotationView>, Failure> {
  const { store } = context;
  const before = decodeCursor(page.cursor, "rot");
  if (before === undefined) return err(badCursor());
  const key = idOrName === undefined ? undefined : findKey(context, idOrName);
  if (key && !key.ok) return key;
  if (batch !== undefined && !store.batches.get(batch)) {
    return err({ code: "not-found", detail: "no batch has this id" });
  }
  const rows =
    batch === undefined
      ? store.rotations.list(key?.value.id, before, page.limit + 1)
      : store.rotations.listOfBatch(batch, key?.value.id, before, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewRotation(store, row)));
}
