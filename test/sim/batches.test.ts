/** Batches of rotations: every key once, in order, a bounded number at a time, whenever the process dies. */
import { describe, expect, it } from "vitest";
import { COUNTED_WINDOW, MAX_STUCK_AT_ONE, WINDOW } from "../../src/rotation/batch-round.ts";
import { cancelBatch, FAILED_IN_ROW, pauseBatch, resumeBatch } from "../../src/rotation/batches.ts";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import { LANES } from "../../src/store/due.ts";
import {
  batchOf,
  begin,
  type Fleet,
  findWrong,
  finish,
  keyAt,
  notOnce,
  openFleet,
  rotationsOf,
} from "./fleet.ts";
import { DAY_MS, HOUR_MS } from "./scene.ts";
import { FAULTS } from "./simulator.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

function liveOf({ simulator }: Fleet, id: string): number {
  return simulator.store.rotations.liveOfBatch(id).length;
}

/** The most rotations that were live at once on an account, by when each began and ended. */
function mostAtOnce(fleet: Fleet, id: string, account: number): number {
  const own = rotationsOf(fleet, id).filter(({ keyId }) => fleet.keyIds[account]?.includes(keyId));
  return Math.max(
    ...own.map(
      ({ startedAt: at }) =>
        own.filter(({ startedAt, endedAt }) => startedAt <= at && at < (endedAt ?? Infinity)).length,
    ),
  );
}

describe("a batch of some hundred keys", () => {
  it("rotates each once, in order, never more than its window at a time", async () => {
    const fleet = openFleet([{ keys: 300 }]);
    const id = begin(fleet);
    expect(batchOf(fleet, id)).toMatchObject({ total: 300, state: "running" });
    const done = await finish(fleet, id, HOUR_MS);
    expect(done).toMatchObject({ state: "done", started: 300, succeeded: 300, failed: 0, skipped: {} });
    expect(notOnce(fleet, id)).toEqual([]);
    expect(rotationsOf(fleet, id).map(({ startedAt }) => startedAt)).toEqual(
      rotationsOf(fleet, id)
        .toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1))
        .map(({ startedAt }) => startedAt),
    );
    const most = mostAtOnce(fleet, id, 0);
    expect(most).toBeGreaterThan(WINDOW / 2);
    expect(most).toBeLessThanOrEqual(WINDOW);
    expect(findWrong(fleet)).toEqual([]);
  });

  it("leaves out keys that were made after it, and accounts for those that went", async () => {
    const fleet = openFleet([{ keys: 100 }]);
    const id = begin(fleet);
    fleet.simulator.act(({ store }) => {
      const last = keyAt(fleet, 0, 99);
      store.keys.insert({ ...last, id: "key_9_9999", name: "later" });
      store.keys.update(last, { state: "deleted" });
      store.keys.update(keyAt(fleet, 0, 98), { state: "deleted" });
    });
    const done = await finish(fleet, id, HOUR_MS);
    expect(done).toMatchObject({
      state: "done",
      total: 100,
      started: 98,
      skipped: { "not-found": { count: 2 } },
    });
    expect(fleet.simulator.store.rotations.live("key_9_9999")).toBeUndefined();
  });
});

describe("a batch whose process dies", () => {
  const accounts = [{ keys: 5 }, { keys: 4, openedBy: 0 }];

  async function countEvents(): Promise<number> {
    const fleet = openFleet(accounts);
    const id = begin(fleet);
    let count = 0;
    while (batchOf(fleet, id).state === "running" && (await fleet.simulator.step(Infinity))) count += 1;
    expect(batchOf(fleet, id)).toMatchObject({ state: "done", succeeded: 9 });
    return count;
  }

  it("after any of its events goes on where it was: no key twice, none left out", async () => {
    const count = await countEvents();
    expect(count).toBeGreaterThan(50);
    const wrong: string[] = [];
    for (let at = 0; at <= count; at++) {
      for (const die of ["crash", "evict"] as const) {
        const fleet = openFleet(accounts);
        const id = begin(fleet);
        for (let event = 0; event < at; event++) await fleet.simulator.step(Infinity);
        fleet.simulator[die]();
        const done = await finish(fleet, id, HOUR_MS);
        if (done.state !== "done" || done.succeeded !== 9)
          wrong.push(`${die} at ${at}: ${JSON.stringify(done)}`);
        wrong.push(...notOnce(fleet, id).map((odd) => `${die} at ${at}: ${odd.join(" ")}`));
        wrong.push(...findWrong(fleet).map((text) => `${die} at ${at}: ${text}`));
      }
    }
    expect(wrong).toEqual([]);
  });

  it("or whose every call may go wrong, in any way, still adds up", async () => {
    const wrong: string[] = [];
    for (let round = 0; round < 40; round++) {
      const fault = FAULTS[round % FAULTS.length];
      const fleet = openFleet([{ keys: 12 }, { keys: 6, openedBy: 0 }], (index) =>
        index % 7 === round % 7 && index < 150 ? fault : undefined,
      );
      const id = begin(fleet);
      let done = await finish(fleet, id, 2 * DAY_MS);
      if (done.state === "paused") {
        fleet.simulator.act((context) => resumeBatch(context, batchOf(fleet, id), "root"));
        done = await finish(fleet, id, 2 * DAY_MS);
      }
      if (done.state !== "done") wrong.push(`${fault}, ${round}: ${JSON.stringify(done)}`);
      wrong.push(...findWrong(fleet).map((text) => `${fault}, ${round}: ${text}`));
    }
    expect(wrong).toEqual([]);
  });
});

describe("keys that open a connection", () => {
  it("come before all that is behind it, however far behind they stand themselves", async () => {
    // The first key of 2 opens 1, and the first of 1 opens 0: the oldest keys of all go last.
    const fleet = openFleet([{ keys: 6, openedBy: 1 }, { keys: 6, openedBy: 2 }, { keys: 6 }]);
    const id = begin(fleet);
    expect(batchOf(fleet, id).openers).toHaveLength(2);
    await finish(fleet, id, HOUR_MS);
    expect(batchOf(fleet, id)).toMatchObject({ state: "done", succeeded: 18 });
    const rotations = rotationsOf(fleet, id);
    const endOf = (account: number) =>
      rotations.find(({ keyId }) => keyId === keyAt(fleet, account, 0).id)?.endedAt ?? Infinity;
    for (const [account, behind] of [
      [1, 2],
      [0, 1],
    ] as const) {
      const own = rotations.filter(({ keyId }) => fleet.keyIds[account]?.includes(keyId));
      expect(Math.min(...own.map(({ startedAt }) => startedAt))).toBeGreaterThanOrEqual(endOf(behind));
    }
    // Nothing was started only to wait for a held connection.
    const { count } = fleet.simulator.rows<{ count: number }>(
      "SELECT count(*) AS count FROM event WHERE type = 'key.rotation.blocked'",
    )[0] ?? { count: -1 };
    expect(count).toBe(0);
    expect(findWrong(fleet)).toEqual([]);
  });

  it("that are left out hold up nobody", async () => {
    const fleet = openFleet([{ keys: 2 }, { keys: 4, openedBy: 0 }]);
    fleet.simulator.act(({ store }) => store.keys.update(keyAt(fleet, 0, 0), { paused: true }));
    const id = begin(fleet);
    expect(await finish(fleet, id, HOUR_MS)).toMatchObject({
      state: "done",
      succeeded: 5,
      skipped: { "key-paused": { count: 1 } },
    });
  });
});

describe("an account", () => {
  it("whose calls are counted has few at a time, within what is allowed, and holds up no other", async () => {
    const rateLimit = { calls: 30, perMs: MINUTE_MS };
    const fleet = openFleet([{ keys: 60, rateLimit }, { keys: 60 }]);
    const id = begin(fleet);
    const from = fleet.simulator.now;
    const quickOnes = () =>
      rotationsOf(fleet, id).filter(({ keyId, live }) => !live && fleet.keyIds[1]?.includes(keyId)).length;
    await fleet.simulator.runFor(10 * MINUTE_MS, () => quickOnes() === 60);
    expect(fleet.simulator.now - from).toBeLessThan(10 * SECOND_MS);
    const done = await finish(fleet, id, HOUR_MS);
    expect(done).toMatchObject({ state: "done", succeeded: 120 });
    expect(mostAtOnce(fleet, id, 0)).toBeLessThanOrEqual(COUNTED_WINDOW);
    // 60 keys of three calls at 30 a minute, of which one burst is there at first.
    const minutes = (fleet.simulator.now - from) / MINUTE_MS;
    expect(minutes).toBeGreaterThan(4.5);
    expect(minutes).toBeLessThan(7);
    // It was paced, and none was started to be sent away.
    const blocked = fleet.simulator.rows("SELECT 1 FROM event WHERE type = 'key.rotation.blocked'");
    expect(blocked).toEqual([]);
    expect(findWrong(fleet)).toEqual([]);
  });

  it("that is allowed fewer calls at once than a key needs is served all the same", async () => {
    const fleet = openFleet([{ keys: 3, rateLimit: { calls: 2, perMs: 10 * SECOND_MS } }]);
    const id = begin(fleet);
    expect(await finish(fleet, id, HOUR_MS)).toMatchObject({ state: "done", succeeded: 3 });
  });

  it("whose first keys are blocked goes on with the next ones at once", async () => {
    const rateLimit = { calls: 100_000, perMs: MINUTE_MS };
    let asked = 0;
    const fleet = openFleet([{ keys: 30, rateLimit }], (_, name) => {
      if (name === "preflight") asked += 1;
      return name === "preflight" && asked <= COUNTED_WINDOW ? "server-error" : undefined;
    });
    const id = begin(fleet);
    await fleet.simulator.runFor(4 * SECOND_MS);
    expect(batchOf(fleet, id)).toMatchObject({ started: 30, succeeded: 30 - COUNTED_WINDOW });
    expect(await finish(fleet, id, HOUR_MS)).toMatchObject({ state: "done", succeeded: 30 });
  });

  it("that is down keeps a bounded number waiting, and the others go on", async () => {
    const fleet = openFleet([{ keys: 120 }, { keys: 120 }]);
    fleet.services[0]?.admins.set("main", new Set());
    const id = begin(fleet);
    await fleet.simulator.runFor(10 * MINUTE_MS);
    const ofDown = rotationsOf(fleet, id).filter(({ keyId }) => fleet.keyIds[0]?.includes(keyId));
    expect(ofDown.length).toBeLessThanOrEqual(MAX_STUCK_AT_ONE + WINDOW);
    expect(batchOf(fleet, id)).toMatchObject({ state: "running", succeeded: 120 });
    expect(findWrong(fleet)).toEqual([]);
    fleet.services[0]?.admins.set("main", new Set(["admin-0"]));
    const done = await finish(fleet, id, DAY_MS);
    expect(done).toMatchObject({ state: "done", succeeded: 240 });
    expect(notOnce(fleet, id)).toEqual([]);
  });
});

describe("the keyring's limits", () => {
  it("hold for batches, too", async () => {
    const fleet = openFleet([{ keys: 20 }, { keys: 20 }]);
    fleet.simulator.act(({ store }) => store.settings.setLimits({ rotations: 6, rotationsPerConnection: 4 }));
    const id = begin(fleet);
    let most = 0;
    await fleet.simulator.runFor(HOUR_MS, () => {
      most = Math.max(most, liveOf(fleet, id));
      return batchOf(fleet, id).state !== "running";
    });
    expect(batchOf(fleet, id)).toMatchObject({ state: "done", succeeded: 40 });
    expect(most).toBe(6);
    expect(mostAtOnce(fleet, id, 0)).toBeLessThanOrEqual(4);
  });

  it("are looked at again when others have used them up", async () => {
    const fleet = openFleet([{ keys: 4 }]);
    fleet.simulator.act(({ store }) => store.settings.setLimits({ rotations: 0 }));
    const id = begin(fleet);
    await fleet.simulator.runFor(MINUTE_MS);
    expect(batchOf(fleet, id)).toMatchObject({
      started: 0,
      waitsFor: "a place: as many rotations are live as the settings allow",
    });
    fleet.simulator.act(({ store }) => store.settings.setLimits({}));
    expect(await finish(fleet, id, MINUTE_MS)).toMatchObject({ state: "done", succeeded: 4 });
  });
});

describe("an emergency in the middle of a batch", () => {
  function leak({ simulator }: Fleet, keyId: string): string | null {
    return simulator.act((context) => {
      const current = context.store.versions.current(keyId);
      if (!current) throw new Error("no version");
      return compromiseVersion(context, current, { source: "test", actor: "root" }).rotationId;
    });
  }

  it("is over long before the batch, although that has spent what the service allows", async () => {
    const fleet = openFleet([{ keys: 300, rateLimit: { calls: 60, perMs: MINUTE_MS } }]);
    const id = begin(fleet);
    await fleet.simulator.runFor(2 * MINUTE_MS);
    const { started } = batchOf(fleet, id);
    expect(started).toBeGreaterThan(20);
    expect(started).toBeLessThan(100);
    const from = fleet.simulator.now;
    const leaked = keyAt(fleet, 0, 299).id;
    const rotationId = leak(fleet, leaked) ?? "";
    const isOver = () => fleet.simulator.store.rotations.get(rotationId)?.live === false;
    await fleet.simulator.runFor(HOUR_MS, isOver);
    expect(fleet.simulator.store.rotations.get(rotationId)?.state).toBe("succeeded");
    expect(fleet.simulator.now - from).toBeLessThan(2 * SECOND_MS);
    expect(batchOf(fleet, id).started).toBeLessThan(110);
    expect(await finish(fleet, id, HOUR_MS)).toMatchObject({ state: "done", succeeded: 300 });
    expect(findWrong(fleet)).toEqual([]);
  });

  it("that waits for a place lets a batch start nothing until it has one", async () => {
    // Of so many at once, some have to wait for a place in their lane.
    const fleet = openFleet([{ keys: 90 }]);
    for (const keyId of fleet.keyIds[0] ?? []) leak(fleet, keyId);
    const { simulator } = fleet;
    expect(simulator.store.due.earliestAt(LANES.emergencies)).toBeLessThanOrEqual(simulator.now);
    const id = begin(fleet);
    expect(batchOf(fleet, id)).toMatchObject({
      started: 0,
      waitsFor: "an emergency, which goes first",
    });
    expect(await finish(fleet, id, HOUR_MS)).toMatchObject({ state: "done" });
    expect(findWrong(fleet)).toEqual([]);
  });
});

describe("two batches of the same keys", () => {
  it("rotate none at the same time: what one has under way the other leaves out", async () => {
    const fleet = openFleet([{ keys: 80 }]);
    const ids = [begin(fleet), begin(fleet)];
    await fleet.simulator.runFor(HOUR_MS);
    for (const id of ids) {
      const { state, started, joined, succeeded, skipped } = batchOf(fleet, id);
      expect({ state, joined, succeeded }).toEqual({ state: "done", joined: 0, succeeded: started });
      expect(started + (skipped["rotation-live"]?.count ?? 0)).toBe(80);
    }
    const left = ids.map((id) => batchOf(fleet, id).skipped["rotation-live"]?.count ?? 0);
    expect(Math.max(...left)).toBeGreaterThan(0);
    const rotated = new Set(ids.flatMap((id) => rotationsOf(fleet, id).map(({ keyId }) => keyId)));
    expect(rotated.size).toBe(80);
    expect(findWrong(fleet)).toEqual([]);
  });
});

describe("a batch that goes wrong", () => {
  it("is paused after so many failures in a row, and goes on when somebody says so", async () => {
    const fleet = openFleet([{ keys: 100 }], (_, name) => (name === "mint" ? "refused" : undefined));
    const id = begin(fleet);
    const paused = await finish(fleet, id, HOUR_MS);
    expect(paused).toMatchObject({ state: "paused", succeeded: 0 });
    expect(paused.problem).toMatch(/^\d+ of its rotations failed one after another$/);
    await fleet.simulator.runFor(HOUR_MS);
    expect(batchOf(fleet, id).started).toBeLessThanOrEqual(FAILED_IN_ROW + WINDOW);
    expect(findWrong(fleet)).toEqual([]);
    fleet.simulator.act((context) => resumeBatch(context, batchOf(fleet, id), "root"));
    expect(batchOf(fleet, id)).toMatchObject({ state: "running", problem: null });
  });
});

describe("a batch that is stopped in the middle", () => {
  it.each([
    ["paused", pauseBatch],
    ["cancelled", cancelBatch],
  ] as const)(
    "starts nothing more once it is %s, and what is live goes on and is counted",
    async (state, stop) => {
      const fleet = openFleet([{ keys: 200 }]);
      const id = begin(fleet);
      await fleet.simulator.runFor(300);
      const { started } = batchOf(fleet, id);
      expect(started).toBeGreaterThan(0);
      expect(liveOf(fleet, id)).toBeGreaterThan(0);
      fleet.simulator.act((context) => stop(context, batchOf(fleet, id), "root"));
      await fleet.simulator.runFor(HOUR_MS);
      expect(batchOf(fleet, id)).toMatchObject({ state, started, succeeded: started });
      if (state === "paused") {
        fleet.simulator.act((context) => resumeBatch(context, batchOf(fleet, id), "root"));
        expect(await finish(fleet, id, HOUR_MS)).toMatchObject({ state: "done", succeeded: 200 });
        expect(notOnce(fleet, id)).toEqual([]);
      }
      expect(findWrong(fleet)).toEqual([]);
    },
  );
});
