/** Destinations come and go while a rotation delivers. */
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { quiet } from "../support/inside.ts";
import { reach } from "../support/moments.ts";

describe("changing destinations during a rotation", () => {
  it("waits for a required one that was added, too", async () => {
    const { scene, spare, id, release } = await reach("delivery");
    const releaseSpare = spare.hold(({ type }) => type !== "ping");
    await scene.must("PATCH", "/v1/keys/billing", {
      destinations: [{ id: "hook" }, { id: "other" }, { id: "spare" }],
    });
    release();
    await eventually(() => expect(spare.versions).toEqual([2]));
    expect(await scene.rotation(id)).toMatchObject({ live: true, step: "deliver" });
    releaseSpare();
    await scene.reaches(id, { state: "succeeded" });
  });

  it("goes on at once when the one it waits for is taken out, or is required no more", async () => {
    for (const destinations of [[{ id: "other" }], [{ id: "hook", required: false }, { id: "other" }]]) {
      const { scene, id, release } = await reach("delivery");
      await scene.must("PATCH", "/v1/keys/billing", { destinations });
      await scene.reaches(id, { state: "succeeded" });
      release();
      await quiet(scene);
    }
  });

  it("ends a put-back that waits for one that is taken out", async () => {
    const { scene, old, id, release } = await reach("put-back");
    await scene.must("PATCH", "/v1/keys/billing", { destinations: [{ id: "other" }] });
    await scene.reaches(id, { state: "failed" });
    release();
    await quiet(scene);
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    expect(await scene.verdict(old)).toBe("valid");
  });
});
