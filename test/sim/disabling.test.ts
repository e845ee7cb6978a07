/** A service that can refuse a value which it still keeps: that comes first, so that a revocation which fails leaves nothing open. */
import { describe, expect, it } from "vitest";
import { compromiseVersion } from "../../src/rotation/compromise.ts";
import { DAY_MS, findBroken, HOUR_MS, open, type Run, rotate } from "./scene.ts";
import type { Fault } from "./simulator.ts";

const LEAK = { source: "a test", actor: "root" };

/** A key whose first version is past its grace, with what goes wrong at each of the calls that end it. */
async function retired(...plans: [call: string, ...faults: (Fault | undefined)[]][]): Promise<Run> {
  const left = new Map(plans.map(([call, ...faults]) => [call, faults]));
  const run = open({ overlap: "ours", find: true, disables: true }, (_, name) => left.get(name)?.shift());
  run.simulator.act(rotate);
  await run.simulator.runFor(2 * HOUR_MS);
  return run;
}

const endings = ({ simulator }: Run) =>
  simulator.calls.filter((name) => name === "disable" || name === "revoke");

function old({ simulator }: Run) {
  return simulator.store.versions.byNumber("key_scripted", 1);
}

/** It is gone there, seen dead here, and nothing was broken on the way. */
function expectGone(run: Run): void {
  expect(run.service.live()).toEqual(["ref-2"]);
  expect(old(run)).toMatchObject({ stage: "revoked", confirmed: true });
  expect(findBroken(run)).toEqual([]);
}

describe("a version whose grace is over", () => {
  it("is disabled, then revoked", async () => {
    const run = await retired();
    expect(endings(run)).toEqual(["disable", "revoke"]);
    expectGone(run);
  });

  it.each<[string, Parameters<typeof retired>]>([
    ["before it was disabled", [["disable", "crash-before"]]],
    ["after it was disabled", [["disable", "crash-after"]]],
    ["between the two", [["revoke", "crash-before"]]],
    ["after it was revoked", [["revoke", "crash-after"]]],
    [
      "at each of them",
      [
        ["disable", "crash-after", "crash-before"],
        ["revoke", "crash-before", "crash-after"],
      ],
    ],
  ])("is both again after a crash %s", async (_, plans) => {
    const run = await retired(...plans);
    expect(endings(run).slice(-2)).toEqual(["disable", "revoke"]);
    expectGone(run);
  });

  it("is refused while the revocation fails, and is not thought dead before the service has deleted it", async () => {
    const run = await retired(["revoke", ...Array<Fault>(6).fill("server-error")]);
    const [first] = run.service.credentials;
    expect(run.service.accepts(first?.secret ?? "")).toBe(false);
    expect(run.service.live()).toEqual(["ref-1", "ref-2"]);
    expect(old(run)).toMatchObject({ stage: "revoking", serviceRevokedAt: null });
    await run.simulator.runFor(2 * DAY_MS);
    expectGone(run);
  });

  it.each<Fault>(["refused", "server-error", "timeout-no-effect", "answer-lost", "garbage"])(
    "is revoked although disabling it ends in %s",
    async (fault) => {
      const run = await retired(["disable", ...Array<Fault>(9).fill(fault)]);
      expect(endings(run)).toEqual(["disable", "revoke"]);
      expectGone(run);
    },
  );
});

describe("a version that leaked in its grace", () => {
  it("is disabled and revoked at once, in that order", async () => {
    const run = open({ overlap: "ours", find: true, disables: true }, () => undefined);
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS / 2);
    expect(endings(run)).toEqual([]);
    run.simulator.act((context) => {
      const version = context.store.versions.byNumber("key_scripted", 1);
      if (version) compromiseVersion(context, version, LEAK);
    });
    await run.simulator.runFor(10_000);
    expect(endings(run)).toEqual(["disable", "revoke"]);
    expectGone(run);
  });
});
