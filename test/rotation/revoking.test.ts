/** Revoking one version or a whole key, at rest and during a live rotation. */
import { describe, expect, it } from "vitest";
import { quiet, runUntil } from "../support/inside.ts";
import { reach } from "../support/moments.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;

async function revoke(scene: Scene, version?: number): Promise<void> {
  await scene.must("POST", "/v1/keys/billing/revoke", {
    reason: "test",
    ...(version !== undefined && { version }),
  });
}

describe("revoking the current version", () => {
  it("during preflight lets the rotation go on: its value becomes current", async () => {
    const { scene, hook, old, id, release } = await reach("preflight");
    await revoke(scene, 1);
    expect(await scene.verdict(old)).toBe("revoked");
    expect((await scene.read()).state).toBe("active");
    release();
    await scene.reaches(id, { state: "succeeded" });
    expect(await scene.verdict(hook.secret ?? "")).toBe("valid");
    expect(hook.pings).toHaveLength(2);
  });

  it("during a delivery lets it go on, and nothing is put back", async () => {
    const { scene, hook, other, old, id, release } = await reach("delivery");
    await revoke(scene, 1);
    expect(await scene.verdict(old)).toBe("revoked");
    release();
    await scene.reaches(id, { state: "succeeded" });
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect([hook.versions, other.versions]).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  it("during a delivery that comes too late waits for it instead of discarding the only value left", async () => {
    const { scene, hook, id, release } = await reach("delivery");
    await revoke(scene, 1);
    release(503);
    hook.refuseDeliveries();
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "needs-attention", step: "deliver", live: true });
    expect((await scene.read()).versions[1]?.stage).toBe("pending");
    hook.up();
    await runUntil(scene, Date.now() + 6 * HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
  });

  it("while it is being put back turns the rotation round, under a new revision", async () => {
    const { scene, hook, other, id, release } = await reach("put-back");
    await revoke(scene, 1);
    release();
    await scene.reaches(id, { state: "succeeded" });
    await quiet(scene);
    for (const receiver of [hook, other]) {
      expect(receiver.deliveries.at(-1)?.data).toMatchObject({ version: 2, revision: 4 });
      expect(await scene.verdict(receiver.secret ?? "")).toBe("valid");
    }
  });

  it("while a rotation is blocked leaves the key revoked only when that fails", async () => {
    const { scene, hook, id } = await reach("blocked");
    await revoke(scene, 1);
    expect(await scene.read()).toMatchObject({ state: "active", currentVersion: null });
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
    expect(await scene.read()).toMatchObject({ state: "revoked", nextRotationAt: null });
    expect(hook.versions).toEqual([1]);
  });

  it("leaves older ones to their grace, and the key is revoked when the last of them is dead", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const { secret: old } = await scene.key({ destinations: ["hook"], policy: { grace: "2h" } });
    await scene.rotate();
    await quiet(scene);
    await revoke(scene, 2);
    await quiet(scene);
    expect(await scene.read()).toMatchObject({ state: "active", currentVersion: null });
    expect(await scene.verdict(old)).toBe("valid");
    await runUntil(scene, Date.now() + 2 * HOUR);
    expect(await scene.read()).toMatchObject({ state: "revoked" });
    expect(await scene.verdict(old)).toBe("grace-ended");
  });
});

describe("revoking another version", () => {
  it("in its grace ends it now, and nothing else", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret: old } = await scene.key({ destinations: ["hook"] });
    await scene.rotate();
    await quiet(scene);
    await revoke(scene, 1);
    expect(await scene.verdict(old)).toBe("revoked");
    await quiet(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(await scene.verdict(hook.secret ?? "")).toBe("valid");
  });

  it("in its grace does not turn round a rotation that puts back the one after it", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { deliverWithin: "10m" } });
    await scene.rotate();
    await quiet(scene);
    hook.refuseDeliveries();
    const { id } = await scene.rotate();
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({ step: "put-back", fromVersion: 2, toVersion: 3 });
    await revoke(scene, 1);
    hook.up();
    await runUntil(scene, Date.now() + 6 * HOUR);
    expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
    expect(await scene.stages()).toEqual(["revoked", "current", "discarded"]);
    expect(hook.deliveries.at(-1)?.data.version).toBe(2);
  });

  it("that is being delivered puts the old one back", async () => {
    const { scene, hook, other, old, id, release } = await reach("delivery");
    await revoke(scene, 2);
    release();
    await scene.reaches(id, { state: "failed", problem: "its new version was revoked" });
    await quiet(scene);
    expect(await scene.stages()).toEqual(["current", "discarded"]);
    for (const receiver of [hook, other]) expect(receiver.secret).toBe(old);
  });

  it("that is dead already is refused, and one that never was is not found", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { grace: "0" } });
    await cron();
    await scene.rotate();
    await quiet(scene);
    const call = (version: number) =>
      scene.keyring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "test", version } });
    expect(await call(1)).toMatchObject({ status: 409, body: { code: "version-dead" } });
    expect(await call(7)).toMatchObject({ status: 404 });
  });
});

describe("revoking a whole key", () => {
  it.each(["preflight", "delivery", "put-back"] as const)(
    "at its %s stops the rotation, and no value works any more",
    async (name) => {
      const { scene, hook, other, old, id, release } = await reach(name);
      const fresh = other.deliveries.find(({ data }) => data.version === 2)?.data.fields?.secret;
      await revoke(scene);
      expect(await scene.verdict(old)).toBe("revoked");
      if (fresh) expect(await scene.verdict(fresh)).toBe("revoked");
      const sent = [...hook.versions];
      release();
      await quiet(scene);
      expect(await scene.rotation(id)).toMatchObject({ live: false, state: "cancelled" });
      expect(await scene.read()).toMatchObject({
        state: "revoked",
        currentVersion: null,
        nextRotationAt: null,
      });
      expect(hook.versions).toEqual(sent);
    },
  );

  it("is for good: it is not rotated again", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h" } });
    await revoke(scene);
    await quiet(scene);
    const refused = await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    expect(refused).toMatchObject({ status: 409, body: { code: "key-revoked" } });
  });
});
