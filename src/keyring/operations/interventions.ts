/** What a person decides about a rotation or a version on its way out: cancel, retry, give up, go back, lengthen or end a grace. */
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import * as engine from "../../rotation/interventions.ts";
import { startRollback } from "../../rotation/rollback.ts";
import type { KeyRow } from "../../store/keys.ts";
import type { RotationRow } from "../../store/rotations.ts";
import type { VersionRow } from "../../store/versions.ts";
import type { Caller } from "../caller.ts";
import { allowedRollbackGrace, findActable, findCallerCooldown } from "../power.ts";
import { type KeyView, type RotationView, viewKey, viewRotation } from "../views.ts";

export type Intervention = "cancel" | "retry" | "abandon";

const EVENTS = {
  cancel: "key.rotation.cancelled",
  retry: "key.rotation.retried",
  abandon: "key.rotation.abandoned",
} as const;

/** Cancels, retries or abandons a rotation. */
export function intervene(
  context: EngineContext,
  caller: Caller,
  id: string,
  what: Intervention,
): Result<RotationView, Failure> {
  const { store } = context;
  const rotation = store.rotations.get(id);
  if (!rotation) return err({ code: "not-found", detail: "no rotation has this id" });
  const key = findActable(context, caller, rotation.keyId);
  if (!key.ok) return key;
  // Who was just replaced does not stop the rotation by which the owner goes back.
  const cooldown = what === "retry" ? undefined : findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const actor = caller.id;
  record(context, {
    type: EVENTS[what],
    actor,
    keyId: rotation.keyId,
    data: { rotationId: id, step: rotation.step, state: rotation.state },
  });
  const done = run(context, rotation, actor, what);
  return done.ok ? ok(viewRotation(store, done.value)) : done;
}

function run(context: EngineContext, rotation: RotationRow, actor: string, what: Intervention) {
  switch (what) {
    case "cancel":
      return engine.cancelRotation(context, rotation, actor);
    case "retry":
      return engine.retryRotation(context, rotation);
    case "abandon":
      return engine.abandonRotation(context, rotation, actor);
  }
}

export interface RollbackInput {
  reason: string;
  version?: number | undefined;
  grace?: string | undefined;
}

/** Starts making an earlier version current again. A cooldown does not stand in the way: going back is what it leaves time for. */
export function rollBackKey(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  input: RollbackInput,
): Result<RotationRow, Failure> {
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const key = found.value;
  if (key.state === "deleting" || key.state === "deleted") return err({ code: "key-deleting" });
  if (key.state === "revoked") return err({ code: "key-revoked" });
  if (key.state === "lost") return err({ code: "key-lost" });
  if (key.expiresAt !== null && key.expiresAt <= context.now()) return err({ code: "key-expired" });
  const grace = allowedRollbackGrace(context, caller, key, input.grace);
  return startRollback(context, key, { ...input, grace, requestedBy: caller.id });
}

/** Moves the end of a version's grace on. */
export function extendGrace(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  number: number,
  grace: string,
): Result<KeyView, Failure> {
  return onVersion(context, caller, idOrName, number, (key, version) =>
    engine.extendGrace(context, key, version, grace, caller.id),
  );
}

/** Ends a version's grace now. */
export function finishGrace(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  number: number,
): Result<KeyView, Failure> {
  return onVersion(context, caller, idOrName, number, (key, version) =>
    engine.finishGrace(context, key, version, caller.id),
  );
}

/** Gives up on a revocation that does not succeed. */
export function abandonVersion(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  number: number,
): Result<KeyView, Failure> {
  return onVersion(context, caller, idOrName, number, (_, version) =>
    engine.abandonVersion(context, version, caller.id),
  );
}

/** Acts on a version of a key. Who was just replaced may not: it would end the owner's grace, or lengthen a thief's. */
function onVersion(
  context: EngineContext,
  caller: Caller,
  idOrName: string,
  number: number,
  act: (key: KeyRow, version: VersionRow) => Result<VersionRow, Failure>,
): Result<KeyView, Failure> {
  const { store } = context;
  const found = findActable(context, caller, idOrName);
  if (!found.ok) return found;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const key = found.value;
  const version = store.versions.byNumber(key.id, number);
  if (!version) return err({ code: "not-found", detail: `the key has no version ${number}` });
  const done = act(key, version);
  return done.ok ? ok(viewKey(store, store.keys.get(key.id) ?? key, context.now())) : done;
}
