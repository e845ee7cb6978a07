/** A dry run asks everybody, says what would happen, and changes nothing. */
import { describe, expect, it } from "vitest";
import type { PlanView } from "../../src/keyring/operations/plan.ts";
import type { Policy } from "../../src/store/keys.ts";
import { at } from "../support/clock.ts";
import { inside, quiet } from "../support/inside.ts";
import { makeScene, type Scene } from "../support/scene.ts";

const HOUR = 3_600_000;

async function plan(scene: Scene, body: object = {}): Promise<PlanView> {
  const answer = await scene.must<{ plan: PlanView }>("POST", "/v1/keys/billing/rotate", {
    dryRun: true,
    ...body,
  });
  return answer.plan;
}

/** Every row but the history, which says that root was used. */
function rows(scene: Scene): Promise<unknown> {
  return inside(scene, (_, { storage }) =>
    Object.fromEntries(
      ["key", "version", "rotation", "delivery", "destination", "keyDestination", "due", "idempotency"].map(
        (table) => [
          table,
          storage.sql
            .exec(`SELECT * FROM ${table}`)
            .toArray()
            .map((row) => JSON.stringify(row)),
        ],
      ),
    ),
  );
}

describe("a dry run", () => {
  it("asks every destination and the service, and changes nothing", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.kv("store", { propagation: "0" });
    const { id } = await scene.key({
      destinations: ["hook", { id: "store", required: false, as: "other" }],
      policy: { grace: "2h" },
    });
    const before = await rows(scene);
    const found = await plan(scene);
    await quiet(scene);
    expect(scene.journal).toEqual(["hook: ping"]);
    expect(await rows(scene)).toEqual(before);
    expect(await scene.rotations()).toEqual([]);
    expect(found).toMatchObject({
      key: id,
      overlap: "ours",
      fromVersion: 1,
      joins: null,
      ready: true,
      blockers: [],
    });
    expect(found.destinations).toMatchObject([
      { name: "hook", as: "billing", required: true, ok: true, problem: null },
      { name: "store", as: "other", required: false, ok: true, problem: null },
    ]);
    expect(found.steps.map(({ step }) => step)).toEqual([
      "preflight",
      "mint",
      "test",
      "deliver",
      "promote",
      "grace",
      "revoke",
      "confirm",
    ]);
    expect(found.irreversible).toEqual([expect.stringContaining("revoked")]);
    expect(at(found.oldEndsAt) - Date.now()).toBe(2 * HOUR);
    expect(at(found.deliverBy) - Date.now()).toBe(6 * HOUR);
  });

  it("names every required destination that does not answer, and none that is not required", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const second = await scene.webhook("second");
    const spare = await scene.webhook("spare");
    await scene.key({
      destinations: ["hook", "second", { id: "spare", required: false }],
    });
    hook.fail(503);
    second.fail(500);
    spare.fail(500);
    const found = await plan(scene);
    expect(found.ready).toBe(false);
    expect(found.blockers.map(({ what }) => what).sort()).toEqual(["hook", "second"]);
    expect(found.blockers[0]?.problem).toContain("50");
    expect(found.destinations.find(({ name }) => name === "spare")).toMatchObject({ ok: false });
  });

  it("says what would refuse it and until when, instead of refusing", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"], policy: { cooldown: "1h" } });
    await scene.rotate();
    await quiet(scene);
    const { cooldownUntil } = await scene.read();
    expect((await plan(scene)).blockers).toEqual([
      { what: "request", problem: expect.stringContaining("cooldown"), until: cooldownUntil },
    ]);
  });

  it("says which rotation it would join", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const release = hook.hold((message) => message.type !== "ping");
    const live = await scene.rotate();
    expect((await plan(scene)).joins).toBe(live.id);
    release();
    await quiet(scene);
  });

  it("shows the grace that would be had", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    const found = await plan(scene, { grace: "3h" });
    expect(at(found.oldEndsAt) - Date.now()).toBe(3 * HOUR);
    const tooLong = await plan(scene, { grace: "40d" });
    expect(tooLong.blockers).toMatchObject([{ what: "request", problem: expect.stringContaining("grace") }]);
  });
});

describe("a dry run of a key whose policy holds old versions", () => {
  const policy: Policy = {
    grace: "2h",
    maxGrace: "12h",
    revokeWhen: ["delivered", "acknowledged", "newSeen", "oldIdle:3h"],
  };

  async function held(more: Policy): Promise<Scene> {
    const scene = await makeScene();
    await scene.webhook("hook");
    await scene.kv("store", { propagation: "0" });
    await scene.key({
      destinations: ["hook", { id: "store", required: false }],
      policy: { ...policy, ...more },
    });
    return scene;
  }

  it("says what would hold the old one, until when at most, and that it is revoked then", async () => {
    const scene = await held({});
    const found = await plan(scene);
    expect(found.hold).toEqual({
      waitsFor: [
        "hook has acknowledged the new version",
        "hook holds the new version",
        "store holds the new version",
        "verification has not seen the old version for 3h",
        "verification has seen the new version",
      ],
      untilAtMost: new Date(Date.now() + 12 * HOUR).toISOString(),
      atCeiling: expect.stringMatching(/^it is revoked at /),
    });
    expect(at(found.oldEndsAt) - Date.now()).toBe(2 * HOUR);
    const grace = found.steps.find(({ step }) => step === "grace");
    expect(grace?.does).toContain("hook has acknowledged the new version");
    expect(grace?.does).toContain(found.hold?.atCeiling);
  });

  it("says so when it would be held until a person ends it", async () => {
    const scene = await held({ onCeiling: "hold" });
    expect((await plan(scene)).hold).toMatchObject({
      untilAtMost: null,
      atCeiling: expect.stringMatching(/until a person finishes its grace$/),
    });
  });

  it.each<[string, Policy]>([
    ["what promotion has waited for", { revokeWhen: ["delivered"] }],
    ["nothing", { revokeWhen: undefined }],
    ["nothing, without end", { revokeWhen: undefined, onCeiling: "hold" }],
  ])("says that nothing holds it when the policy asks for %s", async (_, more) => {
    const scene = await held(more);
    const found = await plan(scene);
    expect(found.hold).toEqual({
      waitsFor: [],
      untilAtMost: new Date(Date.now() + 12 * HOUR).toISOString(),
      atCeiling: expect.stringMatching(/^nothing holds it; its grace can be extended by hand until /),
    });
    expect(found.steps.find(({ step }) => step === "grace")?.does).not.toContain("until");
  });

  it("says when it really ends: not before it could be looked at", async () => {
    const scene = await held({ grace: "0" });
    const { oldEndsAt } = await plan(scene);
    await scene.rotate();
    await quiet(scene);
    const [old] = (await scene.read()).versions;
    expect(old?.graceEndsAt).toBe(oldEndsAt);
    expect(at(oldEndsAt) - Date.now()).toBeGreaterThan(0);
  });

  it("holds it no longer than the key lives", async () => {
    const scene = await makeScene();
    await scene.webhook("hook");
    const expiresAt = new Date(Date.now() + 6 * HOUR).toISOString();
    await scene.key({ destinations: ["hook"], policy: { ...policy, onCeiling: "hold" }, expiresAt });
    expect((await plan(scene)).hold).toMatchObject({
      untilAtMost: expiresAt,
      atCeiling: expect.stringMatching(/or the key expires$/),
    });
  });
});
