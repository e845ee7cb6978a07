/** Pages: an opaque cursor is the last id of the page before. */
import type { IdKind } from "../ids.ts";

export interface PageRequest {
  limit: number;
  cursor?: string | undefined;
}

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/** What a list is ordered by, and so what its cursors stand for. */
type Order = IdKind | "name" | "number";

const NAME = /^[A-Za-z0-9._-]{1,100}$/;
const NUMBER = /^[1-9][0-9]{0,14}$/;

/** What a cursor of a list in this order stands for; empty for the first page, undefined when it is not one. */
export function decodeCursor(cursor: string | undefined, order: Order): string | undefined {
  if (cursor === undefined) return "";
  const text = Buffer.from(cursor, "base64url").toString("utf8");
  const fits =
    order === "name" ? NAME.test(text) : order === "number" ? NUMBER.test(text) : isIdOf(order, text);
  return fits && encodeCursor(text) === cursor ? text : undefined;
}

function isIdOf(kind: IdKind, text: string): boolean {
  return text.startsWith(`${kind}_`) && /^[0-9a-z]{26}$/.test(text.slice(kind.length + 1));
}

/** An opaque cursor for an id. */
export function encodeCursor(id: string): string {
  return Buffer.from(id, "utf8").toString("base64url");
}

/** A page from one row more than was asked for, which says whether there is a next page. */
export function pageOf<Row extends { id: string }, Item>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { items: shown.map(view), nextCursor: rows.length > limit && last ? encodeCursor(last.id) : null };
}
