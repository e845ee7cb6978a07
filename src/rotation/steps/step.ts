/** What a step of a rotation gives back: what happened, and what else belongs into the same commit. */

import type { RotationRow } from "../../store/rotations.ts";
import type { StepNews } from "../changes.ts";
import type { EngineContext } from "../context.ts";

export interface StepResult extends StepNews {
  /** Runs inside the commit, before the machine's effects. */
  alsoCommit?: () => void;
}

/** One step: calls to the outside and reads, no writes. Safe to run twice. */
export type Step = (context: EngineContext, rotation: RotationRow) => Promise<StepResult>;
