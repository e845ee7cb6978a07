/** Reports of leaks: take one in, list, read. */
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";
import {
  actOnReport,
  type Report,
  restsAt,
  SIGNAL,
  type Taken,
  takeReport,
} from "../../rotation/leak-reports.ts";
import type { Leaked } from "../../rotation/matching.ts";
import type { CompromiseRow } from "../../store/compromises.ts";
import type { Caller } from "../caller.ts";
import {
  type CompromiseSummaryView,
  type CompromiseView,
  summarizeCompromise,
  viewCompromise,
} from "../compromise-view.ts";
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageOf } from "../page.ts";
import { findActable, findCallerCooldown } from "../power.ts";
import { badCursor } from "./keys.ts";

/** Exactly one of `secret`, `fingerprint` (64 hex digits) and `key` is there. */
export interface CompromiseInput {
  secret?: string | undefined;
  fingerprint?: string | undefined;
  key?: string | undefined;
  /** Number of the version, with `key`. Default: the current one. */
  version?: number | undefined;
  source: string;
  url?: string | undefined;
}

/** Commits of one call; what a report leaves after that is the engine's. */
const MAX_COMMITS = 8;

/** Takes a report in and acts on it. */
export function reportCompromise(
  context: EngineContext,
  caller: Caller,
  input: CompromiseInput,
): Result<CompromiseRow, Failure> {
  const leaked = readLeaked(input);
  const refusal = findRefusal(context, caller, leaked);
  if (refusal) return err(refusal);
  const { source, url } = input;
  const items = [{ leaked, source, url }];
  let { row } = takeReport(context, { source: "api", reporter: caller.id, items });
  for (let commit = 0; row.dueAt !== null && commit < MAX_COMMITS; commit++) row = actOnReport(context, row);
  return ok(row);
}

function readLeaked({ secret, fingerprint, key, version }: CompromiseInput): Leaked {
  if (secret !== undefined) return { secret };
  if (fingerprint !== undefined) return { fingerprint: new Uint8Array(Buffer.from(fingerprint, "hex")) };
  return { key: key ?? "", version };
}

/** Who has the value proves by it that it leaked. Whoever only names something acts on it as by a revocation. */
function findRefusal(context: EngineContext, caller: Caller, leaked: Leaked): Failure | undefined {
  if ("secret" in leaked) return undefined;
  const { store } = context;
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return cooldown;
  if ("fingerprint" in leaked) {
    for (const { keyId } of store.versions.byFingerprint(leaked.fingerprint)) {
      const found = findActable(context, caller, keyId);
      if (!found.ok) return found.error;
    }
    return undefined;
  }
  const found = findActable(context, caller, leaked.key);
  if (!found.ok) return found.error;
  const { id } = found.value;
  if (leaked.version !== undefined) {
    const isThere = store.versions.byNumber(id, leaked.version) !== undefined;
    return isThere ? undefined : { code: "not-found", detail: `the key has no version ${leaked.version}` };
  }
  if (!store.versions.current(id)) return { code: "not-found", detail: "the key has no current version" };
  const until = restsAt(context, id);
  return until === null ? undefined : { code: "emergency-cooldown", retryAt: new Date(until).toISOString() };
}

/** Takes in a signal whose signature was found good. It is acted on in a moment, whatever it matched. */
export function acceptSignal(context: EngineContext, report: Omit<Report, "reporter">): Taken {
  return takeReport(context, { ...report, reporter: SIGNAL });
}

/** A page of reports, newest first. */
export function listCompromises(
  context: EngineContext,
  isMatched: boolean | undefined,
  page: PageRequest,
): Result<Page<CompromiseSummaryView>, Failure> {
  const before = decodeCursor(page.cursor, "cmp");
  if (before === undefined) return err(badCursor());
  const rows = context.store.compromises.list(before, page.limit + 1, isMatched);
  return ok(pageOf(rows, page.limit, (row) => summarizeCompromise(context, row)));
}

/** A report with a page of what it named. */
export function getCompromise(
  context: EngineContext,
  id: string,
  page: PageRequest,
): Result<CompromiseView & { nextCursor: string | null }, Failure> {
  const { store } = context;
  const row = store.compromises.get(id);
  if (!row) return err({ code: "not-found", detail: "no report of a leak has this id" });
  const from = decodeCursor(page.cursor, "number");
  if (from === undefined) return err(badCursor());
  const start = Number(from);
  const leaks = store.leaks.of(id, start, page.limit);
  const next = start + leaks.length;
  const nextCursor = next < row.leaks ? encodeCursor(String(next)) : null;
  return ok({ ...viewCompromise(context, row, leaks), nextCursor });
}
