/** An alert that does not say what leaked: its service is asked, over the connection that was named for it. */
import type { AlertResult } from "../../providers/provider.ts";
import { type CompromiseRow, signalOf } from "../../store/compromises.ts";
import { BACKOFF_MS, backoffMs } from "../backoff.ts";
import { connectionAt, type EngineContext, providerPort, randomUnit, record } from "../context.ts";
import { addToReport } from "../leak-reports.ts";

const NO_CONNECTION =
  'no connection reads its alerts: PUT /v1/signals/github {"connection":"…"} names one of the provider github';

/** Asks for what leaked. */
export async function readAlert(
  context: EngineContext,
  { source, alert }: CompromiseRow,
): Promise<AlertResult> {
  // The one that is named now: it may have been set up, or mended, since the alert came.
  const signal = signalOf(source);
  const named = signal && context.store.signals.get(signal)?.connectionId;
  const connectionId = named ?? alert?.connectionId ?? null;
  const row = connectionId === null ? undefined : context.store.connections.get(connectionId);
  const connection = row && connectionAt(context, row.id, null);
  if (!alert || !row || !connection) return { kind: "failed", problem: NO_CONNECTION };
  const provider = context.providerOf({ provider: row.provider, connectionId: row.id });
  if (!provider.readAlert) return { kind: "failed", problem: `${provider.title} has no alerts` };
  const port = providerPort(context, provider, {
    account: row.id,
    name: row.name,
    prefix: "",
    config: {},
    connection,
    old: undefined,
    isUrgent: true,
  });
  return provider.readAlert(port, alert);
}

/** Commits what came of it. While it cannot be read it is tried again, and somebody is told at once. */
export function settleAlert(context: EngineContext, row: CompromiseRow, result: AlertResult): void {
  const { store, random } = context;
  const lastCall = result.report ?? row.lastCall;
  const freed = { leaseUntil: null, claim: row.claim + 1, lastCall };
  if (result.kind === "read") {
    const known = store.compromises.update(row, {
      ...freed,
      alert: null,
      problem: null,
      dueAt: context.now(),
    });
    addToReport(context, known, [
      { leaked: { secret: result.secret }, source: result.source, url: result.url },
    ]);
    return;
  }
  const { problem, retryAfterMs } = result;
  const wait = backoffMs(BACKOFF_MS, row.attempt, randomUnit(random), retryAfterMs);
  const isOver = row.attempt >= BACKOFF_MS.length;
  store.compromises.update(row, {
    ...freed,
    attempt: row.attempt + 1,
    problem,
    // It stays: it is asked for again when it comes again, or when it has another connection.
    dueAt: isOver ? null : context.now() + wait,
  });
  if (row.attempt > 0 && !isOver) return;
  const { repository = null, number = null } = row.alert ?? {};
  record(context, {
    type: "compromise.unread",
    actor: "rekey",
    data: {
      compromiseId: row.id,
      repository,
      alert: number,
      problem,
      isTriedAgain: !isOver,
      todo: "Look at the alert and report the value that leaked by POST /v1/compromises.",
    },
  });
}
