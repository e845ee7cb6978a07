/** A clock that is far ahead of cron's own time ends no grace. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { LANES } from "../../src/store/due.ts";
import { pass } from "../support/clock.ts";
import { inside, quiet, stubOf } from "../support/inside.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

/** A key with a version in a grace of two hours; cron came just before. */
async function inGrace(): Promise<Scene> {
  const scene = await makeScene();
  await scene.kv("store", { propagation: "0" });
  await scene.key({ destinations: ["store"], policy: { grace: "2h" } });
  await cron();
  await scene.rotate();
  await quiet(scene);
  return scene;
}

async function ringAlone(scene: Scene): Promise<void> {
  await runDurableObjectAlarm(stubOf(scene));
  await quiet(scene);
}

describe("the end of a grace", () => {
  it("is not believed when the clock is over an hour past the last cron, and is asked for again each minute", async () => {
    const scene = await inGrace();
    pass("24h");
    await ringAlone(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    expect(await inside(scene, ({ due }) => due.earliestAt(LANES.versions))).toBe(Date.now() + 60_000);
    pass("1m");
    await ringAlone(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    await cron();
    pass("1m");
    await ringAlone(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });

  it("is believed when cron came within the hour, and when it came after that end", async () => {
    const scene = await inGrace();
    pass("2h");
    await cron(Date.now() - 59 * 60_000);
    await ringAlone(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);

    const other = await inGrace();
    pass("2h");
    await cron();
    pass("10h");
    await ringAlone(other);
    expect(await other.stages()).toEqual(["revoked", "current"]);
  });

  it("does not matter to an emergency", async () => {
    const scene = await inGrace();
    pass("24h");
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "leaked", version: 1 });
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });
});
