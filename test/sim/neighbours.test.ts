/** Two keys of one account: what is heard of one is never taken for news of the other, though they may be called the same there. */
import { describe, expect, it } from "vitest";
import { INTERRUPTIONS } from "./people.ts";
import { DAY_MS, findBroken, HOUR_MS, keyIdOf, open, type Run, rotateKey } from "./scene.ts";
import type { Abilities } from "./service.ts";
import type { Fault, Plan } from "./simulator.ts";

const SHARED: Abilities = {
  overlap: "ours",
  list: true,
  connects: true,
  tellsAccount: true,
  sharesLabel: true,
  propagationMs: 30_000,
};

/** Both keys rotate, the second one `delayMs` after the first; `faultOf` says what becomes of each call to mint. */
async function both(delayMs: number, faultOf: (mint: number) => Fault | undefined): Promise<Run> {
  let mints = 0;
  const run: Run = open(
    SHARED,
    (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return faultOf(mints);
    },
    1,
    [],
    2,
  );
  await run.simulator.runFor(HOUR_MS);
  for (const [index, wait] of [delayMs, 0].entries()) {
    run.simulator.act((context) => INTERRUPTIONS["a second trigger"]?.(context, keyIdOf(index)));
    await run.simulator.runFor(wait);
  }
  await run.simulator.runFor(3 * DAY_MS);
  return run;
}

function stateOf({ simulator }: Run, index: number): string | undefined {
  return simulator.store.rotations.list(keyIdOf(index), "", 1)[0]?.state;
}

describe("while one key's mint is in doubt", () => {
  it.each([0, 25, 150, 10_000, 70_000])(
    "the other's new value is left alone, %d ms later",
    async (delayMs) => {
      const run = await both(delayMs, (mint) => (mint === 1 ? "timeout-no-effect" : undefined));
      expect(findBroken(run)).toEqual([]);
      expect([0, 1].map((index) => stateOf(run, index))).toEqual(["succeeded", "succeeded"]);
      expect(run.service.live()).toHaveLength(2);
    },
  );

  it.each([0, 25, 150, 10_000, 70_000])(
    "its own lost value is found beside the other's, %d ms later",
    async (delayMs) => {
      const run = await both(delayMs, (mint) => (mint === 1 ? "timeout-took-effect" : undefined));
      expect(findBroken(run)).toEqual([]);
      expect([0, 1].map((index) => stateOf(run, index))).toEqual(["succeeded", "succeeded"]);
      expect(run.service.live()).toHaveLength(2);
    },
  );

  it("and the other's, too, nobody guesses: a person decides", async () => {
    const run = await both(25, (mint) => (mint <= 2 ? "timeout-took-effect" : undefined));
    expect([0, 1].map((index) => stateOf(run, index))).toContain("needs-human");
    expect(run.simulator.broken).toEqual([]);
    expect(run.service.broken).toEqual([]);
  });
});

describe("a service that is not ready for one of them", () => {
  it("makes a new value for the other, for which it is", async () => {
    let asked = 0;
    const plan: Plan = (_, name) => {
      if (name === "preflight") asked += 1;
      return name === "preflight" && asked === 2 ? "rate-limited" : undefined;
    };
    const run = open({ overlap: "none", connects: true }, plan, 1, [], 2);
    await run.simulator.runFor(HOUR_MS);
    run.simulator.act((context) => {
      for (const keyId of run.keyIds) rotateKey(context, keyId);
    });
    await run.simulator.runFor(3 * DAY_MS);
    expect(run.simulator.calls.slice(0, 2)).toEqual(["preflight", "preflight"]);
    expect(findBroken(run)).toEqual([]);
    expect([0, 1].map((index) => stateOf(run, index))).toEqual(["succeeded", "succeeded"]);
  });
});
