/** Durations as people write them: `30d`, `24h`, `15m`, `10s`, `0`. Stored as given, read here. */
import ms, { type StringValue } from "ms";
import { z } from "zod";

/** One unit, lower case, no sign: `ms` itself would read `30M` as minutes and accept junk and negatives. */
const DURATION_PATTERN = /^(?:0|[1-9][0-9]{0,6}(?:s|m|h|d|w))$/;
const MAX_DURATION_MS = 10 * 365 * 24 * 3_600_000;

/** True for a duration that Rekey accepts, at most ten years. */
export function isDuration(text: string): boolean {
  return DURATION_PATTERN.test(text) && parseDuration(text) <= MAX_DURATION_MS;
}

/**
 * Milliseconds of a duration that passed `isDuration`.
 * @throws on anything else: stored durations were checked on the way in
 */
export function parseDuration(text: string): number {
  if (!DURATION_PATTERN.test(text)) throw new Error("not a duration");
  return text === "0" ? 0 : ms(text as StringValue);
}

const refusal = {
  message: "must be a duration such as 30d, 24h, 15m, 10s or 0 (at most ten years)",
  abort: true,
};

/** A duration on the wire. Checks that follow see durations only. The contract shows the pattern. */
export const durationSchema = z.string().regex(DURATION_PATTERN, refusal).refine(isDuration, refusal);

/** A duration that is not 0, for periods that would otherwise end as they begin. */
export const periodSchema = durationSchema.refine((text) => text !== "0", {
  message: "must be longer than 0",
});
