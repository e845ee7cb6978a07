/** Nobody is sent a value before a ping to the very same place got an answer: nobody can be pointed at a stranger's server. */
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { Receiver } from "../support/receiver.ts";
import { makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;

describe("a webhook destination", () => {
  it("is pinged before its first delivery, and never again before the next ones", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.startKey({ destinations: ["hook"] });
    await quiet(scene);
    await scene.rotate();
    await quiet(scene);
    expect(scene.journal).toEqual([
      "hook: ping",
      "hook: key.version.ready v1 r1",
      "hook: key.version.ready v2 r2",
    ]);
  });

  it("is sent nothing but pings, on the backoff table, until one is answered with 2xx", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    hook.fail(302);
    await scene.startKey({ destinations: ["hook"] });
    await quiet(scene);
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect(hook.pings.length).toBeGreaterThan(8);
    expect(hook.deliveries).toEqual([]);
    expect((await scene.deliveries())[0]).toMatchObject({ state: "pending", attempts: 0 });

    hook.up();
    await runUntil(scene, Date.now() + 7 * HOUR);
    expect(scene.journal.slice(-2)).toEqual(["hook: ping", "hook: key.version.ready v1 r1"]);
  });

  it("is not proven by an answer to a ping that no key needed: a test is enough", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    expect(await scene.destination("hook")).toMatchObject({ state: "unproven", provenAt: null });
    const tested = await scene.must<{ ok: boolean }>("POST", "/v1/destinations/hook/test");
    expect(tested.ok).toBe(true);
    expect(await scene.destination("hook")).toMatchObject({ state: "ready" });
    await scene.startKey({ destinations: ["hook"] });
    await quiet(scene);
    expect(scene.journal).toEqual(["hook: ping", "hook: key.version.ready v1 r1"]);
  });

  it("sends a ping that carries no key and no value", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { id, secret } = await scene.key({ destinations: ["hook"] });
    const { id: destinationId } = await scene.destination("hook");
    const [ping] = hook.pings;
    expect(JSON.parse(ping?.raw ?? "")).toEqual({
      type: "ping",
      timestamp: new Date().toISOString(),
      data: { destinationId },
    });
    expect(ping?.raw).not.toContain(id);
    expect(ping?.raw).not.toContain(secret);
  });

  it("has to prove itself again when its config changes", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const moved = new Receiver("moved", scene.journal);
    moved.fail(503);
    await scene.must("PATCH", "/v1/destinations/hook", { config: { url: moved.url, secretMode: "plain" } });
    expect(await scene.destination("hook")).toMatchObject({ state: "unproven" });
    await scene.startKey({ name: "other", destinations: [{ id: "hook", required: false }] });
    await quiet(scene);
    expect(scene.journal).toEqual(["moved: ping"]);
    expect(hook.versions).toEqual([1]);
  });
});

describe("a destination that is pointed elsewhere during a call", () => {
  it("is not proven by the place where it used to be", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.must("POST", "/v1/destinations/hook/test");
    const stranger = new Receiver("stranger", scene.journal);
    stranger.fail(404);
    const release = hook.hold();
    await scene.startKey({ destinations: ["hook"] });
    await eventually(() => expect(hook.versions).toEqual([1]));
    await scene.must("PATCH", "/v1/destinations/hook", {
      config: { url: stranger.url, secretMode: "plain" },
    });
    release();
    await eventually(() => expect(stranger.pings).toHaveLength(1));
    await quiet(scene);

    expect(await scene.destination("hook")).toMatchObject({ state: "unproven" });
    expect((await scene.deliveries())[0]).toMatchObject({ state: "pending" });
    await runUntil(scene, Date.now() + 24 * HOUR);
    expect(stranger.deliveries).toEqual([]);
  });

  it("is sent the value there once it answers there", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const moved = new Receiver("moved", scene.journal);
    await scene.must("POST", "/v1/destinations/hook/test");
    const release = hook.hold();
    await scene.startKey({ destinations: ["hook"] });
    await eventually(() => expect(hook.versions).toEqual([1]));
    await scene.must("PATCH", "/v1/destinations/hook", { config: { url: moved.url, secretMode: "plain" } });
    release();
    await eventually(async () => expect((await scene.deliveries())[0]?.state).toBe("delivered"));
    expect(scene.journal.slice(-2)).toEqual(["moved: ping", "moved: key.version.ready v1 r1"]);
  });

  it("is not proven by a test that was under way either", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const release = hook.hold();
    const testing = scene.must("POST", "/v1/destinations/hook/test");
    await eventually(() => expect(hook.pings).toHaveLength(1));
    const stranger = new Receiver("stranger", scene.journal);
    stranger.fail(404);
    await scene.must("PATCH", "/v1/destinations/hook", {
      config: { url: stranger.url, secretMode: "plain" },
    });
    release();
    await testing;
    expect(await scene.destination("hook")).toMatchObject({ state: "unproven", provenAt: null });
  });
});
