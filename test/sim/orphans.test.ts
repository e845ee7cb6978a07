/** What a call to mint may leave at a service: nothing is made again too early, nothing of a person's is touched, what comes late dies. */
import { describe, expect, it } from "vitest";
import { cancelRotation } from "../../src/rotation/interventions.ts";
import { DAY_MS, findBroken, givePolicy, HOUR_MS, open, type Run, rotate } from "./scene.ts";
import { OUR_LABEL, PERSON } from "./service.ts";

const SECOND_MS = 1_000;

/** Starts a rotation once cron has come, so that the time is believed. */
async function begin({ simulator }: Run): Promise<void> {
  await simulator.runFor(HOUR_MS);
  simulator.act(rotate);
}

function stages({ simulator }: Run): string[] {
  return simulator.store.versions.ofKey("key_scripted").map(({ stage }) => stage);
}

describe("a mint in doubt", () => {
  it("is looked for at once, and not made again before its call can no longer be running", async () => {
    const mintedAt: number[] = [];
    const run: Run = open({ overlap: "ours", find: true, propagationMs: 30_000 }, (_, name) => {
      if (name !== "mint") return undefined;
      mintedAt.push(run.simulator.now);
      return mintedAt.length === 1 ? "server-error" : undefined;
    });
    await begin(run);
    await run.simulator.runFor(SECOND_MS);
    expect(run.simulator.calls).toContain("find");
    await run.simulator.runFor(DAY_MS);
    const [first = 0, second = 0, ...more] = mintedAt;
    expect(more).toEqual([]);
    // Twice the time-out and the propagation window.
    expect(second - first).toBeGreaterThanOrEqual(60 * SECOND_MS);
    expect(findBroken(run)).toEqual([]);
  });

  it("is the only key that appeared, where the service can only list: it is revoked and made again", async () => {
    let mints = 0;
    const run: Run = open({ overlap: "ours", list: true }, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "answer-lost" : undefined;
    });
    await begin(run);
    await run.simulator.runFor(DAY_MS);
    expect(run.service.live()).toEqual(["ref-3"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("has begun the service's own time for the old key, which is believed and not the grace that nobody asked for", async () => {
    let mints = 0;
    const kind = { overlap: "provider", find: true, oldLastsMs: HOUR_MS } as const;
    const run: Run = open(kind, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "answer-lost" : undefined;
    });
    givePolicy(run, { grace: "20h" });
    await begin(run);
    await run.simulator.runFor(10 * 60 * SECOND_MS);
    const { endsAt = 0 } = run.service.credentials[0] ?? {};
    const old = run.simulator.store.versions.byNumber("key_scripted", 1);
    expect(Math.abs((old?.graceEndsAt ?? 0) - endsAt)).toBeLessThan(60 * SECOND_MS);
    await run.simulator.runFor(2 * DAY_MS);
    expect(stages(run)).toEqual(["revoked", "discarded", "current"]);
    expect(findBroken(run)).toEqual([]);
  });

  it("is left to a person when two such keys appeared, and neither is touched", async () => {
    const run: Run = open({ overlap: "ours", list: true }, (_, name) =>
      name === "mint" ? "answer-lost" : undefined,
    );
    await begin(run);
    await run.simulator.runFor(SECOND_MS);
    const { reference } = run.service.make(PERSON, OUR_LABEL);
    await run.simulator.runFor(DAY_MS);
    expect(run.simulator.store.rotations.live("key_scripted")).toMatchObject({
      step: "settle",
      state: "needs-human",
    });
    expect(run.simulator.calls).not.toContain("revoke");
    expect(run.service.live()).toEqual(["ref-1", "ref-2"]);
    expect(run.service.credentials.find((one) => one.reference === reference)?.endsAt).toBe(Infinity);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a mint that answers after its rotation was cancelled", () => {
  it("has what it made revoked, even at a service that could not have told of it", async () => {
    const run: Run = open({ overlap: "ours" }, (_, name) => {
      if (name === "mint") {
        run.simulator.after(25, () =>
          run.simulator.act((context) => {
            const rotation = context.store.rotations.live("key_scripted");
            if (rotation) cancelRotation(context, rotation, "root");
          }),
        );
      }
      return undefined;
    });
    await begin(run);
    await run.simulator.runFor(DAY_MS);
    expect(run.service.credentials).toHaveLength(2);
    expect(run.service.live()).toEqual(["ref-1"]);
    expect(stages(run)).toEqual(["current", "discarded"]);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a mint without overlap that did not happen", () => {
  it("is made again only when every destination answers once more", async () => {
    let mints = 0;
    const run: Run = open({ overlap: "none" }, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "timeout-no-effect" : undefined;
    });
    await begin(run);
    await run.simulator.runFor(SECOND_MS);
    expect(mints).toBe(1);
    run.world.down.add("one.acme.dev");
    await run.simulator.runFor(600 * SECOND_MS);
    expect(run.simulator.store.rotations.live("key_scripted")).toMatchObject({ state: "blocked" });
    expect(mints).toBe(1);
    run.world.down.clear();
    await run.simulator.runFor(DAY_MS);
    expect(mints).toBe(2);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a mint that lands after a person made a key of the same name, where the service can only list", () => {
  it.each([
    ["ours", 2],
    // The service ended the old one by itself.
    ["provider", 1],
  ] as const)("is never taken for that one, with overlap %s", async (overlap, alive) => {
    let mints = 0;
    const run: Run = open({ overlap, list: true }, (_, name) => {
      if (name !== "mint") return undefined;
      mints += 1;
      return mints === 1 ? "answer-lost-lands-late" : undefined;
    });
    await begin(run);
    await run.simulator.runFor(SECOND_MS);
    run.service.make(PERSON, OUR_LABEL);
    await run.simulator.runFor(3 * DAY_MS);
    const [rotation] = run.simulator.store.rotations.list("key_scripted", "", 1);
    expect(rotation?.state).toBe("needs-human");
    expect(run.service.live()).toHaveLength(alive);
    expect([...run.simulator.broken, ...run.service.broken]).toEqual([]);
  });
});

describe("a mint that only a person can settle, at a service that ends the old value by itself", () => {
  it("puts the key at risk, and says so at once", async () => {
    const run: Run = open({ overlap: "provider", list: true }, (_, name) =>
      name === "mint" ? "timeout-took-effect" : undefined,
    );
    await begin(run);
    await run.simulator.runFor(SECOND_MS / 10);
    run.service.make(PERSON, OUR_LABEL);
    await run.simulator.runFor(HOUR_MS / 2);
    const types = run.simulator.store.events
      .page({}, Number.POSITIVE_INFINITY, 20)
      .rows.map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["key.rotation.needs-human", "key.at-risk"]));
    await run.simulator.runFor(3 * DAY_MS);
    expect(run.simulator.broken).toEqual([]);
  });
});
