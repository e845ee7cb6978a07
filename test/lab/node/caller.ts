/** A caller of the HTTP API that keeps every answer that it ever got, headers and all. */
import { z } from "zod";

/** Longer than any request may wait for a rotation. */
const ANSWER_WITHIN_MS = 40_000;
const MAX_PAGES = 1_000;

const pageSchema = z.object({ items: z.array(z.unknown()), nextCursor: z.string().nullable() });

export class Caller {
  readonly #origin: string;
  readonly #answers: string[];

  /** @param answers where every answer is kept */
  constructor(origin: string, answers: string[]) {
    this.#origin = origin;
    this.#answers = answers;
  }

  /**
   * Sends one request.
   * @throws for whatever is no success, with what was answered
   */
  async call<Schema extends z.ZodType>(
    token: string,
    answer: Schema,
    method: "GET" | "POST",
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<z.output<Schema>> {
    const response = await fetch(`${this.#origin}${path}`, {
      method,
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    this.#answers.push(`${JSON.stringify([...response.headers])} ${text}`);
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return answer.parse(JSON.parse(text));
  }

  /** All items of a list. */
  async all<Schema extends z.ZodType>(
    token: string,
    item: Schema,
    path: string,
  ): Promise<z.output<Schema>[]> {
    const items: z.output<Schema>[] = [];
    let cursor: string | null = "";
    for (let pages = 0; cursor !== null && pages < MAX_PAGES; pages++) {
      const query = cursor === "" ? "limit=100" : `limit=100&cursor=${encodeURIComponent(cursor)}`;
      const page: z.output<typeof pageSchema> = await this.call(token, pageSchema, "GET", `${path}?${query}`);
      items.push(...page.items.map((one) => item.parse(one)));
      cursor = page.nextCursor;
    }
    return items;
  }
}
