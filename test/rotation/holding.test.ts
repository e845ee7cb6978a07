/** `revokeWhen`: an old version lives on until those who use it have moved, and no longer than `maxGrace`. */
import { describe, expect, it } from "vitest";
import type { StatusView } from "../../src/keyring/operations/status.ts";
import { type Evidence, findUnmet } from "../../src/rotation/holding.ts";
import type { Policy } from "../../src/store/keys.ts";
import { at, pass, setTime } from "../support/clock.ts";
import { crash, quiet, ring, runUntil } from "../support/inside.ts";
import { cron, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const NOW = Date.UTC(2040, 0, 1);

const ALL_WELL: Evidence = {
  undelivered: [],
  unacknowledged: [],
  newSeenAt: NOW,
  oldSeenAt: null,
  unknown: null,
  retiredAt: NOW - 2 * HOUR,
};

describe("what is missing", () => {
  it.each<[string, Parameters<typeof findUnmet>[0], Partial<Evidence>, number]>([
    ["nothing, when all is well", ["delivered", "acknowledged", "newSeen", "oldIdle:1h"], {}, 0],
    ["a place that does not hold it", ["delivered"], { undelivered: ["hook"] }, 1],
    ["each consumer that has not acknowledged", ["acknowledged"], { unacknowledged: ["a", "b"] }, 2],
    ["the new version, when nobody has seen it", ["newSeen"], { newSeenAt: null }, 1],
    ["quiet, when the old one was seen lately", ["oldIdle:1h"], { oldSeenAt: NOW - HOUR + 1 }, 1],
    ["nothing, when it was seen long ago", ["oldIdle:1h"], { oldSeenAt: NOW - HOUR }, 0],
    ["quiet, when it is in its grace for less", ["oldIdle:3h"], {}, 1],
    ["what nobody could say, once", ["newSeen", "oldIdle:1h"], { unknown: "no answer" }, 1],
    ["nothing, when what nobody could say was not asked for", ["delivered"], { unknown: "no answer" }, 0],
    ["nothing that was not asked for", ["newSeen"], { undelivered: ["hook"], unacknowledged: ["hook"] }, 0],
  ])("is %s", (_, conditions, change, count) => {
    expect(findUnmet(conditions, { ...ALL_WELL, ...change }, NOW)).toHaveLength(count);
  });
});

/** A key whose first rotation is over; cron comes all the time. */
async function rotated(policy: Policy): Promise<{ scene: Scene; old: string; fresh: () => Promise<string> }> {
  const scene = await makeScene();
  await scene.webhook("hook");
  const { secret } = await scene.key({ destinations: ["hook"], policy });
  const { rotation } = await scene.must<{ rotation: { id: string } }>(
    "POST",
    "/v1/keys/billing/rotate?wait=10s",
    {},
  );
  await quiet(scene);
  expect(rotation.id).toMatch(/^rot_/);
  const fresh = async () => (await scene.rotation(rotation.id)).deliveries[0]?.id ?? "";
  return { scene, old: secret, fresh };
}

async function oldVersion(scene: Scene) {
  const [old] = (await scene.read()).versions;
  if (!old) throw new Error("no version");
  return old;
}

/** Lets time go by with its crons. */
async function until(scene: Scene, time: number): Promise<void> {
  await cron(time);
  await runUntil(scene, time);
}

describe("a grace that waits for acknowledgement", () => {
  const policy: Policy = { grace: "2h", maxGrace: "12h", revokeWhen: ["acknowledged"] };

  it("is moved on before it passes, and the event says who has not moved", async () => {
    const { scene, old } = await rotated(policy);
    const first = at((await oldVersion(scene)).graceEndsAt);
    expect(first - Date.now()).toBe(2 * HOUR);
    await until(scene, first + MINUTE);
    const held = await oldVersion(scene);
    expect(held.stage).toBe("previous");
    expect(at(held.graceEndsAt)).toBeGreaterThan(first);
    expect(at(held.heldSince)).toBeLessThan(first);
    expect(await scene.verdict(old)).toBe("valid");
    expect(await scene.events("key.grace.ending")).toMatchObject([
      { actor: "rekey", data: { version: 1, waitsFor: expect.stringContaining("hook"), isFinal: false } },
    ]);
  });

  it("ends soon after it was acknowledged", async () => {
    const { scene, old, fresh } = await rotated(policy);
    await until(scene, Date.now() + 3 * HOUR);
    await scene.must("POST", `/v1/deliveries/${await fresh()}/acknowledge`, {});
    await until(scene, Date.now() + HOUR + MINUTE);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(await scene.verdict(old)).toBe("grace-ended");
  });

  it("ends at maxGrace although somebody has not moved, after one last warning", async () => {
    const { scene, old } = await rotated(policy);
    const begun = Date.now();
    await until(scene, begun + 12 * HOUR - MINUTE);
    expect(await scene.verdict(old)).toBe("valid");
    expect(at((await oldVersion(scene)).graceEndsAt)).toBe(begun + 12 * HOUR);
    await until(scene, begun + 12 * HOUR + MINUTE);
    expect(await scene.verdict(old)).toBe("grace-ended");
    const warnings = await scene.events("key.grace.ending");
    expect(warnings.map(({ data }) => data.isFinal)).toEqual([false, true]);
  });

  it("lives on past maxGrace with onCeiling: hold, and is spoken of each day, until a person ends it", async () => {
    const { scene, old } = await rotated({ ...policy, onCeiling: "hold" });
    await until(scene, Date.now() + 4 * 24 * HOUR);
    expect(await scene.verdict(old)).toBe("valid");
    const warnings = await scene.events("key.grace.ending");
    expect(warnings.length).toBeGreaterThanOrEqual(4);
    expect(warnings.length).toBeLessThanOrEqual(6);
    await scene.must("POST", "/v1/keys/billing/versions/1/finish", {});
    await quiet(scene);
    expect(await scene.verdict(old)).toBe("grace-ended");
  });

  it("never outlives its deadline when nobody looked in time", async () => {
    const { scene, old } = await rotated(policy);
    const { graceEndsAt } = await oldVersion(scene);
    setTime(at(graceEndsAt));
    expect(await scene.verdict(old)).toBe("grace-ended");
    await cron();
    await ring(scene);
    expect(await scene.stages()).toEqual(["revoked", "current"]);
    expect(at((await oldVersion(scene)).graceEndsAt)).toBe(at(graceEndsAt));
  });

  it("is held over a crash at that moment, too", async () => {
    const { scene, old } = await rotated(policy);
    const { graceEndsAt } = await oldVersion(scene);
    setTime(at(graceEndsAt) - 5 * MINUTE);
    await crash(scene);
    await until(scene, at(graceEndsAt) + MINUTE);
    expect(await scene.verdict(old)).toBe("valid");
  });
});

describe("the status of a keyring with such a grace", () => {
  const policy: Policy = { grace: "2h", maxGrace: "12h", revokeWhen: ["acknowledged"] };
  const statusOf = (scene: Scene) => scene.must<StatusView>("GET", "/v1/status");

  it("says who has not moved and what to do, from when it is held until nothing holds it any more", async () => {
    const { scene, fresh } = await rotated(policy);
    await cron();
    expect((await statusOf(scene)).problems).toEqual([]);
    await until(scene, Date.now() + 3 * HOUR);
    const { id } = await scene.read();
    const { heldSince } = await oldVersion(scene);
    expect((await statusOf(scene)).problems).toMatchObject([
      {
        what: "grace-held",
        key: id,
        since: heldSince,
        cause: expect.stringContaining("hook has not acknowledged the new version. It is revoked on"),
        remedy: expect.stringContaining("acknowledge"),
      },
    ]);
    await scene.must("POST", `/v1/deliveries/${await fresh()}/acknowledge`, {});
    const { problems, versions } = await statusOf(scene);
    expect(problems).toEqual([]);
    expect(versions).toMatchObject({ inGrace: 1, held: 1 });
  });
});

describe("a change of the policy during a grace", () => {
  const policy: Policy = { grace: "2h", maxGrace: "12h" };
  const waiting: Policy = { ...policy, revokeWhen: ["acknowledged"] };

  it.each<[string, (scene: Scene) => Promise<unknown>]>([
    ["of the key's own", (scene) => scene.must("PATCH", "/v1/keys/billing", { policy: waiting })],
    [
      "of one that it shares",
      async (scene) => {
        await scene.must("POST", "/v1/policies", { name: "shared", policy });
        await scene.must("PATCH", "/v1/keys/billing", { policy: "shared" });
        await scene.must("PATCH", "/v1/policies/shared", { policy: waiting });
      },
    ],
  ])("counts for the version that is in it: %s", async (_, change) => {
    const { scene, old } = await rotated(policy);
    const { graceEndsAt } = await oldVersion(scene);
    await until(scene, at(graceEndsAt) - MINUTE);
    await change(scene);
    await until(scene, at(graceEndsAt) + MINUTE);
    expect(await scene.verdict(old)).toBe("valid");
    await scene.must("PATCH", "/v1/keys/billing", { policy });
    await until(scene, Date.now() + 2 * HOUR);
    expect(await scene.verdict(old)).toBe("grace-ended");
  });

  it("holds on what would have ended at its ceiling, when that moves away", async () => {
    const { scene, old } = await rotated({ ...waiting, maxGrace: "3h" });
    const begun = Date.now();
    await until(scene, begun + 3 * HOUR - MINUTE);
    await scene.must("PATCH", "/v1/keys/billing", { policy: waiting });
    await until(scene, begun + 4 * HOUR);
    expect(await scene.verdict(old)).toBe("valid");
  });

  it("brings nothing back whose deadline has passed", async () => {
    const { scene, old } = await rotated(policy);
    const { graceEndsAt } = await oldVersion(scene);
    setTime(at(graceEndsAt));
    await scene.must("PATCH", "/v1/keys/billing", { policy: waiting });
    expect(await scene.verdict(old)).toBe("grace-ended");
    await until(scene, at(graceEndsAt) + 2 * MINUTE);
    expect(await scene.verdict(old)).toBe("grace-ended");
    expect(await scene.stages()).toEqual(["revoked", "current"]);
  });
});

describe("a grace that waits until the new version was seen and the old one is idle", () => {
  it("goes by what verification has seen of each", async () => {
    const { scene, old } = await rotated({
      grace: "1h",
      maxGrace: "20h",
      revokeWhen: ["newSeen", "oldIdle:2h"],
    });
    await until(scene, Date.now() + 90 * MINUTE);
    expect(await scene.verdict(old)).toBe("valid");
    // What was seen is written within a minute, or when the object says so.
    await scene.must("GET", "/v1/keys/billing");
    const reasons = (await scene.events("key.grace.ending"))[0]?.data.waitsFor;
    expect(reasons).toContain("the new version was not seen yet");
    pass("1m");
    await until(scene, Date.now() + 30 * MINUTE);
    expect(await scene.stages()).toEqual(["previous", "current"]);
    await until(scene, Date.now() + 22 * HOUR);
    expect(await scene.verdict(old)).toBe("grace-ended");
  });
});

it("a use that verification has not written yet counts at the last look at a grace", async () => {
  const { scene, old } = await rotated({ grace: "3h", maxGrace: "20h", revokeWhen: ["oldIdle:2h"] });
  const { graceEndsAt } = await oldVersion(scene);
  const endsAt = Date.parse(graceEndsAt ?? "");
  await until(scene, endsAt - 6 * MINUTE);
  expect(await scene.verdict(old)).toBe("valid");
  await until(scene, endsAt + 10 * MINUTE);
  expect(await scene.verdict(old)).toBe("valid");
});

describe("a grace that something held", () => {
  const policy: Policy = { grace: "2h", maxGrace: "12h", revokeWhen: ["acknowledged"] };

  it("is held no longer by a destination that is taken out", async () => {
    const { scene, old } = await rotated(policy);
    await until(scene, Date.now() + 3 * HOUR);
    expect((await oldVersion(scene)).stage).toBe("previous");
    await scene.must("PATCH", "/v1/keys/billing", { destinations: [] });
    await until(scene, Date.now() + 2 * HOUR);
    expect(await scene.verdict(old)).toBe("grace-ended");
  });

  it("goes on being held after a rollback to it came to nothing", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const { secret } = await scene.key({
      destinations: ["hook"],
      policy: { ...policy, deliverWithin: "10m" },
    });
    await scene.rotate();
    await quiet(scene);
    hook.fail(503);
    await scene.must("POST", "/v1/keys/billing/rollback", { reason: "a test" });
    await until(scene, Date.now() + HOUR);
    hook.fail(200);
    await until(scene, Date.now() + HOUR + 30 * MINUTE);
    await until(scene, Date.now() + 4 * HOUR);
    expect(await scene.verdict(secret)).toBe("valid");
  });

  it("does not hold what a rollback takes back", async () => {
    const { scene } = await rotated(policy);
    await scene.must("POST", "/v1/keys/billing/rollback?wait=10s", { reason: "a test", grace: "20m" });
    await quiet(scene);
    await until(scene, Date.now() + 30 * MINUTE);
    expect(await scene.stages()).toEqual(["current", "revoked"]);
  });
});

describe("conditions that nobody could see", () => {
  it.each<[string, object]>([
    ["newSeen of a key at the edge", { edge: true, policy: { revokeWhen: ["newSeen"] } }],
    ["oldIdle of a key at the edge", { edge: true, policy: { revokeWhen: ["oldIdle:1h"] } }],
    ["idle for less than verification takes to tell", { policy: { revokeWhen: ["oldIdle:1m"] } }],
  ])("are refused: %s", async (_, more) => {
    const scene = await makeScene();
    const body = { name: "billing", provider: "issuer", ...more };
    expect(await scene.keyring.call("POST", "/v1/keys", { body })).toMatchObject({ status: 422 });
  });
});

describe("a grace without conditions", () => {
  it.each<[string, Policy]>([
    ["none", { grace: "2h" }],
    ["only that it is delivered, which promotion has waited for", { grace: "2h", revokeWhen: ["delivered"] }],
  ])("ends on time (%s)", async (_, policy) => {
    const { scene, old } = await rotated(policy);
    const { graceEndsAt } = await oldVersion(scene);
    await until(scene, at(graceEndsAt));
    expect(await scene.verdict(old)).toBe("grace-ended");
    expect(await scene.events("key.grace.ending")).toEqual([]);
  });
});
