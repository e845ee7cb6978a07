/**
 * Keys of outside services under every fault at every call, for each overlap and set of abilities, and under everything that people
 * do meanwhile: every promise holds after each commit, and in the end the service holds exactly what Rekey knows of.
 */
import { describe, expect, it } from "vitest";
import { INTERRUPTIONS } from "./people.ts";
import { DAY_MS, findBroken, HOUR_MS, KEY, KINDS, open, type Run, runRotation } from "./scene.ts";
import { FAULTS, type Fault, type Plan } from "./simulator.ts";

function failAt(at: number, fault: Fault): Plan {
  return (index) => (index === at ? fault : undefined);
}

describe.each(Object.entries(KINDS))("a key of a service with overlap %s", (_, abilities) => {
  it("rotates, and the old value dies", async () => {
    const run = open(abilities, () => undefined);
    await runRotation(run);
    expect(findBroken(run)).toEqual([]);
    const stages = run.simulator.store.versions.ofKey("key_scripted").map((version) => version.stage);
    expect(stages).toEqual(["revoked", "current"]);
  });

  it.each(FAULTS)("keeps its promises under %s at each call", async (fault) => {
    const calm = open(abilities, () => undefined);
    await runRotation(calm);
    const broken: string[] = [];
    for (let at = 0; at < calm.simulator.calls.length; at++) {
      for (const doubleAlarms of [false, true]) {
        const run = open(abilities, failAt(at, fault));
        run.simulator.doubleAlarms = doubleAlarms;
        await runRotation(run);
        broken.push(
          ...findBroken(run).map((text) => `${fault} at ${at} (${calm.simulator.calls[at]}): ${text}`),
        );
      }
    }
    expect(broken).toEqual([]);
  });

  it.each(Object.entries(INTERRUPTIONS))(
    "keeps its promises when %s comes at each call",
    async (name, interrupt) => {
      const calm = open(abilities, () => undefined);
      await runRotation(calm);
      const broken: string[] = [];
      for (let at = 0; at < calm.simulator.calls.length; at++) {
        for (const delayMs of [25, 75]) {
          const run: Run = open(abilities, (index) => {
            if (index === at)
              run.simulator.after(delayMs, () => run.simulator.act((context) => interrupt(context, KEY)));
            return undefined;
          });
          await runRotation(run);
          broken.push(
            ...findBroken(run).map((text) => `${name} at ${at} (${calm.simulator.calls[at]}): ${text}`),
          );
        }
      }
      expect(broken).toEqual([]);
    },
  );

  it.each([
    ["set back an hour", -HOUR_MS],
    ["set forward a day", DAY_MS],
  ])("keeps its promises when the clock is %s at each call", async (_, skewMs) => {
    const calm = open(abilities, () => undefined);
    await runRotation(calm);
    const broken: string[] = [];
    for (let at = 0; at < calm.simulator.calls.length; at++) {
      const run: Run = open(abilities, (index) => {
        if (index === at) run.simulator.skewMs = skewMs;
        return undefined;
      });
      await runRotation(run);
      broken.push(...findBroken(run).map((text) => `clock at ${at} (${calm.simulator.calls[at]}): ${text}`));
    }
    expect(broken).toEqual([]);
  });
});
