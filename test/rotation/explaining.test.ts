/** A rotation says what it waits for and what somebody can do about it. */
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { quiet, ring, runUntil } from "../support/inside.ts";
import { cron, makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;

describe("a rotation", () => {
  it("that is over and went well has nothing to explain", async () => {
    const scene = await makeScene();
    await scene.kv("store", { propagation: "0" });
    await scene.key({ destinations: ["store"] });
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded", waitsFor: null, remedy: null });
  });

  it("that is blocked names the destination, and how to go on", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    hook.fail(503);
    pass("10m");
    const { id } = await scene.rotate();
    await quiet(scene);
    const { waitsFor, remedy } = await scene.rotation(id);
    const { id: destination } = await scene.destination("hook");
    expect(waitsFor).toContain("hook");
    expect(remedy).toContain(`POST /v1/destinations/${destination}/test`);
    expect(remedy).toContain(`POST /v1/rotations/${id}/retry`);
  });

  it("that delivers names who has not confirmed", async () => {
    const scene = await makeScene();
    await scene.kv("store", { propagation: "0" });
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["store", "hook"] });
    hook.fail(503);
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({
      state: "running",
      step: "deliver",
      waitsFor: "hook to confirm the new value",
    });
  });

  it("that waits for a consumer's word says how it is given", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: [{ id: "hook", mustAcknowledge: true }] });
    const { id } = await scene.rotate();
    await quiet(scene);
    expect((await scene.rotation(id)).waitsFor).toBe("hook to acknowledge the new value");
    await cron();
    await runUntil(scene, Date.now() + 25 * HOUR);
    const [delivery] = await scene.deliveries();
    expect(await scene.rotation(id)).toMatchObject({
      state: "needs-attention",
      waitsFor: "hook to acknowledge the old value again",
      remedy: expect.stringContaining(`POST /v1/deliveries/${delivery?.id}/acknowledge`),
    });
  });

  it("that puts the old value back names who does not confirm that, and how to mend it", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "10m" } });
    hook.fail(503);
    const { id } = await scene.rotate();
    await cron();
    await runUntil(scene, Date.now() + HOUR);
    const found = await scene.rotation(id);
    expect(found).toMatchObject({ step: "put-back", waitsFor: "hook to confirm the old value again" });
    expect(found.remedy).toContain("Mend hook");
  });

  it("that failed says that the old value still works and when the schedule tries again", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h", deliverWithin: "10m" } });
    hook.fail(503);
    pass("1h");
    await cron();
    await ring(scene);
    await runUntil(scene, Date.now() + HOUR);
    const [failed] = await scene.rotations();
    const { nextRotationAt } = await scene.read();
    expect(failed).toMatchObject({ state: "failed", waitsFor: null });
    expect(failed?.remedy).toContain("Version 1 is still current");
    expect(failed?.remedy).toContain(nextRotationAt ?? "no time");
  });
});
