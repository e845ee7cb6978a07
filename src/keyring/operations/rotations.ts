/** Rotations: start one by hand, list, read. */
import { parseDuration } from "../../duration.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import { startRotation } from "../../rotation/changes.ts";
import type { EngineContext } from "../../rotation/context.ts";
import type { Engine } from "../../rotation/engine.ts";
import { maxGraceMs } from "../../rotation/policy.ts";
import { openFields } from "../../rotation/values.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { RotationRow } from "../../store/rotations.ts";
import { type Caller, findExcess, requireScope } from "../caller.ts";
import { decodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { allowedGrace, findActable, findCallerCooldown } from "../power.ts";
import { type RotationView, viewRotation } from "../views.ts";
import { badCursor, findRotationRefusal, keyNotFound } from "./keys.ts";

export interface RotateInput {
  grace?: string | undefined;
  reason?: string | undefined;
  reveal: "none" | "inline";
}

export interface RotateAnswer {
  rotation: RotationView;
  /** The new value, when it was asked for and the rotation did not fail. */
  secret?: string;
}

/** A caller who asks to see the value waits at least this long for it to be minted. */
const REVEAL_WAIT_MS = 10_000;

/** Starts a rotation, or joins the one that is live. */
export function beginRotation(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: RotateInput,
): Result<RotationRow, Failure> {
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const key = found.value;
  const refusal = findRefusal(context, caller, key, input);
  if (refusal) return err(refusal);
  const live = context.store.rotations.live(key.id);
  if (live) return ok(live);
  const { reason = null } = input;
  const grace = allowedGrace(context, caller, key, input.grace ?? null);
  return ok(startRotation(context, key, { trigger: "manual", reason, requestedBy: caller.id, grace }));
}

/** Why a caller cannot have a rotation of a key now, or undefined. */
export function findRefusal(
  context: EngineContext,
  caller: Caller,
  key: KeyRow,
  input: RotateInput,
): Failure | undefined {
  const { store } = context;
  const reveals = input.reveal !== "none";
  const hasReceiver = reveals || store.destinations.linksOfKey(key.id).length > 0;
  return (
    (reveals
      ? (requireScope(caller, "keys:reveal") ??
        findExcess(context, caller, key) ??
        findCallerCooldown(context, caller))
      : undefined) ??
    findRotationRefusal(context, key) ??
    findGraceExcess(key, input) ??
    (hasReceiver || store.rotations.live(key.id) ? undefined : { code: "no-receiver" })
  );
}

/** Why a grace cannot be had, or undefined. */
function findGraceExcess({ policy }: KeyRow, { grace = "0" }: RotateInput): Failure | undefined {
  if (parseDuration(grace) <= maxGraceMs(policy)) return undefined;
  const message = "is longer than the policy's maxGrace (default 30d)";
  return { code: "invalid", errors: [{ path: "grace", message }] };
}

/** Waits as asked, then shows the rotation and, if asked for, the value it made. */
export async function awaitRotation(
  context: EngineContext,
  engine: Engine,
  id: string,
  reveal: boolean,
  waitMs: number,
): Promise<RotateAnswer> {
  if (reveal) {
    const isMinted = (row: RotationRow) => row.toVersion !== null || !row.live;
    await engine.waitFor(id, isMinted, Math.max(waitMs, REVEAL_WAIT_MS));
  }
  if (waitMs > 0) await engine.waitFor(id, (row) => !row.live, waitMs);
  const held = reveal ? engine.releaseReveal(id) : undefined;
  const row = context.store.rotations.get(id);
  if (!row) throw new Error("a rotation vanished");
  const version =
    row.toVersion === null ? undefined : context.store.versions.byNumber(row.keyId, row.toVersion);
  const lives = version?.stage === "pending" || version?.stage === "current";
  const fields = reveal && lives ? (held ?? openFields(context, version)) : undefined;
  return { rotation: viewRotation(context.store, row), ...(fields && { secret: fields.secret }) };
}

export function getRotation({ store }: EngineContext, id: string): Result<RotationView, Failure> {
  const row = store.rotations.get(id);
  return row ? ok(viewRotation(store, row)) : err({ code: "not-found", detail: "no rotation has this id" });
}

/** A page of rotations, newest first. */
export function listRotations(
  { store }: EngineContext,
  idOrName: string | undefined,
  page: PageRequest,
): Result<Page<RotationView>, Failure> {
  const before = decodeCursor(page.cursor, "rot");
  if (before === undefined) return err(badCursor());
  const key = idOrName === undefined ? undefined : store.keys.find(idOrName);
  if (idOrName !== undefined && !key) return err(keyNotFound());
  const rows = store.rotations.list(key?.id, before, page.limit + 1);
  return ok(pageOf(rows, page.limit, (row) => viewRotation(store, row)));
}
