/** The order of outside calls, for each kind of overlap, over a whole life: from preflight to the proof that the old value is dead. */
import "../lab/register-in-tests.ts";

import { describe, expect, it } from "vitest";
import { quiet } from "../support/inside.ts";
import { DAY_MS, MINUTE_MS, openStage, type Stage } from "./stage.ts";

describe("with an overlap of ours", () => {
  it("the old value is revoked when its grace is over, and then seen dead", async () => {
    const stage = await openStage("lab-ours-find");
    expect(await rotate(stage)).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
      "service: test ref-2",
      "KEYS: put billing",
      "hook: key.version.ready v2 r2",
    ]);
    expect(await goOn(stage, DAY_MS)).toEqual(["service: revoke ref-1", "service: test ref-1"]);
  });

  it("a value whose answer was lost is found and revoked, and looked for once more before the end", async () => {
    const stage = await openStage("lab-ours-find");
    stage.service.fail("mint", { kind: "lost-after" });
    const [preflight, ping, mint, find, ...rest] = await rotate(stage);
    expect([preflight, ping, mint, find]).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
      "service: find rekey-rotation-1",
    ]);
    // The orphan goes its own way while everything is looked at anew and another value is made.
    expect(rest.filter((call) => call !== "service: revoke ref-2")).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
      "service: test ref-3",
      "KEYS: put billing",
      "hook: key.version.ready v3 r2",
    ]);
    expect(rest).toContain("service: revoke ref-2");
    expect(await goOn(stage, MINUTE_MS)).toEqual([
      "service: find rekey-rotation-1",
      "service: find rekey-rotation-2",
    ]);
    expect(await goOn(stage, DAY_MS)).toEqual(["service: revoke ref-1", "service: test ref-1"]);
  });

  it("a service without tests is asked for its list, before the mint and when the old value must be gone", async () => {
    const stage = await openStage("lab-ours-list-no-test");
    expect(await rotate(stage)).toEqual([
      "service: preflight billing",
      "service: list billing",
      "hook: ping",
      "service: mint billing",
      "KEYS: put billing",
      "hook: key.version.ready v2 r2",
    ]);
    expect(await goOn(stage, DAY_MS)).toEqual(["service: revoke ref-1", "service: list billing"]);
  });
});

describe("with an overlap of the service's own", () => {
  it("nothing is revoked: the old value is seen dead when the service has ended it", async () => {
    const stage = await openStage("lab-provider-find");
    expect(await rotate(stage)).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
      "service: test ref-2",
      "KEYS: put billing",
      "hook: key.version.ready v2 r2",
    ]);
    expect(await goOn(stage, DAY_MS)).toEqual(["service: test ref-1"]);
  });
});

describe("without overlap", () => {
  it("every destination answers before the mint, which ends the old value: it is only seen dead", async () => {
    const stage = await openStage("lab-none-test");
    const calls = await rotate(stage);
    // Both values are tested after the mint, each by itself.
    expect(calls.filter((call) => call !== "service: test ref-1")).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
      "service: test ref-2",
      "KEYS: put billing",
      "hook: key.version.ready v2 r2",
    ]);
    expect(calls.indexOf("service: test ref-1")).toBeGreaterThan(calls.indexOf("service: mint billing"));
    expect(await goOn(stage, DAY_MS)).toEqual([]);
  });

  it("does not mint while a single destination is silent, though it answered a minute ago", async () => {
    const stage = await openStage("lab-none-test");
    await stage.scene.must("POST", "/v1/destinations/hook/test");
    stage.hook.fail(503);
    expect(await rotate(stage)).toEqual(["hook: ping", "service: preflight billing", "hook: ping"]);
    stage.hook.up();
    expect((await goOn(stage, MINUTE_MS)).slice(0, 3)).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
    ]);
  });

  it("a mint whose answer was lost is settled by the old value: tested twice, and everything answers before it is made again", async () => {
    const stage = await openStage("lab-none-test");
    stage.service.fail("mint", { kind: "lost-before" });
    expect(await rotate(stage)).toEqual([
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
    ]);
    const calls = await goOn(stage, MINUTE_MS);
    expect(calls.slice(0, 5)).toEqual([
      "service: test ref-1",
      "service: test ref-1",
      "service: preflight billing",
      "hook: ping",
      "service: mint billing",
    ]);
    expect(calls).toContain("hook: key.version.ready v2 r2");
  });
});

async function rotate(stage: Stage): Promise<string[]> {
  await stage.scene.rotate();
  await quiet(stage.scene);
  return takeCalls(stage);
}

async function goOn(stage: Stage, durationMs: number): Promise<string[]> {
  await stage.runFor(durationMs);
  expect(await stage.disagreements()).toEqual([]);
  return takeCalls(stage);
}

/** What was called since it was asked last. Deliveries go out together: here they stand in the order of their names. */
function takeCalls({ scene }: Stage): string[] {
  const calls = scene.journal.splice(0);
  const isDelivery = (call: string) => call.startsWith("KEYS: put") || call.startsWith("hook: key.");
  const first = calls.findIndex(isDelivery);
  const deliveries = calls.filter(isDelivery).toSorted();
  return first < 0
    ? calls
    : [...calls.slice(0, first), ...deliveries, ...calls.slice(first).filter((call) => !isDelivery(call))];
}
