import { describe, expect, it } from "vitest";
import { readLines } from "../../src/api/lines.ts";
import { Problem } from "../../src/api/problem.ts";

const LIMIT = 20;

async function linesOf(text: string, pieceBytes: number): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        controller.enqueue(bytes.subarray(at, at + pieceBytes));
      }
      controller.close();
    },
  });
  const lines: string[] = [];
  for await (const line of readLines(body, LIMIT)) lines.push(line);
  return lines;
}

describe("the lines of a body", () => {
  it.each([1, 2, 3, 7, 1_000])("are the same in pieces of %i bytes", async (size) => {
    expect(await linesOf("one\n\nzwei: ü€😀\nthree", size)).toEqual(["one", "", "zwei: ü€😀", "three"]);
    expect(await linesOf("one\ntwo\n", size)).toEqual(["one", "two"]);
  });

  it("of nothing are none", async () => {
    expect(await linesOf("", 1)).toEqual([]);
    expect(await readLines(null, LIMIT).next()).toEqual({ done: true, value: undefined });
  });

  it.each([1, 1_000])("are refused when one never ends, in pieces of %i bytes", async (size) => {
    const refused = await linesOf(`short\n${"x".repeat(LIMIT + 1)}`, size).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Problem);
    expect((refused as Problem).failure).toEqual({ code: "body-too-large" });
  });
});
