/** A destination that is not required holds nothing up, and is not forgotten either. */
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;

async function makeHalfDown() {
  const scene = await makeScene();
  const main = await scene.webhook("main");
  const extra = await scene.webhook("extra");
  await scene.key({ destinations: ["main", { id: "extra", required: false }], policy: { grace: "100h" } });
  extra.fail(503);
  pass("10m");
  const { id } = await scene.rotate();
  await quiet(scene);
  return { scene, main, extra, id };
}

describe("an optional destination that is down", () => {
  it("does not hold up the promotion", async () => {
    const { scene, main, extra, id } = await makeHalfDown();
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(main.versions).toEqual([1, 2]);
    expect(extra.versions).toEqual([1, 2]);
    expect(extra.pings).toHaveLength(1);
  });

  it("is tried on, after the rotation is over, until it has the value", async () => {
    const { scene, extra } = await makeHalfDown();
    await runUntil(scene, Date.now() + HOUR);
    const tried = extra.versions.length;
    expect(tried).toBeGreaterThan(3);
    extra.up();
    await runUntil(scene, Date.now() + 3 * HOUR);
    expect(extra.versions).toHaveLength(tried + 1);
    expect((await scene.deliveries()).every((row) => row.state === "delivered")).toBe(true);
  });

  it("is skipped over by the next rotation: only the newest value is worth sending", async () => {
    const { scene, main, extra } = await makeHalfDown();
    await scene.rotate();
    await quiet(scene);
    extra.up();
    await runUntil(scene, Date.now() + 3 * HOUR);
    expect(main.versions).toEqual([1, 2, 3]);
    expect(extra.versions.at(-1)).toBe(3);
    const states = (await scene.deliveries()).filter((row) => row.version === 2).map((row) => row.state);
    expect(states.toSorted()).toEqual(["delivered", "superseded"]);
    expect(extra.deliveries.slice(-1)[0]?.data.revision).toBe(3);
  });
});

describe("an optional place that shows new values late", () => {
  it("keeps the old value alive until its readers can have the new one, whatever the grace", async () => {
    const scene = await makeScene();
    await scene.kv("slow", { propagation: "90s" });
    const { secret } = await scene.key({
      destinations: [{ id: "slow", required: false }],
      policy: { grace: "0" },
    });
    await scene.rotate();
    await quiet(scene);
    pass("89s");
    expect(await scene.verdict(secret)).toBe("valid");
    pass("1s");
    expect(await scene.verdict(secret)).toBe("grace-ended");
  });
});

describe("a key whose destinations are all optional", () => {
  it("is promoted at once, and they follow", async () => {
    const scene = await makeScene();
    const extra = await scene.webhook("extra");
    await scene.key({ destinations: [{ id: "extra", required: false }] });
    extra.fail(503);
    pass("10m");
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "succeeded" });
    await quiet(scene);
    extra.up();
    await runUntil(scene, Date.now() + HOUR);
    expect(extra.versions.at(-1)).toBe(2);
  });

  it("that never answered gets nothing but pings, and the key still rotates", async () => {
    const scene = await makeScene();
    const extra = await scene.webhook("extra");
    extra.fail(503);
    await scene.key({ destinations: [{ id: "extra", required: false }] });
    await scene.rotate();
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    expect(extra.versions).toEqual([]);
    expect(extra.pings.length).toBeGreaterThan(3);
    extra.up();
    await runUntil(scene, Date.now() + 3 * HOUR);
    expect(extra.versions).toEqual([2]);
  });
});
