/**
 * A report of leaks, from the moment that it is believed: what of ours it names is written down first and acted on after, a few at a time,
 * so that a crash forgets nothing and 10,000 values hold up nobody. What leaked is never kept. Inside the caller's transaction; no calls.
 */
import { newId } from "../ids.ts";
import {
  type AlertRef,
  type CompromiseRow,
  type LeakAction,
  type LeakRow,
  leakId,
  type ReportSource,
} from "../store/compromises.ts";
import { UNCLAIMED } from "../store/work-table.ts";
import { compromiseVersion } from "./compromise.ts";
import { type EngineContext, record } from "./context.ts";
import { type Found, findLeaked, type Leaked } from "./matching.ts";
import { cooldownMs } from "./policy.ts";
import { redact } from "./redaction.ts";
import { withoutValues } from "./withheld.ts";

/** One thing that leaked, and where it was seen. */
export interface ReportedLeak {
  leaked: Leaked;
  /** In the reporter's words. */
  source?: string | undefined;
  url?: string | undefined;
}

export interface Report {
  source: ReportSource;
  /** Id of the access key that reports, `root`, or `signal`. */
  reporter: string;
  /** What was signed, so that the same once more is known. */
  body?: string;
  items: readonly ReportedLeak[];
  /** What leaked has to be asked for first. */
  alert?: AlertRef;
}

export interface Taken {
  row: CompromiseRow;
  /** For each item whether something of ours has, or had, that value. */
  matched: boolean[];
  /** Leaks that were not known from the same report. */
  news: number;
}

/** Leaks that one commit acts on. */
const ACTED_AT_ONCE = 25;
/** A key that is only named has one emergency rotation in so long, whatever its own cooldown. */
const MIN_REST_MS = 10 * 60_000;

/** Writes a report down; it is acted on next. The same signed body again adds only what has become ours since. */
export function takeReport(context: EngineContext, report: Report): Taken {
  const { store, random } = context;
  const now = context.now();
  const found = findLeaked(
    context,
    report.items.map(({ leaked }) => leaked),
  );
  const matched = found.map((all) => all.length > 0);
  const digest = report.body === undefined ? null : context.vault.fingerprint(report.body);
  const known = digest && store.compromises.byDigest(digest);
  const row =
    known ??
    store.compromises.insert({
      ...UNCLAIMED,
      id: newId("cmp", now, random),
      source: report.source,
      reporter: report.reporter,
      receivedAt: now,
      digest,
      reports: report.items.length,
      leaks: 0,
      actedTo: 0,
      alert: report.alert ?? null,
      attempt: 0,
      problem: null,
      lastCall: null,
      dueAt: now,
    });
  const { row: added, count } = addLeaks(context, row, report.items, found);
  return { row: added, matched, news: count };
}

/** Adds to a report what an alert turned out to be. */
export function addToReport(
  context: EngineContext,
  row: CompromiseRow,
  items: readonly ReportedLeak[],
): CompromiseRow {
  const found = findLeaked(
    context,
    items.map(({ leaked }) => leaked),
  );
  const counted = context.store.compromises.update(row, { reports: items.length });
  return addLeaks(context, counted, items, found).row;
}

function addLeaks(
  context: EngineContext,
  row: CompromiseRow,
  items: readonly ReportedLeak[],
  found: readonly Found[][],
): { row: CompromiseRow; count: number } {
  const { store } = context;
  const seen = new Set(
    row.leaks === 0 ? [] : store.leaks.of(row.id, 0, row.leaks).map((one) => `${one.kind} ${one.subject}`),
  );
  let count = row.leaks;
  for (const [index, item] of items.entries()) {
    for (const { kind, subject, version, isByName } of found[index] ?? []) {
      if (seen.has(`${kind} ${subject}`)) continue;
      seen.add(`${kind} ${subject}`);
      store.leaks.insert({
        id: leakId(row.id, count),
        kind,
        subject,
        keyId: version?.keyId ?? null,
        number: version?.number ?? null,
        stage: version?.stage ?? null,
        source: wordsOf(context, item.source, item.leaked),
        url: wordsOf(context, item.url, item.leaked),
        action: isByName && version && restsAt(context, version.keyId) !== null ? "held-back" : null,
        rotationId: null,
        actedAt: null,
      });
      count += 1;
    }
  }
  const news = count - row.leaks;
  if (news === 0) return { row, count: 0 };
  return { row: store.compromises.update(row, { leaks: count, dueAt: context.now() }), count: news };
}

/** Words about where something leaked, without it and without any other value of ours. */
function wordsOf(context: EngineContext, text: string | undefined, leaked: Leaked): string | null {
  const kept = redact(text, leaked);
  return kept === null ? null : withoutValues(context, kept);
}

/**
 * Until when a key that is only named has no second emergency rotation, or null: whoever may name it could otherwise keep it rotating. A
 * value that leaked is proof of its own, and so is a version that is named.
 */
export function restsAt({ store, providerOf, now }: EngineContext, keyId: string): number | null {
  const key = store.keys.get(keyId);
  const last = store.rotations.newest(keyId, "compromise");
  if (!key || !last || last.live) return null;
  const rest = Math.max(MIN_REST_MS, cooldownMs(key, providerOf(key).defaultCooldown));
  const until = last.startedAt + rest;
  return until > now() ? until : null;
}

/** Acts on the next leaks of a report, in the order in which they were named. */
export function actOnReport(context: EngineContext, row: CompromiseRow): CompromiseRow {
  const { store } = context;
  const now = context.now();
  const leaks = store.leaks.of(row.id, row.actedTo, ACTED_AT_ONCE);
  for (const leak of leaks) {
    const done = leak.action === null ? act(context, row, leak) : { action: leak.action, rotationId: null };
    store.leaks.update(leak, { ...done, actedAt: now });
  }
  const actedTo = row.actedTo + leaks.length;
  return store.compromises.update(row, {
    actedTo,
    dueAt: actedTo < row.leaks ? now : null,
    leaseUntil: null,
  });
}

function act(
  context: EngineContext,
  { id: compromiseId, source, reporter }: CompromiseRow,
  { kind, subject, source: seenAt, url }: LeakRow,
): { action: LeakAction; rotationId: string | null } {
  const where = { compromiseId, source, seenAt, url };
  if (kind === "version") {
    const version = context.store.versions.get(subject);
    if (!version) return { action: "none", rotationId: null };
    return compromiseVersion(context, version, { ...where, actor: actorOf(reporter) });
  }
  record(context, {
    type: "secret.compromised",
    actor: actorOf(reporter),
    data: { ...where, kind, subject, todo: todoOf(kind, subject) },
  });
  return { action: "asked", rotationId: null };
}

function actorOf(reporter: string): string {
  return reporter === "signal" ? "rekey" : reporter;
}

/** What a person does about a secret that is no key. */
export function todoOf(kind: Exclude<LeakRow["kind"], "version">, subject: string): string {
  switch (kind) {
    case "connection":
      return `Make a new credential at the service, hand it in by PATCH /v1/connections/${subject}, and end the old one there.`;
    case "destination":
      return `Make a new signing secret by PATCH /v1/destinations/${subject} {"rotateSecret":true}; its receiver takes that one and forgets the old one.`;
    case "claim-token":
      return `Make a new claim token by PATCH /v1/destinations/${subject} {"rotateClaimToken":true} and give it to the receiver.`;
    case "subscription":
      return `Make a new signing secret by PATCH /v1/subscriptions/${subject} {"rotateSecret":true}, or, of a chat, a new address there and here by {"url":"…"}; the receiver forgets the old one.`;
    case "signal":
      return `Turn the source off by DELETE /v1/signals/${subject}, make a new secret by PUT /v1/signals/${subject}, and enter it where the reports come from.`;
  }
}
