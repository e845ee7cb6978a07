/** A dry run of a rotation: what it would do, what cannot be undone, what blocks it. */
import { CATALOGUE, type Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { planRotation, type RotationPlan } from "../../rotation/plan.ts";
import type { PlannedHold } from "../../rotation/planned-hold.ts";
import type { KeyRow } from "../../store/keys.ts";
import { type Caller, requireScope } from "../caller.ts";
import type { KeyTarget } from "../find-key.ts";
import { allowedGrace, findActable } from "../power.ts";
import { isoOf } from "../views.ts";
import { findRefusal, type RotateInput } from "./rotations.ts";

export interface BlockerView {
  what: string;
  problem: string;
  until: string | null;
}

export interface HoldView extends Omit<PlannedHold, "untilAtMost"> {
  untilAtMost: string | null;
}

export interface PlanView extends Omit<RotationPlan, "blockers" | "deliverBy" | "oldEndsAt" | "hold"> {
  key: string;
  /** Id of the live rotation that it would join instead of starting one. */
  joins: string | null;
  /** Nothing stands in its way at this moment. */
  ready: boolean;
  blockers: BlockerView[];
  /** What of it cannot be undone, in words. */
  irreversible: string[];
  deliverBy: string;
  oldEndsAt: string | null;
  hold: HoldView | null;
}

/** Checks who may ask. What would refuse the rotation itself is part of the plan, not an error. */
export function findPlannable(
  context: EngineContext,
  caller: Caller,
  target: KeyTarget,
  input: RotateInput,
): Result<KeyRow, Failure> {
  const found = findActable(context, caller, target);
  if (!found.ok) return found;
  const scope = input.reveal === "none" ? undefined : requireScope(caller, "keys:reveal");
  return scope ? err(scope) : found;
}

export async function dryRun(
  context: EngineContext,
  caller: Caller,
  key: KeyRow,
  input: RotateInput,
): Promise<Result<PlanView, Failure>> {
  const refusal: Failure | undefined = findRefusal(context, caller, key, input);
  const grace = allowedGrace(context, caller, key, input.grace ?? null);
  const plan = await planRotation(context, key, grace);
  const blockers = [
    ...(refusal ? [blockerOf(refusal)] : []),
    ...plan.blockers.map(({ until, ...blocker }) => ({ ...blocker, until: isoOf(until) })),
  ];
  return ok({
    ...plan,
    key: key.id,
    joins: context.store.rotations.live(key.id)?.id ?? null,
    ready: blockers.length === 0,
    blockers,
    irreversible: plan.steps.filter(({ irreversible }) => irreversible).map(({ does }) => does),
    deliverBy: new Date(plan.deliverBy).toISOString(),
    oldEndsAt: isoOf(plan.oldEndsAt),
    hold: plan.hold && { ...plan.hold, untilAtMost: isoOf(plan.hold.untilAtMost) },
  });
}

function blockerOf({ code, retryAt, errors = [] }: Failure): BlockerView {
  const { title } = CATALOGUE[code];
  const details = errors.map(({ path, message }) => `${path} ${message}`).join("; ");
  return {
    what: "request",
    problem: details === "" ? title : `${title}: ${details}`,
    until: retryAt ?? null,
  };
}
