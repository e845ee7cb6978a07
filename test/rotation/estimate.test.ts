/** How long a batch takes, as far as that is known, and in words. */
import { describe, expect, it } from "vitest";
import { PROVIDERS } from "../../src/providers/registry.ts";
import { type Calls, callsOf, estimate, inWords, type Load } from "../../src/rotation/estimate.ts";

const DAY_MS = 86_400_000;
const THREE: Calls = { replace: 3, retire: 2 };
/** As Cloudflare has it: 1,200 calls in 5 minutes. */
const FOUR_A_SECOND = { calls: 1_200, perMs: 300_000 };

function load(keys: number, more: Partial<Load> = {}): Load {
  return { title: "Acme", keys, calls: THREE, rateLimit: FOUR_A_SECOND, ...more };
}

describe("an estimate", () => {
  it("goes by what a service allows", () => {
    expect(estimate([load(10_000)], DAY_MS)).toEqual({
      seconds: 7_500,
      words: "Acme: 3 calls a key, 1,200 calls in 5 minutes allow 4 a second: about 2 h 5 min",
    });
  });

  it("counts the ends of old values, too, where those come before the end of the batch", () => {
    expect(estimate([load(10_000)], 7_500_000).seconds).toBe(7_500);
    expect(estimate([load(10_000)], 7_499_000)).toEqual({
      seconds: 12_500,
      words: "Acme: 5 calls a key, 1,200 calls in 5 minutes allow 4 a second: about 3 h 30 min",
    });
  });

  it("is that of the slowest account, as they go on beside each other", () => {
    const slow = load(100, { title: "Slow", rateLimit: { calls: 60, perMs: 3_600_000 } });
    expect(estimate([load(10_000), slow, load(10_000)], DAY_MS)).toEqual({
      seconds: 18_000,
      words: "Slow: 3 calls a key, 60 calls in 1 hour allow 1 a minute: about 5 h",
    });
  });

  it("says nothing that is not known", () => {
    const unknown = load(10, { rateLimit: undefined });
    expect(estimate([unknown], DAY_MS)).toEqual({
      seconds: null,
      words: "no limit of calls is known here, so there is an estimate only once some have ended",
    });
    expect(estimate([load(10, { calls: { replace: 0, retire: 0 } })], DAY_MS).seconds).toBeNull();
  });

  it("goes by its own pace once it has one, unless what is allowed is slower", () => {
    const unknown = load(10_000, { rateLimit: undefined });
    expect(estimate([unknown], DAY_MS, { perSecond: 12, keys: 10_000 })).toEqual({
      seconds: 834,
      words: "12 a second so far: about 14 minutes",
    });
    // A full bucket lets the first ones through faster than it will go on.
    expect(estimate([load(10_000)], DAY_MS, { perSecond: 50, keys: 10_000 }).seconds).toBe(7_500);
    expect(estimate([load(10_000)], DAY_MS, { perSecond: 0.5, keys: 10_000 })).toEqual({
      seconds: 20_000,
      words: "30 a minute so far: about 5 h 35 min",
    });
  });

  it("of what has nothing left is over", () => {
    expect(estimate([load(0)], DAY_MS)).toEqual({ seconds: 0, words: "every key was looked at" });
  });
});

describe("the calls for one key", () => {
  it("are those that its provider declares", () => {
    const calls = Object.fromEntries(
      Object.values(PROVIDERS).map((provider) => [provider.name, callsOf(provider)]),
    );
    expect(calls).toMatchObject({
      issuer: { replace: 0, retire: 0 },
      access: { replace: 0, retire: 0 },
      cloudflare: { replace: 3, retire: 3 },
      sendgrid: { replace: 3, retire: 2 },
      bitscale: { replace: 3, retire: 1 },
    });
  });
});

describe("a length of time", () => {
  it.each([
    [0, "1 second"],
    [89, "89 seconds"],
    [90, "2 minutes"],
    [42 * 60, "42 minutes"],
    [89 * 60, "89 minutes"],
    [90 * 60, "1 h 30 min"],
    [2 * 3_600, "2 h"],
    [3 * 86_400, "3 days"],
  ])("of %i s is %s", (seconds, words) => {
    expect(inWords(seconds)).toBe(words);
  });
});
