/** A report of leaks as the API shows it: what it named, what was done, when, and what is open still. Made of the rows as they are now. */
import type { EngineContext } from "../rotation/context.ts";
import { todoOf } from "../rotation/leak-reports.ts";
import { listOtherPrints } from "../rotation/other-secrets.ts";
import type { CompromiseRow, LeakAction, LeakKind, LeakRow, ReportSource } from "../store/compromises.ts";
import type { RotationRow } from "../store/rotations.ts";
import type { Store } from "../store/store.ts";
import { isDead, type Stage, type VersionRow } from "../store/versions.ts";
import { explainRotation } from "./explain.ts";
import { type CallView, type DeliveryView, viewCall, viewDelivery } from "./views.ts";

export interface CompromiseSummaryView {
  id: string;
  source: ReportSource;
  /** Id of the access key that reported it, `root`, or `signal`. */
  reporter: string;
  receivedAt: string;
  /** How many things it named, and how many of those are ours. */
  reports: number;
  leaks: number;
  /** Leaked versions that were not seen dead yet, and other leaked secrets that count still. */
  open: number;
  /** `asking`: an alert does not say what leaked, and its service is asked. */
  state: "asking" | "unreadable" | "acting" | "open" | "closed";
  /** Why an alert cannot be read. */
  problem: string | null;
  lastCall: CallView | null;
}

export interface MomentView {
  at: string;
  /** Since the report came. */
  seconds: number;
  what: string;
}

export interface LeakView {
  kind: LeakKind;
  /** Id of the version's key; null for what is no key. */
  key: string | null;
  keyName: string | null;
  version: number | null;
  /** Id of the connection, destination or subscription, or the source of signals. */
  subject: string;
  /** Where the version stood when it was reported, and where it stands now. */
  stageThen: Stage | null;
  stage: Stage | null;
  source: string | null;
  url: string | null;
  action: LeakAction | null;
  rotation: string | null;
  /** From the report until it was seen dead; null while it was not. */
  secondsToDead: number | null;
  confirmed: boolean | null;
  timeline: MomentView[];
  deliveries: DeliveryView[];
  /** What is left, in words. */
  todo: string[];
}

export interface CompromiseView extends CompromiseSummaryView {
  /** From the report until the last leaked version was seen dead; null while one was not. */
  secondsToDead: number | null;
  items: LeakView[];
}

export function summarizeCompromise(context: EngineContext, row: CompromiseRow): CompromiseSummaryView {
  const { leaks } = context.store;
  const open = leaks.standingOf(row.id).open + counting(context, leaks.secretsOf(row.id)).length;
  return {
    id: row.id,
    source: row.source,
    reporter: row.reporter,
    receivedAt: iso(row.receivedAt),
    reports: row.reports,
    leaks: row.leaks,
    open,
    state: stateOf(row, open),
    problem: row.problem,
    lastCall: viewCall(row.lastCall),
  };
}

/** With a page of its leaks. */
export function viewCompromise(
  context: EngineContext,
  row: CompromiseRow,
  leaks: readonly LeakRow[],
): CompromiseView {
  const { store } = context;
  const { lastDeadAt } = store.leaks.standingOf(row.id);
  const summary = summarizeCompromise(context, row);
  const left = new Set(counting(context, leaks).map(({ id }) => id));
  const isOver = summary.state === "closed" && lastDeadAt !== null;
  return {
    ...summary,
    secondsToDead: isOver ? secondsBetween(row.receivedAt, lastDeadAt) : null,
    items: leaks.map((leak) => viewLeak(store, row, leak, left.has(leak.id))),
  };
}

function stateOf(row: CompromiseRow, open: number): CompromiseSummaryView["state"] {
  if (row.alert) return row.dueAt === null && row.leaseUntil === null ? "unreadable" : "asking";
  if (row.actedTo < row.leaks) return "acting";
  return open > 0 ? "open" : "closed";
}

/** Those that are of no version and whose secret counts still: nobody has changed it, or the old one has its overlap yet. */
function counting(context: EngineContext, leaks: readonly LeakRow[]): LeakRow[] {
  const others = leaks.filter(({ kind }) => kind !== "version");
  if (others.length === 0) return [];
  const nameOf = (kind: LeakKind, subject: string, print: Uint8Array) =>
    `${kind} ${subject} ${Buffer.from(print).toString("hex")}`;
  const now = new Set(
    [...listOtherPrints(context)].map(({ kind, subject, print }) => nameOf(kind, subject, print)),
  );
  return others.filter(({ kind, subject, print }) => print !== null && now.has(nameOf(kind, subject, print)));
}

function viewLeak(store: Store, report: CompromiseRow, leak: LeakRow, counts: boolean): LeakView {
  const version = leak.kind === "version" ? store.versions.get(leak.subject) : undefined;
  const rotation = leak.rotationId === null ? undefined : store.rotations.get(leak.rotationId);
  const deadAt = version && isDead(version) ? (version.revokedAt ?? version.serviceRevokedAt) : null;
  const deliveries = rotation ? store.deliveries.ofRotation(rotation.keyId, rotation.id) : [];
  return {
    kind: leak.kind,
    key: leak.keyId,
    keyName: leak.keyId === null ? null : (store.keys.get(leak.keyId)?.name ?? null),
    version: leak.number,
    subject: leak.subject,
    stageThen: leak.stage,
    stage: version?.stage ?? null,
    source: leak.source,
    url: leak.url,
    action: leak.action,
    rotation: leak.rotationId,
    // One that was dead before the report took no time at all.
    secondsToDead: deadAt === null ? null : Math.max(0, secondsBetween(report.receivedAt, deadAt)),
    confirmed: version && isDead(version) ? version.confirmed : null,
    timeline: timelineOf(store, report, leak, version, rotation),
    deliveries: deliveries.map(viewDelivery),
    todo: todoOfLeak(store, leak, counts, version, rotation),
  };
}

function timelineOf(
  store: Store,
  report: CompromiseRow,
  leak: LeakRow,
  version: VersionRow | undefined,
  rotation: RotationRow | undefined,
): MomentView[] {
  const moments: [at: number | null | undefined, what: string][] = [
    [report.receivedAt, `reported (${report.source})`],
    [leak.actedAt, `acted on: ${leak.action ?? ""}`],
    [version?.serviceRevokedAt, `version ${leak.number} ended at its service`],
    [
      version?.revokedAt,
      version?.confirmed
        ? `version ${leak.number} seen refused`
        : `version ${leak.number} believed dead, not confirmed`,
    ],
  ];
  if (rotation) {
    const fresh =
      rotation.toVersion === null ? undefined : store.versions.byNumber(rotation.keyId, rotation.toVersion);
    moments.push(
      [rotation.startedAt, "replacement started"],
      [fresh?.issuedAt, `version ${rotation.toVersion} made`],
      [fresh?.promotedAt, `version ${rotation.toVersion} current`],
      [rotation.live ? null : rotation.endedAt, `replacement ${rotation.state}`],
    );
    for (const { destinationId, deliveredAt } of store.deliveries.ofRotation(rotation.keyId, rotation.id)) {
      const name = store.destinations.get(destinationId)?.name ?? destinationId;
      moments.push([deliveredAt, `version ${rotation.toVersion} held by ${name}`]);
    }
  }
  return moments
    .flatMap(([at, what]) => (typeof at === "number" ? [{ at, what }] : []))
    .toSorted((one, other) => one.at - other.at)
    .map(({ at, what }) => ({ at: iso(at), seconds: secondsBetween(report.receivedAt, at), what }));
}

function todoOfLeak(
  store: Store,
  { kind, subject, action }: LeakRow,
  counts: boolean,
  version: VersionRow | undefined,
  rotation: RotationRow | undefined,
): string[] {
  if (action === null) return ["It is acted on next."];
  if (kind !== "version") return counts ? [todoOf(kind, subject)] : [];
  const open: string[] = [];
  if (version && !isDead(version)) open.push(restOf(version, action));
  if (rotation?.live) {
    const { waitsFor, remedy } = explainRotation(store, rotation);
    open.push(["The replacement is not over.", waitsFor, remedy].filter((text) => text !== null).join(" "));
  }
  const failing = rotation
    ? store.deliveries.ofRotation(rotation.keyId, rotation.id).filter(({ state }) => state === "failing")
    : [];
  for (const { id, destinationId } of failing) {
    const name = store.destinations.get(destinationId)?.name ?? destinationId;
    open.push(`${name} does not take the new value: POST /v1/deliveries/${id}/replay when it is back.`);
  }
  return open;
}

function restOf({ number, keyId, stage, askedAt }: VersionRow, action: LeakAction): string {
  if (action === "notified")
    return `Version ${number} lives: its policy says that nothing is done. POST /v1/keys/${keyId}/rotate replaces it.`;
  if (action === "held-back")
    return `Only the key was named, a moment after an emergency rotation of it. Report the value, or name version ${number} by POST /v1/compromises.`;
  if (askedAt !== null) return `Version ${number} is to be ended by a person at its service.`;
  return stage === "revoking"
    ? `Version ${number} was not seen refused yet.`
    : `Version ${number} lives until its replacement is there.`;
}

function secondsBetween(from: number, to: number): number {
  return Math.round(to - from) / 1_000;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
