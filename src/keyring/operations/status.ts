/** The whole keyring at a glance. What it costs is what is wrong and what is under way, not how many keys there are. */
import { CATALOGUE, type Failure } from "../../errors/catalogue.ts";
import { isCronMissing } from "../../rotation/chores.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { factsOfKeyring, type HealthReport, healthOf } from "../../rotation/health.ts";
import type { DestinationRow } from "../../store/destinations.ts";
import type { KeyState } from "../../store/keys.ts";
import type { SubscriptionRow } from "../../store/subscriptions.ts";
import { describeUnwell, listProblems, MAX_PROBLEMS, ofCron, type ProblemView } from "../problems.ts";
import { isoOf } from "../views.ts";
import { type BatchView, viewBatch } from "./batches.ts";
import { getSettings, type HoldView } from "./settings.ts";

/** A destination or subscription that does not answer. */
export interface UnwellView {
  id: string;
  name: string;
  /** When it last answered as it should. */
  since: string | null;
  problem: string;
  host: string | null;
}

export interface RotationCounts {
  live: number;
  blocked: number;
  needsSlot: number;
  needsAttention: number;
  needsHuman: number;
}

export interface StatusView extends HealthReport {
  /** `total` leaves out those that are deleted. */
  keys: Record<Exclude<KeyState, "deleted"> | "total" | "paused" | "overdue" | "due", number>;
  rotations: RotationCounts;
  /** `held`: those in a grace that is held beyond its time; `due`: those that a person is asked to end. */
  versions: { inGrace: number; held: number; revoking: number; stuck: number; due: number };
  deliveries: { pending: number; failing: number };
  destinations: { failing: UnwellView[] };
  subscriptions: { failing: UnwellView[] };
  nextRotationAt: string | null;
  /** When cron came last; null when it never did, or when that is not known. */
  lastSweepAt: string | null;
  hold: HoldView | null;
  /** Those that run or are paused, oldest first. */
  batches: BatchView[];
  problems: ProblemView[];
}

/** Batches that one answer shows. */
const MAX_BATCHES = 20;

/** When cron came last: null for never, undefined while the registry does not answer. */
export type LastCron = number | null | undefined;

/** A time this old is good enough for a look: cron comes every five minutes. */
const FRESH_MS = 5 * 60_000;

export async function askLastCron({ witness, now }: EngineContext): Promise<LastCron> {
  try {
    return await witness.lastCronAt((at) => now() - at <= FRESH_MS);
  } catch {
    return undefined;
  }
}

/** @param closed why the keyring is closed to everybody but root, if it is */
export function describeStatus(context: EngineContext, closed: Failure | undefined): StatusView {
  const { store } = context;
  const facts = factsOfKeyring(store, context.now());
  const { deleted: _, ...counts } = store.overview.keyCounts();
  const { pending, active, lost, revoked, deleting } = counts;
  const status: StatusView = {
    ...healthOf(facts),
    keys: {
      total: pending + active + lost + revoked + deleting,
      ...counts,
      overdue: facts.overdue,
      due: store.keys.countAsked().all,
    },
    rotations: countRotations(context),
    versions: {
      ...store.overview.countRetiring(),
      stuck: facts.stuckRevocations,
      due: store.versions.countAsked().all,
    },
    deliveries: { pending: store.overview.countPendingDeliveries(), failing: facts.failingDeliveries },
    destinations: { failing: store.destinations.unwell(MAX_PROBLEMS).map(viewUnwell) },
    subscriptions: { failing: store.subscriptions.unwell(MAX_PROBLEMS).map(viewUnwell) },
    nextRotationAt: isoOf(store.due.earliestStartAt()),
    lastSweepAt: null,
    hold: getSettings(context).hold,
    batches: store.batches.open(MAX_BATCHES).map((row) => viewBatch(context, row)),
    problems: listProblems(context),
  };
  return closed ? withClosure(context, status, closed) : status;
}

/** The answer as a whole: adds when cron came last and that it stays away, and leaves out what are too many problems. */
export function withLastCron(context: EngineContext, status: StatusView, at: LastCron): StatusView {
  const isMissing = at !== undefined && isCronMissing(at, context.now());
  const problems = isMissing ? [ofCron(context, at), ...status.problems] : status.problems;
  return { ...status, lastSweepAt: isoOf(at ?? null), problems: problems.slice(0, MAX_PROBLEMS) };
}

/** How many rotations are live, and how many of them do not go on by themselves. */
export function countRotations({ store }: EngineContext): RotationCounts {
  const held = Map.groupBy(store.rotations.held(), ({ state }) => state);
  const count = (state: Parameters<typeof held.get>[0]) => held.get(state)?.length ?? 0;
  return {
    live: store.rotations.countLive(),
    blocked: count("blocked"),
    needsSlot: count("needs-slot"),
    needsAttention: count("needs-attention"),
    needsHuman: count("needs-human"),
  };
}

function withClosure({ identity }: EngineContext, status: StatusView, { code }: Failure): StatusView {
  const { title, remedy } = CATALOGUE[code];
  const problem = {
    what: "keyring-closed",
    id: identity.name,
    key: null,
    since: null,
    cause: `${title}.`,
    remedy,
    nextTryAt: null,
  } as const;
  return {
    ...status,
    health: "failing",
    reasons: ["the keyring is closed", ...status.reasons],
    problems: [problem, ...status.problems],
  };
}

function viewUnwell(row: DestinationRow | SubscriptionRow): UnwellView {
  return {
    id: row.id,
    name: row.name,
    since: isoOf(row.provenAt),
    problem: describeUnwell(row),
    host: "host" in row ? row.host : (row.lastCall?.host ?? null),
  };
}
