/** A body as lines, read as it comes. */
import { Problem } from "./problem.ts";

/** The lines of a stream, without their ends. One that is longer than `maxBytes` is refused. */
export async function* readLines(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
): AsyncGenerator<string, undefined> {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let rest: string[] = [];
  let length = 0;
  for (;;) {
    const { done = true, value } = (await reader?.read()) ?? {};
    const [first = "", ...others] = decoder.decode(value, { stream: !done }).split("\n");
    for (const piece of [first, ...others].slice(0, -1)) {
      yield [...rest, piece].join("");
      [rest, length] = [[], 0];
    }
    const last = others.at(-1) ?? first;
    rest.push(last);
    length += last.length;
    if (length > maxBytes) throw new Problem({ code: "body-too-large" });
    if (done) break;
  }
  if (length > 0) yield rest.join("");
  return undefined;
}
