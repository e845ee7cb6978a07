/** Who holds a row may write it; who comes late may not. */
import { describe, expect, it } from "vitest";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { crash, inside, quiet, runUntil, startAlarm } from "../support/inside.ts";
import { makeScene } from "../support/scene.ts";

describe("a delivery that was superseded during its call", () => {
  it("promotes nothing when it is accepted at last", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret: old } = await scene.key({ destinations: ["hook"] });
    const release = hook.hold(({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test", version: 2 });
    release();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({
      state: "failed",
      problem: "its new version was revoked",
    });
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    expect(await scene.verdict(old)).toBe("valid");
    expect(await scene.events("key.rotated")).toEqual([]);
    expect(hook.deliveries.at(-1)?.data).toMatchObject({ version: 1, revision: 3 });
  });

  it("lets its successor go as soon as it is over, not when its lease ends", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const release = hook.hold(({ data }) => data.version === 2);
    await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test", version: 2 });
    await startAlarm(scene);
    expect(hook.versions).toEqual([1, 2]);
    release(503);
    await eventually(() => expect(hook.versions).toEqual([1, 2, 1]));
    await quiet(scene);
  });

  it("by a crash holds its successor back for its lease at most", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    hook.hold(({ data }) => data.version === 2);
    await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await crash(scene);
    hook.up();
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "test", version: 2 });
    await runUntil(scene, Date.now() + 44_000);
    expect(hook.versions).toEqual([1, 2]);
    await runUntil(scene, Date.now() + 1_000);
    expect(hook.versions).toEqual([1, 2, 1]);
    expect(await scene.stages()).toEqual(["current", "discarded"]);
  });
});

describe("a call that takes longer than its lease", () => {
  it("is not made a second time while its worker lives, and its outcome counts", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const release = hook.hold(({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    for (let minutes = 0; minutes < 3; minutes++) {
      pass("1m");
      await startAlarm(scene);
    }
    release();
    await scene.reaches(id, { state: "succeeded" });
    expect(hook.versions).toEqual([1, 2]);
  });
});

describe("a row whose worker died with its object", () => {
  it("is taken up again under a higher claim, so that the dead one could write nothing", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    hook.hold(({ data }) => data.version === 2);
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    const claimOf = () =>
      inside(scene, (store) => {
        const rotation = store.rotations.get(id);
        return store.deliveries.ofRotation(rotation?.keyId ?? "", id)[0]?.claim ?? 0;
      });
    const before = await claimOf();
    await crash(scene);
    const release = hook.hold(({ data }) => data.version === 2);
    pass("45s");
    await startAlarm(scene);
    await eventually(() => expect(hook.versions).toEqual([1, 2, 2]));
    expect(await claimOf()).toBe(before + 1);
    release();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });
});
