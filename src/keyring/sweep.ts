/** What cron does: visits every keyring with something due, and each one once a day to repair what was lost. */
import { Gate } from "../outbound/gate.ts";
import type { DueVisit, VisitReport } from "../registry/registry.ts";
import { registryOf } from "../registry/stub.ts";
import type { Outage } from "../rotation/policy.ts";
import { keyringOf } from "./stub.ts";

const PAGE = 100;
/** The free plan allows 1,000 calls to objects an invocation; what is left over follows at the next cron. */
const MAX_VISITS = 900;
/** Kept for the daily visits, so that many rotations never starve the repair. */
const RESERVED_FOR_UNSEEN = 200;
const VISITS_AT_ONCE = 6;
const MAX_VISITS_OF_ONE = 10;

export interface SweepReport {
  visited: number;
  failed: number;
  started: number;
}

/**
 * Runs one sweep. Skipped or doubled crons do no harm: what is due stays due, what was started is not started again.
 * @param scheduledAt the cron's own time, milliseconds since the epoch
 */
export async function sweep(env: Env, scheduledAt: number): Promise<SweepReport> {
  const registry = registryOf(env);
  const gate = new Gate(VISITS_AT_ONCE);
  const report: SweepReport = { visited: 0, failed: 0, started: 0 };
  const outage = await registry.beginSweep(scheduledAt);
  const lists = [
    { most: MAX_VISITS - RESERVED_FOR_UNSEEN, next: (limit: number) => registry.nextDue(scheduledAt, limit) },
    { most: MAX_VISITS, next: (limit: number) => registry.nextUnseen(scheduledAt, limit) },
  ];
  for (const { most, next } of lists) {
    while (report.visited < most) {
      const due = await next(Math.min(PAGE, most - report.visited));
      if (due.length === 0) break;
      const visits = await Promise.all(due.map((one) => gate.run(() => visit(env, one, outage, report))));
      await registry.noteVisits(visits, scheduledAt);
    }
  }
  await registry.endSweep(scheduledAt);
  return report;
}

/** Visits one keyring, again while it has more to start than one visit does. */
async function visit(
  env: Env,
  due: DueVisit,
  outage: Outage | null,
  report: SweepReport,
): Promise<VisitReport> {
  let nextStartAt: number | null = null;
  let masterKeyId: string | null = null;
  try {
    for (let calls = 0; calls < MAX_VISITS_OF_ONE; calls++) {
      report.visited += 1;
      const seen = await keyringOf(env, due.code).visit(outage);
      if (!seen.ok) throw new Error(seen.error.code);
      report.started += seen.value.started;
      ({ nextStartAt, masterKeyId } = seen.value);
      if (!seen.value.more) break;
    }
    return { ...due, ok: true, nextStartAt, masterKeyId };
  } catch {
    report.failed += 1;
    return { ...due, ok: false, nextStartAt: null, masterKeyId: null };
  }
}
