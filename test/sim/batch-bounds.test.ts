/** What bounds batches: places for all of them together, those that wait for somebody, failures in a row, the time of who asked. */
import { describe, expect, it } from "vitest";
import { MAX_STUCK, WINDOW } from "../../src/rotation/batch-round.ts";
import { FAILED_IN_ROW } from "../../src/rotation/batches.ts";
import type { RotationRow } from "../../src/store/rotations.ts";
import { batchOf, begin, type Fleet, findWrong, finish, keyAt, openFleet, rotationsOf } from "./fleet.ts";
import { HOUR_MS } from "./scene.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

/** The most of some rotations that were live at once, by when each began and ended. */
function mostAtOnce(rotations: readonly RotationRow[]): number {
  const isLive = ({ startedAt, endedAt }: RotationRow, at: number) =>
    startedAt <= at && at < (endedAt ?? Infinity);
  return Math.max(...rotations.map(({ startedAt: at }) => rotations.filter((one) => isLive(one, at)).length));
}

function lastEndOf(fleet: Fleet, id: string): number {
  return Math.max(...rotationsOf(fleet, id).map(({ endedAt }) => endedAt ?? Infinity));
}

describe("the places of batches", () => {
  it("are as many over all accounts, however many there are", async () => {
    const fleet = openFleet(Array.from({ length: 40 }, () => ({ keys: 4 })));
    const id = begin(fleet);
    expect(await finish(fleet, id, HOUR_MS)).toMatchObject({ state: "done", succeeded: 160 });
    const most = mostAtOnce(rotationsOf(fleet, id));
    expect(most).toBeLessThanOrEqual(WINDOW);
    expect(most).toBeGreaterThan(WINDOW / 2);
    expect(findWrong(fleet)).toEqual([]);
  });

  it("are as many for several batches together, and each has its part of them", async () => {
    const fleet = openFleet([{ keys: 150 }, { keys: 150 }]);
    const first = begin(fleet, { selection: { connectionId: "con_0" } });
    await fleet.simulator.runFor(SECOND_MS, () => batchOf(fleet, first).started === WINDOW);
    const second = begin(fleet, { selection: { connectionId: "con_1" } });
    expect(batchOf(fleet, second)).toMatchObject({
      started: 0,
      waitsFor: "rotations of other batches that are live",
    });
    await finish(fleet, first, HOUR_MS);
    // It had its part long before the first was done.
    expect(batchOf(fleet, second).started).toBeGreaterThan(75);
    await finish(fleet, second, HOUR_MS);
    for (const id of [first, second])
      expect(batchOf(fleet, id)).toMatchObject({ state: "done", succeeded: 150 });
    const most = mostAtOnce([first, second].flatMap((id) => rotationsOf(fleet, id)));
    expect(most).toBeLessThanOrEqual(WINDOW);
    expect(most).toBeGreaterThan(WINDOW / 2);
    expect(findWrong(fleet)).toEqual([]);
  });

  it("that one batch cannot use are another's", async () => {
    const rateLimit = { calls: 6, perMs: MINUTE_MS };
    const fleet = openFleet([{ keys: 20, rateLimit }, { keys: 200 }]);
    const slow = begin(fleet, { selection: { connectionId: "con_0" } });
    const quick = begin(fleet, { selection: { connectionId: "con_1" } });
    const from = fleet.simulator.now;
    expect(await finish(fleet, quick, HOUR_MS)).toMatchObject({ state: "done", succeeded: 200 });
    expect(mostAtOnce(rotationsOf(fleet, quick))).toBeGreaterThan(WINDOW / 2);
    expect(lastEndOf(fleet, quick) - from).toBeLessThan(10 * SECOND_MS);
    expect(await finish(fleet, slow, HOUR_MS)).toMatchObject({ state: "done", succeeded: 20 });
  });
});

describe("rotations that wait for somebody", () => {
  it("are a bounded number over all accounts, too", async () => {
    const fleet = openFleet(Array.from({ length: 8 }, () => ({ keys: 60 })));
    for (const service of fleet.services) service.admins.set("main", new Set());
    const id = begin(fleet);
    await fleet.simulator.runFor(10 * MINUTE_MS);
    const { started, state, waitsFor } = batchOf(fleet, id);
    expect({ state, waitsFor }).toEqual({
      state: "running",
      waitsFor: "its own rotations that wait for somebody",
    });
    expect(started).toBeGreaterThanOrEqual(MAX_STUCK);
    expect(started).toBeLessThanOrEqual(MAX_STUCK + WINDOW);
    expect(findWrong(fleet)).toEqual([]);
  });
});

describe("failures", () => {
  it("that are scattered stop no batch, however many there are", async () => {
    let minted = 0;
    const fleet = openFleet([{ keys: 200 }], (_, name) => {
      if (name === "mint") minted += 1;
      return name === "mint" && minted % 4 === 0 ? "refused" : undefined;
    });
    const done = await finish(fleet, begin(fleet), HOUR_MS);
    expect(done).toMatchObject({ state: "done", problem: null });
    expect(done.failed).toBeGreaterThan(2 * FAILED_IN_ROW);
    expect(done.succeeded + done.failed).toBe(200);
    expect(findWrong(fleet)).toEqual([]);
  });
});

describe("who asked for a batch", () => {
  it("rotates nothing more with it once its own time is over", async () => {
    const fleet = openFleet([{ keys: 100, rateLimit: { calls: 30, perMs: MINUTE_MS } }]);
    const asker = keyAt(fleet, 0, 0);
    const expiresAt = fleet.simulator.now + 3 * MINUTE_MS;
    fleet.simulator.act(({ store }) => store.keys.update(asker, { expiresAt }));
    const id = begin(fleet, { requestedBy: asker.id });
    const over = await finish(fleet, id, HOUR_MS);
    expect(over).toMatchObject({
      state: "cancelled",
      problem: "the access key that asked for it is over",
    });
    expect(over.started).toBeGreaterThan(10);
    const last = Math.max(...rotationsOf(fleet, id).map(({ startedAt }) => startedAt));
    expect(last).toBeLessThan(expiresAt);
    expect(findWrong(fleet)).toEqual([]);
  });
});
