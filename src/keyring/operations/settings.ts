/** What holds for a keyring as a whole: the kill switch of scheduled rotations, and how many run at once. */
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import { wakeBatches } from "../../rotation/batch-ends.ts";
import { planHeartbeat } from "../../rotation/chores.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import type { Caller } from "../caller.ts";
import { findCallerCooldown } from "../power.ts";
import { isoOf } from "../views.ts";

export interface HoldView {
  since: string;
  until: string | null;
  reason: string;
  by: string;
}

export interface SettingsView {
  /** Null when nothing holds scheduled rotations. */
  hold: HoldView | null;
  limits: { rotations: number | null; rotationsPerConnection: number | null };
  /** How often the keyring says that it is alive, as a duration; `0` for never. */
  heartbeat: string;
  /** How long events stay in the history, as a duration. */
  eventRetention: string;
}

export interface PatchSettingsInput {
  limits?:
    | { rotations?: number | null | undefined; rotationsPerConnection?: number | null | undefined }
    | undefined;
  heartbeat?: string | undefined;
  eventRetention?: string | undefined;
}

export interface HoldInput {
  reason: string;
  /** Milliseconds since the epoch. */
  until?: number | undefined;
}

export function getSettings(context: EngineContext): SettingsView {
  const { settings } = context.store;
  const hold = settings.hold(context.now());
  const { rotations = null, rotationsPerConnection = null } = settings.limits();
  return {
    hold: hold && {
      since: new Date(hold.since).toISOString(),
      until: isoOf(hold.until),
      reason: hold.reason,
      by: hold.by,
    },
    limits: { rotations, rotationsPerConnection },
    heartbeat: settings.heartbeat(),
    eventRetention: settings.eventRetention(),
  };
}

/** Changes the settings that are given; null takes a limit away. The first heartbeat follows after its time, not at once. */
export function patchSettings(
  context: EngineContext,
  caller: Caller,
  { limits, heartbeat, eventRetention }: PatchSettingsInput,
): Result<SettingsView, Failure> {
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const { settings } = context.store;
  if (limits) {
    const known = getSettings(context).limits;
    const { rotations = known.rotations, rotationsPerConnection = known.rotationsPerConnection } = limits;
    settings.setLimits({
      ...(rotations !== null && { rotations }),
      ...(rotationsPerConnection !== null && { rotationsPerConnection }),
    });
    const data = { rotations, rotationsPerConnection };
    record(context, { type: "settings.updated", actor: caller.id, data });
  }
  if (heartbeat !== undefined && heartbeat !== settings.heartbeat()) {
    planHeartbeat(context, heartbeat);
    record(context, { type: "settings.updated", actor: caller.id, data: { heartbeat } });
  }
  if (eventRetention !== undefined && eventRetention !== settings.eventRetention()) {
    const data = { eventRetention, before: settings.eventRetention() };
    settings.setEventRetention(eventRetention);
    record(context, { type: "settings.updated", actor: caller.id, data });
  }
  return ok(getSettings(context));
}

/** Stops every new scheduled rotation until it is released, or until a time. A hold that is in force keeps its beginning. */
export function holdRotations(
  context: EngineContext,
  caller: Caller,
  { reason, until = undefined }: HoldInput,
): Result<SettingsView, Failure> {
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const { settings } = context.store;
  const now = context.now();
  if (until !== undefined && until <= now) {
    return err({ code: "invalid", errors: [{ path: "until", message: "must be in the future" }] });
  }
  const since = settings.hold(now)?.since ?? now;
  settings.setHold({ since, until: until ?? null, reason, by: caller.id });
  record(context, {
    type: "hold.started",
    actor: caller.id,
    data: { reason, until: isoOf(until ?? null) },
  });
  return ok(getSettings(context));
}

/** Lets scheduled rotations begin again. What fell due meanwhile is spread over the hour that follows. */
export function releaseRotations(context: EngineContext, caller: Caller): Result<SettingsView, Failure> {
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const { settings } = context.store;
  const now = context.now();
  const hold = settings.hold(now);
  if (!hold) return ok(getSettings(context));
  settings.setHold({ ...hold, until: now });
  record(context, { type: "hold.released", actor: caller.id, data: { reason: hold.reason } });
  wakeBatches(context);
  return ok(getSettings(context));
}
