/** The platform may ring an alarm more than once. Whole rotations in which each one rings twice make the very same calls, and end the same. */
import "../lab/register-in-tests.ts";

import { reset } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { KIND_NAMES, type KindName } from "../lab/kinds.ts";
import type { CallName } from "../lab/service.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { inside, quiet, ring, startAlarm } from "../support/inside.ts";
import type { Scene } from "../support/scene.ts";
import { DAY_MS, MINUTE_MS, openStage, type Stage } from "./stage.ts";

/** What a rotation meets on its way. */
const COURSES: Record<string, (stage: Stage) => void> = {
  "to which nothing happens": () => undefined,
  "whose mint gets no answer": ({ service }) => service.fail("mint", { kind: "lost-after" }),
  "of which everything fails once": ({ service, hook }) => {
    for (const call of ["preflight", "mint", "test", "find", "list", "revoke"] as const) {
      service.fail(call, { kind: "status", status: 429, retryAfterSeconds: 7 });
    }
    let refusals = 1;
    hook.refuseDeliveries(503, () => refusals-- > 0);
  },
};

describe.each(Object.entries(COURSES))("a rotation %s", (_, prepare) => {
  it.each(KIND_NAMES)("of a key of %s is the same when each alarm rings twice", async (kind) => {
    const once = await live(kind, prepare, ring);
    // Or cron would go on with the first keyring, too.
    await reset();
    const twice = await live(kind, prepare, ringTwice);
    expect(twice).toEqual(once);
    expect(once.calls.length).toBeGreaterThan(2);
  });
});

const CALLS: [KindName, CallName][] = [
  ["lab-ours-find", "preflight"],
  ["lab-ours-find", "mint"],
  ["lab-ours-find", "test"],
  ["lab-provider-find", "mint"],
  ["lab-none-test", "mint"],
];

it.each(CALLS)(
  "while a call of %s to %s is on its way, no alarm starts a second one, whatever its clock says",
  async (kind, call) => {
    const stage = await openStage(kind);
    const release = stage.service.hold(call, "after");
    await stage.scene.rotate();
    await stage.reachesService(call);
    for (let times = 0; times < 2; times++) {
      // Past the lease, which counts for an object that died, and not for this one.
      pass("50s");
      await inside(stage.scene, (_, state) => state.storage.setAlarm(Date.now()));
      await startAlarm(stage.scene);
    }
    expect(stage.calls(call)).toBe(1);
    release();
    await quiet(stage.scene);
    expect(stage.calls("mint")).toBe(1);
    await eventually(async () => expect((await stage.rotation()).state).toBe("succeeded"));
  },
);

/** One rotation and what follows it. */
async function live(
  kind: KindName,
  prepare: (stage: Stage) => void,
  ringIt: (scene: Scene) => Promise<void>,
): Promise<{ calls: string[]; stages: string[]; state: string; events: string[]; wrong: string[] }> {
  const stage = await openStage(kind);
  prepare(stage);
  await stage.scene.rotate();
  await quiet(stage.scene);
  await stage.runUntil(Date.now() + 30 * MINUTE_MS, ringIt);
  await stage.runUntil(Date.now() + DAY_MS, ringIt);
  const { live: isLive, state } = await stage.rotation();
  return {
    // What is sent at the same moment has no order.
    calls: stage.scene.journal.map((text) => text.replace(/find rekey-.*-/, "find marker ")).toSorted(),
    stages: await stage.scene.stages(),
    state: isLive ? `live, ${state}` : state,
    events: (await stage.scene.events()).map(({ type }) => type).toSorted(),
    wrong: await stage.disagreements(),
  };
}

/** Rings the alarm, sets it again as a platform that lost its memory of it would, and rings it once more. */
async function ringTwice(scene: Scene): Promise<void> {
  for (let times = 0; times < 2; times++) {
    await inside(scene, (_, state) => state.storage.setAlarm(Date.now()));
    await ring(scene);
  }
}
