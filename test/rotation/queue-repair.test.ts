/** An entry of the queue that no row agrees with neither rings for ever nor hides the row's own. */
import { describe, expect, it } from "vitest";
import { LANES } from "../../src/store/due.ts";
import { pass } from "../support/clock.ts";
import { alarmAt, crash, inside, quiet, ring } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

describe("an entry of the queue", () => {
  it("without a row goes when it comes due", async () => {
    const scene = await makeScene();
    await inside(scene, (store, state) => {
      store.due.move("delivery", "dlv_ghost", null, Date.now());
      return state.storage.setAlarm(Date.now());
    });
    // An object that is awake knows its queue; one that starts finds it as it is.
    await crash(scene);
    await ring(scene);
    expect(await alarmAt(scene)).toBeNull();
  });

  it("at another time than its row's is put where it belongs", async () => {
    const scene = await makeScene();
    await scene.kv("store", { propagation: "0" });
    await scene.key({ destinations: ["store"], policy: { grace: "2h" } });
    await scene.rotate();
    await quiet(scene);
    await inside(scene, async (store, state) => {
      const [entry] = store.due.workDue(LANES.versions, Infinity, 1);
      if (!entry) throw new Error("nothing is in grace");
      store.due.move("version", entry.id, entry.at, Date.now() + 1_000);
      await state.storage.setAlarm(Date.now() + 1_000);
    });
    await crash(scene);
    pass("1s");
    await ring(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    pass("2h");
    await ring(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });
});
