/** Which steps of a rotation have work of their own. */
import type { RotationStep } from "../../store/rotations.ts";
import { mint } from "./mint.ts";
import { preflight } from "./preflight.ts";
import { settle, sweep } from "./settle.ts";
import type { Step } from "./step.ts";
import { test } from "./test.ts";

/** At the others the rotation waits for deliveries, and being due means being late. */
export const STEPS: Partial<Record<RotationStep, Step>> = { preflight, mint, settle, test, sweep };
