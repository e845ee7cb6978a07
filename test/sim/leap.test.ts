/** A machine whose clock leaps forward believes that much is over which is not. */
import { describe, expect, it } from "vitest";
import { deleteKey } from "../../src/keyring/operations/keys.ts";
import { DAY_MS, findBroken, HOUR_MS, KEY, KINDS, open, ROOT, type Run, rotate } from "./scene.ts";

const SECOND_MS = 1_000;

it("does not make a value that may still arrive look settled: the next one waits until cron's own time says so", async () => {
  let puts = 0;
  const run: Run = open(KINDS["ours, find"] ?? { overlap: "ours" }, (_, name) => {
    if (name !== "KEYS PUT") return undefined;
    puts += 1;
    return puts === 1 ? "answer-lost-lands-late" : undefined;
  });
  await run.simulator.runFor(HOUR_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(SECOND_MS);
  run.simulator.skewMs += DAY_MS;
  await run.simulator.runFor(SECOND_MS);
  run.simulator.act((context) => {
    if (!context.store.rotations.live("key_scripted")) rotate(context);
  });
  await run.simulator.runFor(12 * DAY_MS);
  expect(findBroken(run)).toEqual([]);
});

it("does not settle a mint in doubt that began on a clock an hour behind", async () => {
  const run: Run = open(KINDS["ours, find, lists as late as it says"] ?? { overlap: "ours" }, (index) =>
    index === 3 ? "answer-lost" : undefined,
  );
  await run.simulator.runFor(HOUR_MS);
  run.simulator.skewMs -= HOUR_MS;
  await run.simulator.runFor(SECOND_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(SECOND_MS);
  run.simulator.skewMs += DAY_MS;
  await run.simulator.runFor(12 * DAY_MS);
  expect(findBroken(run)).toEqual([]);
});

describe.each(["ours, find, late propagation", "none, late propagation"])("overlap %s", (kind) => {
  const abilities = KINDS[kind] ?? { overlap: "ours" };

  it("does not believe a refusal of a value that the service may not know yet: one that dies is not called dead", async () => {
    const run = open(abilities, () => undefined);
    run.simulator.act(rotate);
    await run.simulator.runFor(SECOND_MS);
    run.simulator.act((context) => deleteKey(context, ROOT, "billing"));
    run.simulator.skewMs += DAY_MS;
    await run.simulator.runFor(12 * DAY_MS);
    expect(run.simulator.broken).toEqual([]);
  });

  it("does not believe a refusal of a value that the service may not know yet: a new one is not thrown away", async () => {
    const run: Run = open(abilities, (_, name) => {
      if (name === "test" && run.simulator.skewMs === 0) run.simulator.skewMs += DAY_MS;
      return undefined;
    });
    run.simulator.act(rotate);
    await run.simulator.runFor(12 * DAY_MS);
    expect(findBroken(run)).toEqual([]);
    expect(run.simulator.store.keys.get(KEY)?.state).toBe("active");
    expect(run.simulator.store.versions.current(KEY)?.number).toBe(abilities.overlap === "none" ? 2 : 1);
  });
});
