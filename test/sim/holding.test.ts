/**
 * Old versions that their policy holds: whatever consumers and people do at each moment of a grace, and whenever the process dies there,
 * none goes too early, none stays too long, and no deadline moves that has passed.
 */
import { describe, expect, it } from "vitest";
import type { Policy } from "../../src/store/keys.ts";
import { type Act, actsOf, HOLDING, HOLDS, USES } from "./people.ts";
import { DAY_MS, findBroken, givePolicy, HOUR_MS, KEY, open, type Run, rotate } from "./scene.ts";

const ABILITIES = { overlap: "ours", find: true } as const;
const MINUTE_MS = 60_000;
/** Longer than most of the policies let any grace be. */
const GRACE_MS = 5 * HOUR_MS;

/** A key whose first rotation was just promoted. */
async function rotated(policy: Policy): Promise<Run> {
  const run = open(ABILITIES, () => undefined);
  givePolicy(run, policy);
  await run.simulator.runFor(HOUR_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(MINUTE_MS);
  expect(stages(run)).toEqual(["previous", "current"]);
  return run;
}

function stages({ simulator }: Run): string[] {
  return simulator.store.versions.ofKey(KEY).map(({ stage }) => stage);
}

const ACTS: Record<string, Act> = { nothing: () => undefined, ...USES, ...actsOf(HOLDS) };

/** How many events a grace has that nobody disturbs, up to what was its ceiling. */
async function countEvents(policy: Policy): Promise<number> {
  const run = await rotated(policy);
  const until = run.simulator.now + GRACE_MS;
  let count = 0;
  while (await run.simulator.step(until)) count += 1;
  expect(findBroken(run)).toEqual([]);
  return count;
}

const named = HOLDING.map((policy) => [JSON.stringify(policy), policy] as const);

describe.each(named)("a grace under %s", (_, policy) => {
  it.each(Object.entries(ACTS))(
    "keeps its promises when %s comes at each moment, and the process dies there or not",
    async (name, act) => {
      const count = await countEvents(policy);
      const broken: string[] = [];
      for (let at = 0; at <= count; at++) {
        for (const death of ["none", "crash"] as const) {
          const run = await rotated(policy);
          const until = run.simulator.now + GRACE_MS;
          for (let event = 0; event < at; event++) await run.simulator.step(until);
          if (death === "crash") run.simulator.crash();
          act(run, KEY);
          await run.simulator.runFor(GRACE_MS);
          broken.push(...findBroken(run).map((text) => `${name}, ${death}, at ${at}: ${text}`));
        }
      }
      expect(broken).toEqual([]);
    },
  );

  it("has no deadline moved that has passed when a look is stored, as the clock leapt after it was taken", async () => {
    const count = await countEvents(policy);
    const broken: string[] = [];
    for (let at = 0; at <= count; at++) {
      const run = await rotated(policy);
      const until = run.simulator.now + GRACE_MS;
      for (let event = 0; event < at; event++) await run.simulator.step(until);
      run.simulator.skewMs += DAY_MS;
      await run.simulator.runFor(10 * MINUTE_MS);
      broken.push(...run.simulator.broken.map((text) => `at ${at}: ${text}`));
    }
    expect(broken).toEqual([]);
  });
});
