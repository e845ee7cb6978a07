/** What stands before a tool that destroys: the pace, the word, and the grace of who rotates itself. */
import { describe, expect, it, vi } from "vitest";
import { CONFIRMED, type McpCaller, makeMcpScene, oldSchema } from "./caller.ts";

const HOUR_MS = 3_600_000;

describe("a caller who rotates itself", () => {
  it("never has less grace than its policy gives, hears until when it lives, and goes back by the old value", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const answer = await caller.done("rotate_api_key", { gracePeriodHours: 0, ...CONFIRMED });
    const { old } = oldSchema.parse(answer.data);
    expect(Date.parse(old.endsAt)).toBeGreaterThan(Date.now() + 23 * HOUR_MS);
    expect(answer.data).toMatchObject({ isOwnKey: true, graceSeconds: 86_400 });
    expect(answer.warnings.join(" ")).toContain("nobody shortens the grace of their own access key");
    // It was just replaced: it may go back, and ends nothing.
    expect(answer.actions.map(({ tool }) => tool)).toEqual(["rollback_key"]);
    expect(await caller.refusal("rotate_api_key", CONFIRMED)).toBe("cooldown");
    const finish = { key: caller.id, version: old.version };
    expect(await caller.refusal("finish_grace_period", finish)).toBe("caller-cooldown");
    await caller.done("rollback_key", { key: caller.id, reason: "a try" });
  });
});

describe("calls that destroy", () => {
  it("are five a minute for one caller, and say when the next one is taken", async () => {
    const scene = await makeMcpScene();
    const [caller, other] = [await scene.caller(), await scene.caller()];
    await scene.key({ name: "one", provider: "issuer" });
    await scene.key({ name: "gone", provider: "issuer" });
    const revoke = (by: McpCaller) =>
      by.refusal("revoke_api_key", { key: "gone", reason: "a try", confirm: "revoke-now" });
    for (let time = 0; time < 5; time++) expect(await revoke(caller)).toBeUndefined();
    const { error } = await caller.tool("rotate_api_key", { key: "one", ...CONFIRMED });
    expect(error?.code).toBe("too-destructive");
    const retryAt = Date.parse(error?.retryAt ?? "");
    expect(retryAt).toBeGreaterThan(Date.now());
    expect(retryAt).toBeLessThanOrEqual(Date.now() + 60_000);
    // What destroys nothing goes on, and so do others.
    await caller.done("get_api_key", { key: "one" });
    await caller.done("rotate_api_key", { key: "one", dryRun: true });
    expect(await caller.refusal("rotate_api_key", { key: "one" })).toBe("confirmation-missing");
    await other.done("rotate_api_key", { key: "one", ...CONFIRMED });
    const later = vi.spyOn(Date, "now").mockReturnValue(retryAt);
    expect(await revoke(caller)).toBeUndefined();
    later.mockRestore();
  });

  it("do nothing without their word, and say which, with the key that was meant", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { id } = await scene.key({ name: "one", provider: "issuer" });
    const hours = { gracePeriodHours: 2, reveal: "claim", reason: "old" };
    const words: [name: string, args: Record<string, unknown>, word: string, proposed?: object][] = [
      ["rotate_api_key", { key: "one", ...hours }, "rotate-now", { key: id, ...hours }],
      ["rotate_api_key", { key: "one" }, "rotate-now", { key: id, reveal: "claim" }],
      ["revoke_api_key", { key: "one", reason: "a try" }, "revoke-now", { key: id, reason: "a try" }],
      // Where it was seen is never repeated, and there is no report without it.
      ["report_compromised_key", { key: "one", source: "a test" }, "report-compromise"],
    ];
    for (const [name, args, word, proposed] of words) {
      for (const confirm of [undefined, "yes", true, `${word} `]) {
        const { error, actions } = await caller.tool(name, {
          ...args,
          ...(confirm !== undefined && { confirm }),
        });
        expect(error?.code).toBe("confirmation-missing");
        expect(error?.detail).toContain(`"confirm": "${word}"`);
        expect(actions.map(({ tool, args: next }) => [tool, next])).toEqual(
          proposed === undefined ? [] : [[name, { ...proposed, confirm: word }]],
        );
      }
    }
    expect((await caller.done("get_api_key", { key: "one" })).data).toMatchObject({
      key: { currentVersion: 1, versions: [{ number: 1, stage: "current" }] },
    });
  });

  it("propose nothing where what was given as a reason is a value of this keyring", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { id, secret = "" } = await scene.key({ name: "one", provider: "issuer" });
    const revoke = await caller.tool("revoke_api_key", { key: "one", reason: `seen: ${secret}` });
    expect(revoke.actions).toEqual([]);
    expect(revoke.error?.detail).toContain("with the same arguments");
    const rotate = await caller.tool("rotate_api_key", { key: "one", reason: secret });
    expect(rotate.actions[0]?.args).toEqual({ key: id, reveal: "claim", confirm: "rotate-now" });
    const plan = async (reason: string) =>
      (await caller.tool("rotate_api_key", { key: "one", reason, dryRun: true })).actions[0]?.args;
    expect(await plan(secret)).toEqual({ key: id, reveal: "claim", confirm: "rotate-now" });
    expect(await plan("old")).toEqual({ key: id, reveal: "claim", reason: "old", confirm: "rotate-now" });
  });

  it("ask for what becomes of the old value with the grace that was asked", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    await scene.key({ name: "one", provider: "issuer", policy: { grace: "3h" } });
    const asked = async (args: Record<string, unknown>) =>
      (await caller.tool("rotate_api_key", args)).error?.detail;
    expect(await asked({ key: "one" })).toContain("The old value works 3 h more.");
    expect(await asked({ key: "one", gracePeriodHours: 48 })).toContain("works 48 h more.");
    expect(await asked({ key: "one", gracePeriodHours: 0.005 })).toContain("works 1 min more.");
    expect(await asked({ key: "one", gracePeriodHours: 0 })).toContain(
      "stops working as soon as the new one",
    );
    // Nobody shortens their own.
    expect(await asked({ gracePeriodHours: 0 })).toContain("works 24 h more.");
    expect(await asked({ key: "one" })).not.toContain("shown");
    expect(await asked({ key: "one", reveal: "inline" })).toContain("will be shown in this conversation");
  });

  it("give at least a minute of grace unless it is to be none", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    await scene.key({ name: "one", provider: "issuer" });
    const { data } = await caller.done("rotate_api_key", {
      key: "one",
      gracePeriodHours: 0.005,
      ...CONFIRMED,
    });
    expect(data).toMatchObject({ graceSeconds: 60, old: { stage: "previous" } });
    const none = await caller.done("rotate_api_key", { key: "one", gracePeriodHours: 0, ...CONFIRMED });
    expect(none.data).toMatchObject({ graceSeconds: 0 });
  });
});
