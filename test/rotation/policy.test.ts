import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import {
  cooldownEndsAt,
  deliverBy,
  graceEndsAt,
  isDue,
  mayRevoke,
  nextRotationAt,
} from "../../src/rotation/policy.ts";
import type { KeyRow } from "../../src/store/keys.ts";

type PlannedKey = Parameters<typeof nextRotationAt>[0];

const NOW = Date.UTC(2040, 0, 1);
const DAY = parseDuration("1d");
const CURRENT = { id: "version-1", issuedAt: NOW, expiresAt: null };

function key(change: Partial<PlannedKey> = {}): PlannedKey {
  return {
    policy: { maxAge: "30d" },
    paused: false,
    state: "active",
    expiresAt: null,
    retryAt: null,
    heldUntil: null,
    ...change,
  };
}

describe("a value that its service ends by itself", () => {
  it("is replaced with a fifth of its life left, at most a week before, whatever its age", () => {
    const current = { ...CURRENT, expiresAt: NOW + 10 * DAY };
    expect(nextRotationAt(key(), current)).toBe(NOW + 8 * DAY);
    expect(nextRotationAt(key(), { ...current, expiresAt: NOW + 100 * DAY })).toBe(NOW + 30 * DAY);
    const slow = key({ policy: { maxAge: "365d" } });
    expect(nextRotationAt(slow, { ...current, expiresAt: NOW + 100 * DAY })).toBe(NOW + 93 * DAY);
  });

  it("is not planned where nothing is", () => {
    expect(nextRotationAt(key({ policy: {} }), { ...CURRENT, expiresAt: NOW + DAY })).toBeNull();
  });
});

it("a key whose service holds something back is not rotated by its schedule before that is over", () => {
  const until = NOW + 31 * DAY;
  expect(nextRotationAt(key({ heldUntil: until }), CURRENT)).toBe(until);
  expect(isDue(key({ heldUntil: until }), CURRENT, until - 1)).toBe(false);
});

describe("the next scheduled rotation", () => {
  it("comes when the current version reaches maxAge", () => {
    expect(nextRotationAt(key(), CURRENT)).toBe(NOW + 30 * DAY);
    expect(isDue(key(), CURRENT, NOW + 30 * DAY - 1)).toBe(false);
    expect(isDue(key(), CURRENT, NOW + 30 * DAY)).toBe(true);
  });

  it("counts the age from when the service made the value, not from when it became current", () => {
    expect(nextRotationAt(key(), { ...CURRENT, id: "adopted", issuedAt: NOW - 20 * DAY })).toBe(
      NOW + 10 * DAY,
    );
  });

  it("is never planned without maxAge or without a current version", () => {
    expect(nextRotationAt(key({ policy: {} }), CURRENT)).toBeNull();
    expect(nextRotationAt(key(), undefined)).toBeNull();
  });

  it("is at once with a maxAge of 0", () => {
    expect(nextRotationAt(key({ policy: { maxAge: "0" } }), CURRENT)).toBe(NOW);
  });

  it("waits for retryAt after a failure, and no longer than that", () => {
    const aged = NOW + 30 * DAY;
    expect(nextRotationAt(key({ retryAt: aged + 5_000 }), CURRENT)).toBe(aged + 5_000);
    expect(nextRotationAt(key({ retryAt: NOW }), CURRENT)).toBe(aged);
  });
});

describe("jitter", () => {
  const jittered = key({ policy: { maxAge: "30d", jitter: "24h" } });

  it("is fixed for each version", () => {
    expect(nextRotationAt(jittered, CURRENT)).toBe(nextRotationAt(jittered, { ...CURRENT }));
  });

  it("is added to maxAge and stays below what the policy allows", () => {
    fc.assert(
      fc.property(fc.string(), (id) => {
        const spread = (nextRotationAt(jittered, { ...CURRENT, id }) ?? 0) - (NOW + 30 * DAY);
        expect(spread).toBeGreaterThanOrEqual(0);
        expect(spread).toBeLessThan(parseDuration("24h"));
      }),
    );
  });

  it("spreads versions over all of it", () => {
    const quarters = new Set<number>();
    for (let n = 0; n < 100; n++) {
      const spread = (nextRotationAt(jittered, { ...CURRENT, id: `v${n}` }) ?? 0) - (NOW + 30 * DAY);
      quarters.add(Math.floor(spread / parseDuration("6h")));
    }
    expect([...quarters].sort()).toEqual([0, 1, 2, 3]);
  });
});

describe("a key that does not rotate by schedule", () => {
  const late = NOW + 90 * DAY;

  it.each([
    ["paused", { paused: true }],
    ["revoked", { state: "revoked" }],
    ["being deleted", { state: "deleting" }],
    ["deleted", { state: "deleted" }],
    ["expired before its next rotation", { expiresAt: NOW + 30 * DAY }],
  ] satisfies [string, Partial<KeyRow>][])("because it is %s is never due", (_, change) => {
    expect(isDue(key(change), CURRENT, late)).toBe(false);
    expect(nextRotationAt(key(change), CURRENT)).toBeNull();
  });

  it("because it expired while it was due is not due any more", () => {
    const expiring = key({ expiresAt: NOW + 31 * DAY });
    expect(isDue(expiring, CURRENT, NOW + 30 * DAY)).toBe(true);
    expect(isDue(expiring, CURRENT, NOW + 31 * DAY)).toBe(false);
  });
});

describe("the grace of an old version", () => {
  it("is what was asked for, else the policy's, else 24 h", () => {
    expect(graceEndsAt({ grace: "1h" }, "2h", 0, NOW)).toBe(NOW + parseDuration("2h"));
    expect(graceEndsAt({ grace: "1h" }, null, 0, NOW)).toBe(NOW + parseDuration("1h"));
    expect(graceEndsAt({}, null, 0, NOW)).toBe(NOW + parseDuration("24h"));
  });

  it("is never shorter than the slowest destination takes to show the new value", () => {
    expect(graceEndsAt({ grace: "10s" }, null, 60_000, NOW)).toBe(NOW + 60_000);
    expect(graceEndsAt({}, "0", 60_000, NOW)).toBe(NOW + 60_000);
    expect(graceEndsAt({ grace: "2h" }, null, 60_000, NOW)).toBe(NOW + parseDuration("2h"));
  });
});

describe("revoking an old version", () => {
  it("is allowed from the moment its grace has ended, and never before", () => {
    const version = { stage: "previous", graceEndsAt: NOW } as const;
    expect(mayRevoke(version, NOW - 1)).toBe(false);
    expect(mayRevoke(version, NOW)).toBe(true);
  });

  it("is never allowed by the clock alone for a version that is in no grace", () => {
    for (const stage of ["pending", "current", "revoking", "revoked", "discarded"] as const) {
      expect(mayRevoke({ stage, graceEndsAt: NOW }, NOW + DAY)).toBe(false);
    }
    expect(mayRevoke({ stage: "previous", graceEndsAt: null }, NOW + DAY)).toBe(false);
  });
});

describe("deadline and cooldown", () => {
  it("gives destinations 6 h unless the policy says otherwise", () => {
    expect(deliverBy({}, NOW)).toBe(NOW + parseDuration("6h"));
    expect(deliverBy({ deliverWithin: "10m" }, NOW)).toBe(NOW + parseDuration("10m"));
  });

  it("takes the policy's cooldown before the provider's, and none when that is 0", () => {
    expect(cooldownEndsAt({ policy: {}, role: null }, "60m", NOW)).toBe(NOW + parseDuration("1h"));
    expect(cooldownEndsAt({ policy: { cooldown: "5m" }, role: "agent" }, "60m", NOW)).toBe(
      NOW + parseDuration("5m"),
    );
    expect(cooldownEndsAt({ policy: { cooldown: "0" }, role: "operator" }, "60m", NOW)).toBeNull();
    expect(cooldownEndsAt({ policy: {}, role: null }, "0", NOW)).toBeNull();
    expect(cooldownEndsAt({ policy: {}, role: "operator" }, "0", NOW)).toBe(NOW + parseDuration("60m"));
    expect(cooldownEndsAt({ policy: {}, role: "agent" }, "60m", NOW)).toBe(NOW + parseDuration("30m"));
  });
});
