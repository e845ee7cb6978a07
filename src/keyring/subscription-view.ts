/** A subscription as the API shows it. The address of a chat's webhook is a credential: only its host and end are shown. */
import { openAddress } from "../rotation/addresses.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { SubscriptionFormat, SubscriptionRow, SubscriptionState } from "../store/subscriptions.ts";
import { type CallView, isoOf, viewCall } from "./views.ts";

export interface SubscriptionView {
  id: string;
  name: string;
  format: SubscriptionFormat;
  /** Null where it is a credential. */
  url: string | null;
  host: string;
  /** The last four characters of its address. */
  hint: string;
  types: string[];
  labels: Record<string, string>;
  state: SubscriptionState;
  /** All events up to this number were told, or are none of its business. */
  sentSeq: number;
  /** Events of the history that it has not come to yet. */
  behind: number;
  /** Numbers of the newest events that were given up for it. */
  skipped: number[];
  /** Since when it is failing or disabled. */
  unwellSince: string | null;
  /** Events up to this number that it was not told have outlived their retention since then, or 0. */
  missedSeq: number;
  attempts: number;
  nextTryAt: string | null;
  provenAt: string | null;
  lastCall: CallView | null;
  /** Until when messages carry a signature of an old secret, too. */
  oldSecretUntil: string | null;
  createdAt: string;
  createdBy: string;
}

export function viewSubscription(context: EngineContext, row: SubscriptionRow): SubscriptionView {
  const { url, secrets } = openAddress(context, row);
  const isIdle = row.dueAt === null && row.state !== "disabled";
  const head = context.store.events.head()?.seq ?? 0;
  const ends = secrets.flatMap(({ until }) => (until !== null && until > context.now() ? [until] : []));
  return {
    id: row.id,
    name: row.name,
    format: row.format,
    url: row.format === "standard" ? url : null,
    host: row.host,
    hint: row.hint,
    types: row.types,
    labels: row.labels,
    state: row.state,
    sentSeq: row.sentSeq,
    behind: isIdle ? 0 : Math.max(0, head - row.sentSeq),
    skipped: row.skipped,
    unwellSince: isoOf(row.unwellSince),
    missedSeq: row.missedSeq,
    attempts: row.attempt,
    nextTryAt: row.leaseUntil === null ? isoOf(row.dueAt) : null,
    provenAt: isoOf(row.provenAt),
    lastCall: viewCall(row.lastCall),
    oldSecretUntil: isoOf(ends.length > 0 ? Math.max(...ends) : null),
    createdAt: new Date(row.createdAt).toISOString(),
    createdBy: row.createdBy,
  };
}
