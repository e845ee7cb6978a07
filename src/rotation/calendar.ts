/**
 * Cron expressions, windows and freezes: when something may happen, in any time zone. All times in and out are milliseconds since the
 * epoch.
 */
import { Cron } from "croner";
import { parseDuration } from "../duration.ts";
import type { Freeze, Schedule, Window } from "../store/keys.ts";

/** True for five fields of cron that come true again some day. Seconds, years, nicknames and dates that never come are refused. */
export function isCron(text: string): boolean {
  if (text.trim().split(/\s+/).length !== 5) return false;
  try {
    return new Cron(text, { paused: true, mode: "5-part", timezone: "UTC" }).nextRun() !== null;
  } catch {
    return false;
  }
}

/** True for an IANA name that this platform knows. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The first moment of a schedule after a time, or null when there is none. */
export function nextMoment({ cron, timeZone = "UTC" }: Schedule, after: number): number | null {
  const next = new Cron(cron, { paused: true, mode: "5-part", timezone: timeZone }).nextRun(new Date(after));
  return next?.getTime() ?? null;
}

/** The opening in whose time a moment lies, or null when the window is closed then. */
export function openedAt(window: Window, at: number): number | null {
  const length = parseDuration(window.duration);
  let opening = nextMoment(window, at - length - 1);
  // Openings may overlap; the latest one before the moment has the most time left.
  for (let next = opening; next !== null && next <= at; next = nextMoment(window, next)) opening = next;
  return opening !== null && opening <= at && at < opening + length ? opening : null;
}

/** The end of the freeze in which a moment lies, or null when none holds it. */
export function frozenUntil(freezes: readonly Freeze[], at: number): number | null {
  const holding = freezes.filter(({ from, until }) => Date.parse(from) <= at && at < Date.parse(until));
  return holding.length === 0 ? null : Math.max(...holding.map(({ until }) => Date.parse(until)));
}

/** Moves a plan on at most this often: freezes and windows that never leave a gap plan nothing. */
const MAX_MOVES = 200;

/**
 * The first time at or after `at` that lies in the window and in no freeze, or null.
 * @param spread from 0 to 1: how far behind an opening or the end of a freeze the plan goes
 * @param spreadMs over how much time those plans are spread
 */
export function firstAllowed(
  at: number,
  window: Window | undefined,
  freezes: readonly Freeze[],
  spread: number,
  spreadMs: number,
): number | null {
  let moment = at;
  for (let moves = 0; moves < MAX_MOVES; moves++) {
    const thaw = frozenUntil(freezes, moment);
    if (thaw !== null) {
      moment = thaw + Math.floor(spread * spreadMs);
    } else if (window && openedAt(window, moment) === null) {
      const opening = nextMoment(window, moment);
      if (opening === null) return null;
      moment = opening + Math.floor(spread * Math.min(spreadMs, parseDuration(window.duration)));
    } else {
      return moment;
    }
  }
  return null;
}
