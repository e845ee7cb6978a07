/** How a keyring, or one key, is. Counts of what is stuck in, a word and its reasons out. */
import type { EventType } from "../events/catalogue.ts";
import type { KeyRow } from "../store/keys.ts";
import type { Health } from "../store/settings.ts";
import type { Store } from "../store/store.ts";
import type { VersionRow } from "../store/versions.ts";
import { BACKOFF_MS } from "./backoff.ts";

/** What is stuck: how many there are of each. */
export interface HealthFacts {
  /** Keys whose value is lost. */
  lost: number;
  /** Live rotations that wait for a person, or whose old value runs out before its successor is everywhere. */
  needAttention: number;
  /** Live rotations that could not even begin within their `deliverWithin`. */
  blocked: number;
  /** Keys whose rotation failed once or twice in a row. */
  failedOnce: number;
  /** Keys whose rotation failed more often than that in a row. */
  failedOften: number;
  /** Versions that may be alive although they were revoked. */
  stuckRevocations: number;
  /** Deliveries that were given up. */
  failingDeliveries: number;
  /** Destinations that do not answer. */
  failingDestinations: number;
  /** Subscriptions that do not answer. */
  failingSubscriptions: number;
  /** Scheduled rotations that nothing has started. */
  overdue: number;
  /** Keys whose next value only a person can make, and is asked to. */
  due: number;
  /** Old values that only a person can end, and is asked to. */
  endsDue: number;
  /** Of both: those that leaked. */
  leaksDue: number;
}

export interface HealthReport {
  health: Health;
  /** In words, the worst first; empty when healthy. */
  reasons: string[];
}

const RULES: readonly {
  fact: keyof HealthFacts;
  makes: Exclude<Health, "healthy">;
  says: (count: number) => string;
}[] = [
  { fact: "lost", makes: "failing", says: (n) => `${things(n, "key has", "keys have")} lost the value` },
  {
    fact: "needAttention",
    makes: "failing",
    says: (n) => `${things(n, "rotation needs", "rotations need")} somebody's attention`,
  },
  {
    fact: "stuckRevocations",
    makes: "failing",
    says: (n) => `${things(n, "old value", "old values")} could not be revoked yet`,
  },
  {
    fact: "blocked",
    makes: "failing",
    says: (n) => `${things(n, "rotation is", "rotations are")} blocked past the time to deliver`,
  },
  {
    fact: "failedOften",
    makes: "failing",
    says: (n) => `${things(n, "key fails", "keys fail")} to rotate again and again`,
  },
  {
    fact: "overdue",
    makes: "failing",
    says: (n) => `${things(n, "rotation is", "rotations are")} overdue and not started`,
  },
  {
    fact: "leaksDue",
    makes: "failing",
    says: (n) => `${things(n, "leaked value waits", "leaked values wait")} for somebody`,
  },
  {
    fact: "failedOnce",
    makes: "degraded",
    says: (n) => `the last rotation of ${things(n, "key", "keys")} failed`,
  },
  {
    fact: "due",
    makes: "degraded",
    says: (n) => `${things(n, "key waits", "keys wait")} for a value that somebody makes`,
  },
  {
    fact: "endsDue",
    makes: "degraded",
    says: (n) => `${things(n, "old value waits", "old values wait")} for its end by hand`,
  },
  {
    fact: "failingDeliveries",
    makes: "degraded",
    says: (n) => `${things(n, "delivery was", "deliveries were")} given up`,
  },
  {
    fact: "failingDestinations",
    makes: "degraded",
    says: (n) => `${things(n, "destination does", "destinations do")} not answer`,
  },
  {
    fact: "failingSubscriptions",
    makes: "degraded",
    says: (n) => `${things(n, "subscription does", "subscriptions do")} not answer`,
  },
];

/** What the facts come to. Pure. */
export function healthOf(facts: HealthFacts): HealthReport {
  const broken = RULES.filter(({ fact }) => facts[fact] > 0);
  const worst = broken.some(({ makes }) => makes === "failing") ? "failing" : "degraded";
  return {
    health: broken.length === 0 ? "healthy" : worst,
    reasons: broken.map(({ fact, says }) => says(facts[fact])),
  };
}

/** Failed rotations in a row that are no accident any more. */
export const FAILED_OFTEN = 3;
/** Cron comes every few minutes and starts hundreds at each visit; what is still due after this long is not being started. */
export const OVERDUE_MS = 3_600_000;

/** The facts of a whole keyring. Each is read from an index that holds only what is stuck, so this costs what is wrong, not what there is. */
export function factsOfKeyring(store: Store, now: number): HealthFacts {
  const rotations = store.rotations.held();
  const failures = store.keys.failing();
  const [due, ends] = [store.keys.countAsked(), store.versions.countAsked()];
  return {
    ...ofRotations(rotations, now),
    ...ofFailures(failures),
    lost: store.keys.countLost(),
    stuckRevocations: store.versions.countStuck(),
    failingDeliveries: store.deliveries.countFailing(),
    failingDestinations: store.destinations.countUnwell(),
    failingSubscriptions: store.subscriptions.countUnwell(),
    overdue: store.due.countStarts(now - OVERDUE_MS),
    due: due.all - due.leaked,
    endsDue: ends.all - ends.leaked,
    leaksDue: due.leaked + ends.leaked,
  };
}

/** The facts of one key; of what it shares with others none is held against it. */
export function factsOfKey(store: Store, key: KeyRow, now: number): HealthFacts {
  const live = store.rotations.live(key.id);
  const held = live && live.state !== "running" ? [live] : [];
  const versions = store.versions.ofKey(key.id);
  const hasLeaked = (version: VersionRow | undefined) => (version?.compromisedAt ?? null) !== null;
  const ends = versions.filter(({ askedAt }) => askedAt !== null);
  const isDue = key.askedAt !== null && key.state === "active";
  const isLeak = isDue && hasLeaked(versions.find(({ stage }) => stage === "current"));
  const isStuck = ({ stage, attempt }: { stage: string; attempt: number }) =>
    stage === "revoking" && attempt >= BACKOFF_MS.length;
  return {
    ...ofRotations(held, now),
    ...ofFailures([key]),
    lost: key.state === "lost" ? 1 : 0,
    stuckRevocations: versions.filter(isStuck).length,
    failingDeliveries: store.deliveries.unsettled(key.id).filter(({ state }) => state === "failing").length,
    failingDestinations: 0,
    failingSubscriptions: 0,
    overdue: key.dueAt !== null && key.dueAt <= now - OVERDUE_MS ? 1 : 0,
    due: isDue && !isLeak ? 1 : 0,
    endsDue: ends.filter((version) => !hasLeaked(version)).length,
    leaksDue: ends.filter(hasLeaked).length + (isLeak ? 1 : 0),
  };
}

/** Events after which the keyring may be worse than it was. */
const TROUBLE: readonly EventType[] = [
  "key.lost",
  "key.due",
  "key.compromised",
  "key.at-risk",
  "key.rotation.blocked",
  "key.rotation.failed",
  "key.rotation.needs-human",
  "key.revocation.stuck",
  "delivery.failing",
  "subscription.failing",
];
/** Events that say nothing of what is stuck, and that come by themselves or often. */
const IRRELEVANT: readonly EventType[] = ["root.used", "health.changed", "keyring.heartbeat"];

/** A minute after what may have changed it: what heals at once rings nobody, and much that happens is one look. */
const LOOK_AFTER_MS = 60_000;

/** Has the keyring's health looked at, when an event may have changed it. A healthy one is not, for what goes well. */
export function noteForHealth({ settings, chores }: Store, type: EventType, now: number): void {
  if (IRRELEVANT.includes(type)) return;
  if (!TROUBLE.includes(type) && settings.health() === "healthy") return;
  const at = chores.get("health")?.dueAt ?? Infinity;
  if (at > now + LOOK_AFTER_MS) chores.set("health", now + LOOK_AFTER_MS);
}

function ofRotations(held: readonly { state: string; deadlineAt: number }[], now: number) {
  const waits = held.filter(({ state }) => state === "blocked" || state === "needs-slot");
  return {
    needAttention: held.length - waits.length,
    blocked: waits.filter(({ deadlineAt }) => deadlineAt <= now).length,
  };
}

function ofFailures(keys: readonly Pick<KeyRow, "state" | "failures">[]) {
  const failing = keys.filter(({ state, failures }) => failures > 0 && WITH_ROTATIONS.includes(state));
  const often = failing.filter(({ failures }) => failures >= FAILED_OFTEN).length;
  return { failedOften: often, failedOnce: failing.length - often };
}

/** Of the others a failure is of no consequence any more. */
const WITH_ROTATIONS: readonly string[] = ["pending", "active"];

function things(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
