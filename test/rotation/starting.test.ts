/** What starts a rotation, what joins one, and what is refused. */
import { describe, expect, it } from "vitest";
import type { RotationView } from "../../src/keyring/views.ts";
import { at, pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { quiet } from "../support/inside.ts";
import { cron, makeScene } from "../support/scene.ts";

const HOUR = 3_600_000;

describe("a second trigger", () => {
  it("joins the rotation that is live and hears the same id, by hand or by cron", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h" } });
    const release = hook.hold((message) => message.type !== "ping");
    const first = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    const second = await scene.rotate();
    pass("2h");
    await cron();

    expect(second.id).toBe(first.id);
    expect(await scene.rotations()).toHaveLength(1);
    release();
    await quiet(scene);
    expect(hook.versions).toEqual([1, 2]);
  });

  it("that comes at the very same time still makes one rotation", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const all = await Promise.all([1, 2, 3, 4, 5].map(() => scene.rotate()));
    expect(new Set(all.map(({ id }) => id)).size).toBe(1);
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });

  it("in the grace starts a new rotation; each old version has its own deadline", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { grace: "4h" } });
    await scene.rotate();
    await quiet(scene);
    pass("1h");
    await scene.rotate("billing", { grace: "1h" });
    await quiet(scene);
    const { versions } = await scene.read();
    expect(versions.map(({ stage }) => stage)).toEqual(["previous", "previous", "current"]);
    expect(versions.slice(0, 2).map(({ graceEndsAt }) => at(graceEndsAt) - Date.now())).toEqual([
      3 * HOUR,
      HOUR,
    ]);
  });
});

describe("a rotation by hand", () => {
  it("takes a grace up to the policy's maxGrace, which is 30 days unless it says otherwise", async () => {
    const scene = await makeScene();
    await scene.kv("store", { propagation: "0" });
    await scene.key({ destinations: ["store"], policy: { maxGrace: "3d" } });
    await scene.key({ name: "other", destinations: ["store"] });
    const ask = (key: string, grace: string) =>
      scene.keyring.call<object>("POST", `/v1/keys/${key}/rotate`, { body: { grace } });
    const refused = { status: 422, body: { code: "invalid", errors: [{ path: "grace" }] } };
    expect(await ask("billing", "73h")).toMatchObject(refused);
    expect(await ask("other", "31d")).toMatchObject(refused);
    expect((await ask("billing", "72h")).status).toBe(202);
    expect((await ask("other", "30d")).status).toBe(202);
    await quiet(scene);
  });

  it("is refused in the cooldown that the one before it set, and says until when", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { cooldown: "10m" } });
    await scene.rotate();
    await quiet(scene);
    const refused = await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      code: "cooldown",
      retryAt: new Date(Date.now() + 600_000).toISOString(),
    });

    pass("10m");
    expect((await scene.rotate()).live).toBe(true);
    await quiet(scene);
    expect(await scene.stages()).toEqual(["previous", "previous", "current"]);
  });

  it("sets a cooldown of an hour on access keys", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ provider: "access", scopes: ["keys:read"], destinations: ["hook"] });
    await scene.rotate();
    await quiet(scene);
    expect(at((await scene.read()).cooldownUntil) - Date.now()).toBe(HOUR);
  });

  it("that fails sets no cooldown", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { cooldown: "10m", deliverWithin: "0" } });
    hook.fail(503);
    pass("6m");
    const { id } = await scene.rotate();
    await scene.reaches(id, { state: "failed" });
    expect((await scene.read()).cooldownUntil).toBeNull();
  });

  it("is refused when nobody would receive the value", async () => {
    const scene = await makeScene();
    await scene.key({});
    const refused = await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    expect(refused).toMatchObject({ status: 409, body: { code: "no-receiver" } });
  });

  it("is refused while the key is paused, but one that is live goes on", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const release = hook.hold((message) => message.type !== "ping");
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    await scene.must("PATCH", "/v1/keys/billing", { paused: true });
    release();
    await scene.reaches(id, { state: "succeeded" });
    const refused = await scene.keyring.call("POST", "/v1/keys/billing/rotate", { body: {} });
    expect(refused).toMatchObject({ status: 409, body: { code: "key-paused" } });
  });
});

describe("a scheduled rotation", () => {
  it("sets no cooldown and is not held up by one", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h", cooldown: "5h" } });
    pass("1h");
    await cron();
    await quiet(scene);
    expect((await scene.read()).cooldownUntil).toBeNull();
    await scene.rotate();
    await quiet(scene);
    expect((await scene.read()).cooldownUntil).not.toBeNull();
    pass("1h");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(3);
  });

  it("does not start while the key is paused, and starts at the next cron after that", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h" } });
    await scene.must("PATCH", "/v1/keys/billing", { paused: true });
    pass("2h");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toEqual([]);
    await scene.must("PATCH", "/v1/keys/billing", { paused: false });
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toHaveLength(1);
  });

  it("does not start for a key that expired while it was due, nor is that asked again", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const expiresAt = new Date(Date.now() + 2 * HOUR).toISOString();
    await scene.key({ destinations: ["hook"], policy: { maxAge: "1h" }, expiresAt });
    pass("3h");
    await cron();
    await quiet(scene);
    expect(await scene.rotations()).toEqual([]);
    expect((await scene.read()).nextRotationAt).toBeNull();
  });
});

describe("waiting for a rotation", () => {
  it("answers 200 once it is no longer live", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const answer = await scene.keyring.call<{ rotation: RotationView }>(
      "POST",
      "/v1/keys/billing/rotate?wait=10s",
      { body: {} },
    );
    expect(answer.status).toBe(200);
    expect(answer.body.rotation).toMatchObject({ live: false, state: "succeeded", toVersion: 2 });
  });

  it("answers 202 when the time is over first", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const release = hook.hold((message) => message.type !== "ping");
    const answer = await scene.keyring.call<{ rotation: RotationView }>(
      "POST",
      "/v1/keys/billing/rotate?wait=1s",
      { body: {} },
    );
    expect(answer.status).toBe(202);
    expect(answer.body.rotation).toMatchObject({ live: true, step: "deliver" });
    release();
    await quiet(scene);
  });

  it("reveals the value to who asks for it, though nobody else receives it", async () => {
    const scene = await makeScene();
    await scene.key({});
    const answer = await scene.must<{ rotation: RotationView; secret: string }>(
      "POST",
      "/v1/keys/billing/rotate?wait=10s",
      { reveal: "inline" },
    );
    expect(answer.rotation.state).toBe("succeeded");
    expect(await scene.verdict(answer.secret)).toBe("valid");
  });
});
