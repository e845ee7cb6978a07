/** Lists that come in pages, read to their end: what is on the last page counts as much as what is on the first. */
import type { ApiAnswer, Failed } from "./http-client.ts";

/** More credentials than any account has; a service whose list never ends is not believed. */
const MAX_PAGES = 100;

/** One page: what is on it, and where the next one begins, if there is one. */
export interface Page<Item> {
  items: Item[];
  next: string | undefined;
}

/**
 * Reads a list.
 * @param ask for the page that begins at a place; the first begins at undefined
 * @returns all items with the last answer's report, or the first failure
 */
export async function collectPages<Item>(
  ask: (from: string | undefined) => Promise<ApiAnswer<Page<Item>>>,
): Promise<ApiAnswer<Item[]>> {
  const items: Item[] = [];
  let from: string | undefined;
  for (let read = 0; read < MAX_PAGES; read++) {
    const answer = await ask(from);
    if (answer.kind !== "ok") return answer;
    items.push(...answer.value.items);
    from = answer.value.next;
    if (from === undefined) return { ...answer, value: items };
  }
  return ENDLESS;
}

const ENDLESS: Failed = { kind: "unreadable", problem: "its list does not end" };
