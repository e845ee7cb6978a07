/** The object is evicted, or dies, wherever a rotation or a version can stand: it goes on from there, and the end is the right one. */
import "../lab/register-in-tests.ts";

import { describe, expect, it } from "vitest";
import { type Abilities, KIND_NAMES, KINDS, type KindName } from "../lab/kinds.ts";
import { type End, MOMENTS, type Moment, type Resolver, resolverOf } from "./moments.ts";
import { createKey, DAY_MS, openEmptyStage, openStage, type Stage } from "./stage.ts";

const STAGES: Record<End, string[]> = {
  rotated: ["revoked", "current"],
  "rotated, one discarded": ["revoked", "discarded", "current"],
  "rotated, one discarded last": ["revoked", "current", "discarded"],
  "put back": ["current", "discarded"],
  lost: ["revoked", "lost"],
  "needs a person": ["current"],
};

const ASKS = { rotation: "needs-human", live: true, key: "pending", stages: [] };
const AGAIN = { rotation: "succeeded", live: false, key: "active", stages: ["discarded", "current"] };

/** What becomes of a key whose first value was made and lost on its way. */
const FIRST_VALUES: Record<Resolver, (kind: KindName) => object> = {
  find: () => AGAIN,
  list: () => AGAIN,
  repeat(kind) {
    const { overlap, conflicts = false }: Abilities = KINDS[kind];
    if (!conflicts) return { ...AGAIN, stages: ["current"] };
    return overlap === "none" ? { rotation: "failed", live: false, key: "lost", stages: ["lost"] } : ASKS;
  },
  "old value": () => ASKS,
  nobody: () => ASKS,
};

describe.each(Object.entries(MOMENTS))("at %s", (_, moment) => {
  const death = moment.inFlight ? "crashes" : "is evicted";

  it.each(moment.kinds)(`a keyring with a key of %s that ${death} goes on`, async (kind) => {
    const stage = await openStage(kind);
    await moment.reach(stage);
    if (moment.inFlight) {
      await stage.crash();
    } else {
      await expectToStand(stage, moment);
      await stage.evict();
    }
    await expectToStand(stage, moment);
    stage.release();
    await stage.heal();
    await stage.runFor(2 * DAY_MS);
    await expectEnd(stage, moment.end(kind));
  });
});

describe("while a first value is being made", () => {
  it.each(KIND_NAMES)(
    "a keyring with a key of %s that crashes settles it without an old value",
    async (kind) => {
      const stage = await openEmptyStage(kind);
      stage.release = stage.service.hold("mint", "after");
      await createKey(stage);
      await stage.reachesService("mint");
      await stage.crash();
      expect(await stage.scene.read()).toMatchObject({
        state: "pending",
        currentVersion: null,
        versions: [],
      });
      stage.release();
      await stage.heal();
      await stage.runFor(2 * DAY_MS);

      const { state, live, problem } = await stage.rotation();
      const { state: keyState } = await stage.scene.read();
      const found = { rotation: state, live, key: keyState, stages: await stage.scene.stages() };
      expect({ ...found, problem }).toMatchObject(FIRST_VALUES[resolverOf(kind)](kind));
      expect(await stage.disagreements()).toEqual(
        live ? ["ref-1 lives at the service and is unknown here"] : [],
      );
    },
  );
});

async function expectToStand({ scene }: Stage, { stands, stages }: Moment): Promise<void> {
  if (stands) expect((await scene.rotations())[0]).toMatchObject(stands);
  if (stages) expect(await scene.stages()).toEqual(stages);
}

async function expectEnd(stage: Stage, end: End): Promise<void> {
  const rotation = await stage.rotation();
  const { state } = await stage.scene.read();
  const disagreements = await stage.disagreements();
  expect({ end, problem: rotation.problem, stages: await stage.scene.stages() }).toMatchObject({
    stages: STAGES[end],
  });
  expect(await stage.scene.rotations()).toHaveLength(1);
  if (end === "needs a person") {
    expect(rotation).toMatchObject({ live: true, state: "needs-human" });
    expect(await stage.scene.events("key.rotation.needs-human")).toHaveLength(1);
    // What nobody can name is nowhere but in this rotation; where the service ends the old value by itself, it has done so.
    const live = stage.service.live();
    if (KINDS[stage.kind].overlap === "ours") expect(live).toContain("ref-1");
    const isGone = (reference: string) => reference === "ref-1" && !live.includes(reference);
    expect(disagreements.filter((text) => !isGone(text.split(" ")[0] ?? ""))).toEqual(
      live
        .filter((reference) => reference !== "ref-1")
        .map((reference) => `${reference} lives at the service and is unknown here`),
    );
    return;
  }
  const wanted = { lost: "lost" }[end as string] ?? "active";
  expect(state).toBe(wanted);
  expect(rotation).toMatchObject({ live: false, state: end.startsWith("rotated") ? "succeeded" : "failed" });
  expect(disagreements).toEqual([]);
}
