/** Rows written are money: what one whole rotation writes, from the cron that starts it to the proof that the old value is dead. */
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { inside, quiet, ring, runUntil } from "../support/inside.ts";
import { type Meter, meter } from "../support/meter.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;
const MAX_ROWS = 42;

/** Rows that the keyring's object writes while `work` goes on. */
async function measure(scene: Scene, work: () => Promise<void>): Promise<Record<string, number>> {
  let found: Meter | undefined;
  await inside(scene, (_, state) => {
    found = meter(state);
  });
  await work();
  return inside(scene, () => {
    const rows = found?.writtenByTable() ?? {};
    found?.remove();
    return rows;
  });
}

/** Rows of the database; what setting the alarm costs is counted apart. */
function sum({ alarm: _, ...rows }: Record<string, number>): number {
  return Object.values(rows).reduce((all, count) => all + count, 0);
}

async function makeOld(): Promise<Scene> {
  const scene = await makeScene();
  await scene.webhook("hook");
  await scene.kv("store");
  await scene.key({ destinations: ["hook", "store"], policy: { maxAge: "30d", grace: "2h" } });
  pass("30d");
  return scene;
}

describe("a scheduled rotation to KV and one webhook", () => {
  it(`writes at most ${MAX_ROWS} rows, indexes and queue included, and one for each of its versions in the sample of ages`, async () => {
    const scene = await makeOld();
    const rows = await measure(scene, async () => {
      await cron();
      await quiet(scene);
      await runUntil(scene, Date.now() + 3 * HOUR);
    });
    const versions = await inside(scene, (store) => store.versions.select("ORDER BY number"));
    expect(versions.map(({ stage }) => stage)).toEqual(["revoked", "current"]);
    const sampled = versions.filter(({ id }) => /\d$/.test(id)).length;
    expect(sum(rows)).toBeLessThanOrEqual(MAX_ROWS + sampled);
    expect(rows.alarm).toBeLessThanOrEqual(3);
    // Were the meter not in the object that did the work, it would have seen next to nothing.
    expect(Object.keys(rows)).toEqual(
      expect.arrayContaining(["rotation", "version", "delivery", "due", "event"]),
    );
  });

  it("writes no more when every alarm rings without need", async () => {
    const scene = await makeOld();
    await cron();
    await quiet(scene);
    const rows = await measure(scene, async () => {
      for (let n = 0; n < 5; n++) {
        await inside(scene, (_, state) => state.storage.setAlarm(Date.now()));
        await ring(scene);
      }
    });
    // The test sets it five times, the keyring sets it back to the end of the grace as often.
    expect(rows).toEqual({ alarm: 10 });
  });
});

describe("an idle keyring", () => {
  it("writes nothing when cron visits it", async () => {
    const scene = await makeScene();
    await scene.kv("store");
    await scene.key({ destinations: ["store"], policy: { maxAge: "300d" } });
    pass("25h");
    expect(await measure(scene, () => cron())).toEqual({});
  });
});
