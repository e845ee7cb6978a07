/** Durations on the wire: what people write is kept as written, and nothing that could be read two ways is taken. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isDuration, parseDuration } from "../../src/duration.ts";
import { makeKeyring } from "../support/api.ts";
import { expectInvalid, makeKey } from "./fixtures.ts";

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const TEN_YEARS_MS = 3_650 * UNIT_MS.d;
const unit = fc.constantFrom<keyof typeof UNIT_MS>("s", "m", "h", "d", "w");

describe("a duration", () => {
  it.each([
    ["30d", 2_592_000_000],
    ["24h", 86_400_000],
    ["15m", 900_000],
    ["10s", 10_000],
    ["2w", 1_209_600_000],
    ["0", 0],
    ["3650d", TEN_YEARS_MS],
    ["9999999s", 9_999_999_000],
  ])("%s is %i ms", (text, ms) => {
    expect(isDuration(text)).toBe(true);
    expect(parseDuration(text)).toBe(ms);
  });

  it("of any count and unit is read exactly, up to ten years", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9_999_999 }), unit, (count, name) => {
        const ms = count * UNIT_MS[name];
        expect(isDuration(`${count}${name}`)).toBe(ms <= TEN_YEARS_MS);
        expect(parseDuration(`${count}${name}`)).toBe(ms);
      }),
    );
  });

  it.each([
    ...[
      "soon",
      "",
      " ",
      "30",
      "30M",
      "30D",
      "30 d",
      " 30d",
      "30d ",
      "30d\n",
      "-1d",
      "+1d",
      "1.5h",
      ".5h",
      "1e3s",
    ],
    ...[
      "1d12h",
      "1 day",
      "1day",
      "30days",
      "1y",
      "1ms",
      "0d",
      "00",
      "-0",
      "01d",
      "0x1d",
      "Infinity",
      "NaN",
      "∞d",
    ],
    ...["٣d", "3651d", "522w", "10000000s", "99999999999999999999d", "P30D", "null", "undefined"],
  ])("is not %j", (text) => {
    expect(isDuration(text)).toBe(false);
  });

  it("is no other text whatever", () => {
    const plain = /^(?:0|[1-9][0-9]{0,6}[smhdw])$/;
    const nearly = fc.string({ unit: fc.constantFrom(..."0123456789smhdwMHD.-+ eE"), maxLength: 9 });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), nearly), (text) => {
        if (!plain.test(text)) {
          expect(isDuration(text)).toBe(false);
          expect(() => parseDuration(text)).toThrow();
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("in a policy a duration", () => {
  it("is kept as the text that was given", async () => {
    const ring = await makeKeyring();
    const policy = { jitter: "90m", grace: "48h", deliverWithin: "1w", cooldown: "0" };
    const made = await makeKey(ring, "kept", { policy });
    expect(made).toMatchObject({ policy });
    expect((await ring.call("GET", "/v1/keys/kept")).body).toMatchObject({ policy });
  });

  it("is refused when it is anything else, by name", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const part = fc.constantFrom("maxAge", "jitter", "grace", "deliverWithin", "cooldown");
    const junk = fc.oneof(
      fc.jsonValue({ maxDepth: 1 }).filter((value) => typeof value !== "string" || !isDuration(value)),
      fc.constantFrom("soon", "30M", "-1d", "99999999d", "1.5h", 30, null),
    );
    await fc.assert(
      fc.asyncProperty(part, junk, async (name, value) => {
        const body = { policy: { [name]: value } };
        expectInvalid(await ring.call("PATCH", "/v1/keys/billing", { body }), `policy.${name}`);
      }),
    );
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({ policy: {} });
  });
});
