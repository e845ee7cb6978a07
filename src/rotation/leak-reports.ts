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
import type { VersionRow } from "../store/versions.ts";
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
  /** How many things it says that leaked, where that is not as many as the items. */
  reports?: number;
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

/** Who reports what was signed. */
export const SIGNAL = "signal";

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
    (known && askAgain(context, known)) ??
    store.compromises.insert({
      ...UNCLAIMED,
      id: newId("cmp", now, random),
      source: report.source,
      reporter: report.reporter,
      receivedAt: now,
      digest,
      reports: report.reports ?? report.items.length,
      leaks: 0,
      actedTo: 0,
      alert: report.alert ?? null,
      attempt: 0,
      problem: null,
      lastCall: null,
      dueAt: now,
    });
  // A name stands for another value by now than when it was first sent, so it is not looked up anew.
  const isOld = (index: number) => known && report.items[index] && "key" in report.items[index].leaked;
  const news = found.map((all, index) => (isOld(index) ? [] : all));
  const { row: added, count } = addLeaks(context, row, report.items, news);
  return { row: added, matched, news: count };
}

/** An alert that could not be read is asked for once more when it comes again. */
export function askAgain({ store, now }: EngineContext, row: CompromiseRow): CompromiseRow {
  const waits = row.alert !== null && row.leaseUntil === null;
  return waits ? store.compromises.update(row, { attempt: 0, dueAt: now() }) : row;
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
  // A value of a version is taken out of whatever words there are; what else of ours was reported is not known there.
  const others = items.filter((_, index) => found[index]?.some(({ kind }) => kind !== "version"));
  const hidden = others.map(({ leaked }) => leaked);
  let count = row.leaks;
  for (const [index, item] of items.entries()) {
    const words = (text: string | undefined) => wordsOf(context, text, [item.leaked, ...hidden]);
    for (const { kind, subject, version, print } of found[index] ?? []) {
      if (seen.has(`${kind} ${subject}`)) continue;
      seen.add(`${kind} ${subject}`);
      store.leaks.insert({
        id: leakId(row.id, count),
        kind,
        subject,
        keyId: version?.keyId ?? null,
        number: version?.number ?? null,
        stage: version?.stage ?? null,
        print: print ?? null,
        source: words(item.source),
        url: words(item.url),
        action: version && isHeldBack(context, row, item.leaked, version) ? "held-back" : null,
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

/** Words about where something leaked, without it, without what else leaked, and without any other value of ours. */
function wordsOf(context: EngineContext, text: string | undefined, leaked: readonly Leaked[]): string | null {
  let kept: string | null = text ?? null;
  for (const one of leaked) kept = redact(kept ?? undefined, one);
  return kept === null ? null : withoutValues(context, kept);
}

/** Whether a key rests, and nothing but a name says that this value of it leaked. Over the API a version may be named by whoever may revoke it. */
function isHeldBack(
  context: EngineContext,
  row: CompromiseRow,
  leaked: Leaked,
  version: VersionRow,
): boolean {
  if (!("key" in leaked)) return false;
  const isNamed = leaked.version === undefined || (row.reporter === SIGNAL && version.stage === "current");
  return isNamed && restsAt(context, version.keyId) !== null;
}

/**
 * Until when a key that is only named has no second emergency rotation, or null: whoever may name it could otherwise keep it rotating. A
 * value that leaked is proof of its own, and so is a version that is named. Until the replacement is current, the name stands for what
 * leaked, and to name it again starts nothing.
 */
export function restsAt({ store, providerOf, now }: EngineContext, keyId: string): number | null {
  const key = store.keys.get(keyId);
  const last = store.rotations.newestEmergency(keyId);
  if (!key || !last) return null;
  const current = store.versions.current(keyId);
  const isCurrent = current?.number === last.toVersion;
  if (last.live && !isCurrent) return null;
  // One that was escalated may have begun long before that.
  const since = isCurrent ? Math.max(last.startedAt, current?.promotedAt ?? 0) : last.startedAt;
  const rest = Math.max(MIN_REST_MS, cooldownMs(key, providerOf(key).defaultCooldown));
  const until = (last.trigger === "compromise" ? last.startedAt : since) + rest;
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
  return reporter === SIGNAL ? "rekey" : reporter;
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
