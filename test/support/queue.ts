/** The work queue over all lanes that have the alarm, for a test's eyes. */
import { type DueEntry, type DueQueue, WORK_LANES, type WorkKind } from "../../src/store/due.ts";

/** What is due in any lane, earliest first. */
export function workDue(due: DueQueue, now: number, limit: number): DueEntry<WorkKind>[] {
  return WORK_LANES.flatMap(({ lane }) => due.workDue(lane, now, limit))
    .toSorted((a, b) => a.at - b.at)
    .slice(0, limit);
}

/** When the alarm must ring, or null. */
export function earliestWorkAt(due: DueQueue): number | null {
  const times = WORK_LANES.map(({ lane }) => due.earliestAt(lane)).filter((at) => at !== null);
  return times.length > 0 ? Math.min(...times) : null;
}
