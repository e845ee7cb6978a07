/** The history: read it, check it. */
import type { Failure } from "../../errors/catalogue.ts";
import { verifyChain } from "../../events/chain.ts";
import { err, ok, type Result } from "../../result.ts";
import type { EngineContext } from "../../rotation/context.ts";
import { findKey } from "../find-key.ts";
import { decodeCursor, encodeCursor, type Page, type PageRequest } from "../page.ts";
import { type EventView, isoOf, viewEvent } from "../views.ts";
import { badCursor } from "./keys.ts";

export interface EventQuery {
  key?: string | undefined;
  type?: string | undefined;
}

/** A page of events, newest first. A page may be short, even empty, and still have a next one when a filter matches little. */
export function listEvents(
  context: EngineContext,
  query: EventQuery,
  page: PageRequest,
): Result<Page<EventView>, Failure> {
  const { store } = context;
  const before = decodeCursor(page.cursor, "number");
  if (before === undefined) return err(badCursor());
  const keyId = idOf(context, query.key);
  const { rows, next } = store.events.page(
    { keyId, type: query.type },
    before === "" ? Number.MAX_SAFE_INTEGER : Number(before),
    page.limit,
  );
  return ok({ items: rows.map(viewEvent), nextCursor: next === null ? null : encodeCursor(String(next)) });
}

/** How much of the history one call reads for a stream. */
const SLICE = 1_000;

export interface EventSlice {
  items: EventView[];
  /** Where the next slice begins, or null at the end. */
  next: { after: number; until: number } | null;
}

export interface ChainView {
  ok: boolean;
  /** Entries that were looked at and fit. */
  count: number;
  /** Entries before them that were pruned. */
  pruned: number;
  /** When the first entry that is kept happened. */
  since: string | null;
  brokenAt?: number;
}

/** Checks the hash chain of all that is kept. */
export function verifyHistory({ store }: EngineContext): ChainView {
  const report = verifyChain(store);
  return { ...report, since: isoOf(report.since) };
}

/** A slice of the history, oldest first. The first call fixes where the stream ends, so that it does end. */
export function readEvents(
  context: EngineContext,
  query: EventQuery,
  from: { after: number; until: number } | null,
): EventSlice {
  const { store } = context;
  const { after, until } = from ?? { after: 0, until: store.events.head()?.seq ?? 0 };
  const keyId = idOf(context, query.key);
  const { rows, next } = store.events.slice({ keyId, type: query.type }, after, until, SLICE);
  return { items: rows.map(viewEvent), next: next === null ? null : { after: next, until } };
}

/** Id of the key that is asked about; what nothing goes by has no events. */
function idOf(context: EngineContext, key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  const found = findKey(context, key);
  return found.ok ? found.value.id : key;
}
