import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge } from "../../src/issuer/judge.ts";

const NOW = 1_800_000_000_000;
const active = { state: "active", expiresAt: null } as const;

describe("a version of an issued key", () => {
  it.each(["pending", "current"] as const)("that is %s is valid", (stage) => {
    expect(judge({ stage, graceEndsAt: null, endReason: null }, active, NOW)).toBe("valid");
  });

  it("in grace is valid until the stored moment and not at it", () => {
    const version = { stage: "previous", graceEndsAt: NOW, endReason: "rotated" } as const;
    expect(judge(version, active, NOW - 1)).toBe("valid");
    expect(judge(version, active, NOW)).toBe("grace-ended");
    expect(judge(version, active, NOW + 1)).toBe("grace-ended");
  });

  it.each(["pending", "current"] as const)("that is %s expires with its key, at that moment", (stage) => {
    const key = { state: "active", expiresAt: NOW } as const;
    const version = { stage, graceEndsAt: null, endReason: null };
    expect(judge(version, key, NOW - 1)).toBe("valid");
    expect(judge(version, key, NOW)).toBe("expired");
  });

  it("in grace does not outlive its key", () => {
    const version = { stage: "previous", graceEndsAt: NOW + 1_000, endReason: "rotated" } as const;
    expect(judge(version, { state: "active", expiresAt: NOW }, NOW)).toBe("expired");
  });

  it.each(["revoking", "revoked", "discarded"] as const)("that is %s says why it is dead", (stage) => {
    const of = (endReason: "rotated" | "revoked" | "deleted" | "discarded") =>
      judge({ stage, graceEndsAt: null, endReason }, active, NOW);
    expect(of("rotated")).toBe("grace-ended");
    for (const reason of ["revoked", "deleted", "discarded"] as const) expect(of(reason)).toBe("revoked");
  });

  it("is never valid once it is dying, its grace is over, its key has expired or is not active", () => {
    const instant = fc.option(fc.integer({ min: NOW - 10, max: NOW + 10 }), { nil: null });
    fc.assert(
      fc.property(
        fc.constantFrom("pending", "current", "previous", "revoking", "revoked", "discarded"),
        fc.constantFrom("active", "revoked", "deleting", "deleted"),
        fc.constantFrom("rotated", "revoked", "deleted", "discarded", null),
        instant,
        instant,
        (stage, state, endReason, graceEndsAt, expiresAt) => {
          const dead = ["revoking", "revoked", "discarded"].includes(stage);
          const graceOver = stage === "previous" && graceEndsAt !== null && graceEndsAt <= NOW;
          const expired = expiresAt !== null && expiresAt <= NOW;
          const verdict = judge({ stage, graceEndsAt, endReason }, { state, expiresAt }, NOW);
          expect(verdict === "valid").toBe(!dead && !graceOver && !expired && state === "active");
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
