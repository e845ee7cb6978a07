import { crc32 } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Random, secureRandom } from "../../src/crypto/random.ts";
import {
  DEFAULT_PREFIX,
  formatToken,
  isPrefix,
  newCode,
  newPublicId,
  newVersionId,
  parseToken,
  TOKEN_PATTERN,
} from "../../src/issuer/token.ts";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const alphabet = (characters: string) => fc.constantFrom(...characters);
const base62 = (length: number) =>
  fc.string({ unit: alphabet(DIGITS), minLength: length, maxLength: length });
const letters = alphabet(DIGITS.slice(10));
const word = fc.string({ unit: alphabet(DIGITS), minLength: 1, maxLength: 6 });
const prefix = fc
  .tuple(letters, fc.option(word, { nil: "" }), fc.array(word, { maxLength: 3 }))
  .map(([first, more, parts]) => [first + more, ...parts].join("_"));
const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
const returning =
  (value: Uint8Array): Random =>
  () =>
    value;

const token = fc.record({ prefix, code: base62(8), publicId: base62(17), secret: bytes }).map((parts) => ({
  ...parts,
  text: formatToken(parts.prefix, parts.code, parts.publicId, returning(parts.secret)),
}));

/** The number that base62 digits stand for. */
const numberOf = (text: string) =>
  [...text].reduce((sum, digit) => sum * 62n + BigInt(DIGITS.indexOf(digit)), 0n);

describe("an issued key", () => {
  it("is its prefix, an underscore and 74 digits: 8 of the keyring, 17 of the version, 43 secret, 6 of the checksum", () => {
    fc.assert(
      fc.property(token, ({ text, prefix, code, publicId, secret }) => {
        const body = text.slice(text.lastIndexOf("_") + 1);
        expect(text).toBe(`${prefix}_${body}`);
        expect(body).toMatch(/^[0-9A-Za-z]{74}$/);
        expect(body.slice(0, 8)).toBe(code);
        expect(body.slice(8, 25)).toBe(publicId);
        expect(numberOf(body.slice(25, 68))).toBe(BigInt(`0x${Buffer.from(secret).toString("hex")}`));
        expect(numberOf(body.slice(68))).toBe(BigInt(crc32(text.slice(0, -6))));
      }),
    );
  });

  it("keeps all 256 bits of its secret, zero-padded", () => {
    const secretOf = (fill: number) =>
      formatToken("p", "c".repeat(8), "i".repeat(17), returning(new Uint8Array(32).fill(fill))).slice(27, 70);
    expect(secretOf(0)).toBe("0".repeat(43));
    expect(numberOf(secretOf(255))).toBe(2n ** 256n - 1n);
  });

  it("reads back as what it was made of", () => {
    fc.assert(
      fc.property(token, ({ text, prefix, code, publicId }) => {
        expect(parseToken(text)).toEqual({ kind: "token", prefix, code, publicId });
      }),
    );
  });

  it("has known answers", () => {
    const text = formatToken(
      "sk_live",
      "AbCd1234",
      "0123456789ABCDEFG",
      returning(new Uint8Array(32).fill(7)),
    );
    // In parts: whole, it looks like a real key to a secret scanner.
    const body = "AbCd12340123456789ABCDEFG1fJjkkpe9PiTw9KSulA8Ghct30vZz4HpdQ5c5b9cPF10RZZCU";
    expect(text).toBe(`sk_live_${body}`);
  });

  it("with any one character changed is malformed or nothing of ours, never read", () => {
    const other = fc.tuple(
      token,
      fc.nat(),
      fc.oneof(alphabet(`${DIGITS}_-. `), fc.string({ unit: "binary", minLength: 1, maxLength: 1 })),
    );
    fc.assert(
      fc.property(other, ([{ text }, at, character]) => {
        const index = at % text.length;
        const changed = text.slice(0, index) + character + text.slice(index + 1);
        if (changed !== text) expect(parseToken(changed).kind).not.toBe("token");
      }),
      { numRuns: 2_000 },
    );
  });

  it("with any two neighbours swapped, a character lost or one added is never read", () => {
    fc.assert(
      fc.property(token, fc.nat(), alphabet(DIGITS), ({ text }, at, extra) => {
        const index = at % (text.length - 1);
        const [a = "", b = ""] = text.slice(index, index + 2);
        const swapped = text.slice(0, index) + b + a + text.slice(index + 2);
        const lost = text.slice(0, index) + text.slice(index + 1);
        const added = text.slice(0, index) + extra + text.slice(index);
        for (const changed of [swapped, lost, added]) {
          if (changed !== text) expect(parseToken(changed).kind).not.toBe("token");
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("is not read with anything before or after it", () => {
    fc.assert(
      fc.property(token, ({ text }) => {
        for (const changed of [` ${text}`, `${text} `, `${text}\n`, `\n${text}`, `-${text}`, `${text}=`]) {
          expect(parseToken(changed)).toEqual({ kind: "foreign" });
        }
      }),
    );
  });

  it("of our shape with a wrong checksum is malformed", () => {
    fc.assert(
      fc.property(prefix, base62(74), (name, body) => {
        const text = `${name}_${body}`;
        const fits = numberOf(body.slice(68)) === BigInt(crc32(text.slice(0, -6)));
        expect(parseToken(text).kind).toBe(fits ? "token" : "malformed");
      }),
    );
  });

  it("of another shape is foreign", () => {
    const body = "a".repeat(74);
    for (const text of [
      "",
      "_",
      body,
      `_${body}`,
      `1a_${body}`,
      `a__${body}`,
      `a_${body}a`,
      `a_${body.slice(1)}`,
      `a-b_${body}`,
    ]) {
      expect(parseToken(text)).toEqual({ kind: "foreign" });
    }
  });
});

describe("the regular expression for secret scanners", () => {
  it("finds every issued key, whole, in a text", () => {
    fc.assert(
      fc.property(token, ({ text }) => {
        expect(TOKEN_PATTERN.exec(`KEY="${text}";`)?.[0]).toBe(text);
        expect(TOKEN_PATTERN.exec(`https://api.acme.dev/?key=${text}&x=1`)?.[0]).toBe(text);
      }),
    );
  });

  it("does not find what is too short", () => {
    expect(TOKEN_PATTERN.test(`rekey_${"a".repeat(73)}`)).toBe(false);
  });
});

describe("reading a presented key", () => {
  it("is done at once, however long a text nearly matches", () => {
    const start = performance.now();
    for (const near of [
      "a_".repeat(32_000),
      "a".repeat(64_000),
      `${"a_".repeat(32_000)}-`,
      "_".repeat(64_000),
    ]) {
      expect(parseToken(near)).toEqual({ kind: "foreign" });
    }
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe("a prefix", () => {
  it.each([DEFAULT_PREFIX, "sk", "sk_live", "a1_2b_c3", "x".repeat(40)])("may be %s", (text) => {
    expect(isPrefix(text)).toBe(true);
  });

  it.each(["", "_", "1sk", "sk_", "_sk", "sk__live", "sk-live", "sk live", "ské", "sk\n", "x".repeat(41)])(
    "may not be %j",
    (text) => {
      expect(isPrefix(text)).toBe(false);
    },
  );
});

describe("a fresh id of a version", () => {
  it("has 17 digits, does not repeat, and sorts by the time at which it was made", () => {
    const times = [
      0,
      1,
      61,
      62,
      Date.parse("2026-11-28"),
      Date.parse("2026-11-29"),
      Date.parse("2080-01-01"),
    ];
    const made = times.flatMap((now) => [newVersionId(now, secureRandom), newVersionId(now, secureRandom)]);
    expect(new Set(made).size).toBe(made.length);
    for (const text of made) expect(text).toMatch(/^[0-9A-Za-z]{17}$/);
    const parts = made.map((text) => text.slice(0, 7));
    expect(parts).toEqual(parts.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    expect(new Set(parts).size).toBe(times.length);
  });
});

describe("a fresh code and a fresh public id", () => {
  it("have 8 and 17 digits and do not repeat", () => {
    const made = Array.from({ length: 500 }, () => [newCode(secureRandom), newPublicId(secureRandom)]).flat();
    expect(new Set(made).size).toBe(1_000);
    for (const text of made) expect(text).toMatch(/^(?:[0-9A-Za-z]{8}|[0-9A-Za-z]{17})$/);
  });
});
