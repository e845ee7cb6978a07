import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeBase62, encodeNumber, randomBase62 } from "../../src/crypto/base62.ts";
import { sameBytes, sha256 } from "../../src/crypto/hash.ts";
import { secureRandom } from "../../src/crypto/random.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

describe("base62", () => {
  it.each([
    [[0], 1, "0"],
    [[61], 1, "z"],
    [[62], 2, "10"],
    [[1], 4, "0001"],
    [[255], 3, "047"],
    [[255, 255, 255, 255], 6, "4gfFC3"],
    [[], 2, "00"],
  ])("of %j in %i digits is %s", (bytes, width, text) => {
    expect(encodeBase62(Uint8Array.from(bytes), width)).toBe(text);
    expect(encodeNumber(Number(`0x0${Buffer.from(bytes).toString("hex")}`), width)).toBe(text);
  });

  it("has as many digits as asked for, stands for the same number, and keeps the order of numbers", () => {
    const word = fc.uint8Array({ minLength: 4, maxLength: 4 });
    const numberOf = (text: string) => [...text].reduce((sum, digit) => sum * 62 + DIGITS.indexOf(digit), 0);
    fc.assert(
      fc.property(word, word, (a, b) => {
        const [x, y] = [Buffer.from(a).readUInt32BE(), Buffer.from(b).readUInt32BE()];
        expect(encodeBase62(a, 6)).toHaveLength(6);
        expect(numberOf(encodeBase62(a, 6))).toBe(x);
        expect(encodeBase62(a, 6) < encodeBase62(b, 6)).toBe(x < y);
      }),
    );
  });

  it("holds the largest 256-bit number in 43 digits", () => {
    const largest = encodeBase62(new Uint8Array(32).fill(255), 43);
    expect(largest).toHaveLength(43);
    expect(encodeBase62(new Uint8Array(32).fill(255), 44)).toBe(`0${largest}`);
  });
});

describe("a random identifier", () => {
  it("has exactly the width asked for", () => {
    for (const width of [0, 1, 8, 17, 100]) expect(randomBase62(secureRandom, width)).toHaveLength(width);
  });

  it("uses every digit equally often", () => {
    const counts = new Map<string, number>();
    for (let drawn = 0; drawn < 2_000; drawn++) {
      for (const digit of randomBase62(secureRandom, 62)) counts.set(digit, (counts.get(digit) ?? 0) + 1);
    }
    expect([...counts.keys()].sort().join("")).toBe(DIGITS);
    // 2,000 expected of each with a deviation of 44: six deviations never happen by chance.
    for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(270);
  });

  it("throws away the bytes that would make some digits likelier, and draws again", () => {
    const draws = [Uint8Array.of(248, 255, 0), Uint8Array.of(61, 247, 62)];
    expect(randomBase62(() => draws.shift() ?? new Uint8Array(8), 4)).toBe("0zz0");
  });
});

describe("a digest", () => {
  it("is SHA-256 of the UTF-8 text", () => {
    expect(Buffer.from(sha256("abc")).toString("hex")).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    expect(sameBytes(sha256("é"), sha256(Uint8Array.of(0xc3, 0xa9)))).toBe(true);
  });

  it("equals another only byte for byte", () => {
    const bytes = fc.uint8Array({ maxLength: 4 });
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(sameBytes(a, b)).toBe(Buffer.from(a).toString("hex") === Buffer.from(b).toString("hex"));
      }),
    );
  });
});
