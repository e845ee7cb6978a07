/** Graces that a person lengthens or ends, by who keeps the old value alive. */
import { describe, expect, it } from "vitest";
import type { EngineContext } from "../../src/rotation/context.ts";
import { extendGrace, finishGrace } from "../../src/rotation/interventions.ts";
import { findBroken, HOUR_MS, open, type Run, rotate } from "./scene.ts";
import type { Abilities } from "./service.ts";

/** A key that was rotated half an hour ago; its policy leaves version 1 an hour. */
async function rotated(abilities: Abilities): Promise<Run> {
  const run = open(abilities, () => undefined);
  await run.simulator.runFor(HOUR_MS);
  run.simulator.act(rotate);
  await run.simulator.runFor(HOUR_MS / 2);
  return run;
}

function onFirst<T>(
  { simulator }: Run,
  act: (
    context: EngineContext,
    key: Parameters<typeof extendGrace>[1],
    version: Parameters<typeof extendGrace>[2],
  ) => T,
): T {
  return simulator.act((context) => {
    const key = context.store.keys.get("key_scripted");
    const version = context.store.versions.byNumber("key_scripted", 1);
    if (!key || !version) throw new Error("no key");
    return act(context, key, version);
  });
}

const stages = ({ simulator }: Run) =>
  simulator.store.versions.ofKey("key_scripted").map(({ stage }) => stage);

describe("a grace that is ours", () => {
  it("that is lengthened keeps the old value alive until its new end, and no longer", async () => {
    const run = await rotated({ overlap: "ours", find: true });
    const [old] = run.service.credentials;
    expect(onFirst(run, (context, key, version) => extendGrace(context, key, version, "3h", "root")).ok).toBe(
      true,
    );
    await run.simulator.runFor(3 * HOUR_MS - 60_000);
    expect(run.service.accepts(old?.secret ?? "")).toBe(true);
    await run.simulator.runFor(HOUR_MS);
    expect(run.service.accepts(old?.secret ?? "")).toBe(false);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a grace that the service keeps", () => {
  it("cannot be lengthened", async () => {
    const run = await rotated({ overlap: "provider", find: true });
    const refused = onFirst(run, (context, key, version) => extendGrace(context, key, version, "3h", "root"));
    expect(refused).toEqual({ ok: false, error: { code: "forward-only" } });
  });

  it("is ended by a call to the service", async () => {
    const run = await rotated({ overlap: "provider", find: true });
    const [old] = run.service.credentials;
    expect(run.service.accepts(old?.secret ?? "")).toBe(true);
    expect(onFirst(run, (context, key, version) => finishGrace(context, key, version, "root")).ok).toBe(true);
    await run.simulator.runFor(60_000);
    expect(run.simulator.calls.filter((name) => name === "revoke")).toHaveLength(1);
    expect(run.service.accepts(old?.secret ?? "")).toBe(false);
    expect(stages(run)).toEqual(["revoked", "current"]);
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a service without overlap", () => {
  it("leaves no grace to lengthen or to end", async () => {
    const run = await rotated({ overlap: "none" });
    const extended = onFirst(run, (context, key, version) =>
      extendGrace(context, key, version, "3h", "root"),
    );
    const finished = onFirst(run, (context, key, version) => finishGrace(context, key, version, "root"));
    expect([extended, finished]).toEqual([
      { ok: false, error: { code: "forward-only" } },
      { ok: false, error: { code: "not-in-grace" } },
    ]);
  });
});
