/** What a person may do when the engine cannot go on by itself. */
import { describe, expect, it } from "vitest";
import { revokeKey } from "../../src/keyring/operations/keys.ts";
import {
  abandonRotation,
  abandonVersion,
  cancelRotation,
  retryRotation,
} from "../../src/rotation/interventions.ts";
import type { RotationRow } from "../../src/store/rotations.ts";
import { DAY_MS, HOUR_MS, open, ROOT, type Run, rotate } from "./scene.ts";

function latest({ simulator }: Run): RotationRow {
  const [rotation] = simulator.store.rotations.list("key_scripted", "", 1);
  if (!rotation) throw new Error("no rotation");
  return rotation;
}

function stages({ simulator }: Run): string[] {
  return simulator.store.versions.ofKey("key_scripted").map((version) => version.stage);
}

/** A mint whose answer was lost, at a service that cannot say what happened. */
async function inDoubt(): Promise<Run> {
  const run: Run = open({ overlap: "ours" }, (_, name) =>
    name === "mint" && !answered ? "answer-lost" : undefined,
  );
  let answered = false;
  run.simulator.act(rotate);
  await run.simulator.runFor(HOUR_MS);
  answered = true;
  return run;
}

describe("a mint in doubt that nobody but a person can settle", () => {
  it("waits, is never repeated by itself, and says so once", async () => {
    const run = await inDoubt();
    await run.simulator.runFor(3 * DAY_MS);
    expect(latest(run)).toMatchObject({ live: true, state: "needs-human", step: "settle" });
    expect(run.simulator.calls.filter((name) => name === "mint")).toHaveLength(1);
    const told = run.simulator.store.events.page({ type: "key.rotation.needs-human" }, Infinity, 10);
    expect(told.rows).toHaveLength(1);
  });

  it("is minted again when a person says that nothing is there", async () => {
    const run = await inDoubt();
    run.simulator.act((context) => retryRotation(context, latest(run)));
    await run.simulator.runFor(DAY_MS);
    expect(latest(run).state).toBe("succeeded");
    expect(stages(run)).toEqual(["revoked", "current"]);
  });

  it("ends with a lost version on record when a person gives up, and the old value stays", async () => {
    const run = await inDoubt();
    run.simulator.act((context) => abandonRotation(context, latest(run), "root"));
    await run.simulator.runFor(HOUR_MS);
    expect(latest(run)).toMatchObject({ live: false, state: "failed", problem: "given up by root" });
    expect(stages(run)).toEqual(["current", "lost"]);
  });
});

describe("cancelling", () => {
  it("is refused once a service that ends the old value by itself was asked for a new one", async () => {
    const run = open({ overlap: "none" }, (_, name) =>
      name.endsWith("version.ready") ? "server-error" : undefined,
    );
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS);
    const refused = run.simulator.act((context) => cancelRotation(context, latest(run), "root"));
    expect(refused).toEqual({ ok: false, error: { code: "forward-only" } });
    expect(latest(run).live).toBe(true);
  });

  it("is refused when the rotation is over", async () => {
    const run = open({ overlap: "ours", find: true }, () => undefined);
    run.simulator.act(rotate);
    await run.simulator.runFor(DAY_MS);
    for (const act of [cancelRotation, abandonRotation]) {
      const refused = run.simulator.act((context) => act(context, latest(run), "root"));
      expect(refused).toEqual({ ok: false, error: { code: "rotation-ended" } });
    }
  });
});

describe("a revocation that does not succeed", () => {
  it("is tried for ever, and given up only by a person, who is named in the history", async () => {
    const run = open({ overlap: "ours", find: true }, (_, name) =>
      name === "revoke" ? "refused" : undefined,
    );
    run.simulator.act(rotate);
    await run.simulator.runFor(20 * DAY_MS);
    expect(stages(run)).toEqual(["revoking", "current"]);
    const tries = run.simulator.calls.filter((name) => name === "revoke").length;
    await run.simulator.runFor(5 * DAY_MS);
    expect(run.simulator.calls.filter((name) => name === "revoke").length).toBeGreaterThanOrEqual(tries + 4);

    run.simulator.act((context) => {
      const old = context.store.versions.byNumber("key_scripted", 1);
      return old && abandonVersion(context, old, "root");
    });
    const [old] = run.simulator.store.versions.ofKey("key_scripted");
    expect(old).toMatchObject({ stage: "revoked", confirmed: false, sealed: null, dueAt: null });
    const [event] = run.simulator.store.events.page({ type: "key.revoked" }, Infinity, 1).rows;
    expect(event).toMatchObject({ actor: "root" });
    expect(JSON.parse(event?.data ?? "{}")).toMatchObject({ version: 1, confirmed: false, abandoned: true });
  });
});

describe("revoking a new version that some places have already", () => {
  it("gives them back the old one, where the service would end that by itself and makes no other", async () => {
    let isDown = false;
    const run = open({ overlap: "provider", find: true }, (_, name) => {
      if (name === "preflight" && isDown) return "server-error";
      return name.endsWith("version.ready") ? "server-error" : undefined;
    });
    const stored = () => run.world.stored.get("billing");
    const [first] = run.service.credentials;
    run.simulator.act(rotate);
    await run.simulator.runFor(60_000);
    expect(stored()).toBe(run.service.credentials[1]?.secret);
    isDown = true;
    const { keyIds, simulator } = run;
    simulator.act((context) => {
      revokeKey(context, ROOT, keyIds[0] ?? "", { reason: "by hand", version: 2 });
    });
    await simulator.runFor(5 * 60_000);
    expect(stages(run)).toEqual(["current", "discarded"]);
    expect(stored()).toBe(first?.secret);
    expect(latest(run)).toMatchObject({ live: true, step: "preflight" });
  });
});
