/** Pages: an opaque cursor is the last id of the page before. */
export interface PageRequest {
  limit: number;
  cursor?: string | undefined;
}

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/** Ids, names and numbers: nothing that could not have been the last of a page. */
const CURSOR_TEXT = /^[A-Za-z0-9._-]{1,100}$/;

/** What a cursor stands for; empty for the first page, undefined when it is not one of ours. */
export function decodeCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return "";
  const text = Buffer.from(cursor, "base64url").toString("utf8");
  return CURSOR_TEXT.test(text) && encodeCursor(text) === cursor ? text : undefined;
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
