/** When an old version counts as dead, and what is said when nobody can know. */
import { describe, expect, it } from "vitest";
import { revokeKey } from "../../src/keyring/operations/keys.ts";
import { DAY_MS, findBroken, HOUR_MS, open, ROOT, type Run, rotate } from "./scene.ts";
import type { Abilities } from "./service.ts";

function old({ simulator }: Run) {
  return simulator.store.versions.byNumber("key_scripted", 1);
}

describe("a service that can neither test nor list", () => {
  it("has its old value called revoked but not confirmed, and the history says so", async () => {
    const run = open({ overlap: "ours", find: true, test: false }, () => undefined);
    run.simulator.act(rotate);
    await run.simulator.runFor(DAY_MS);
    expect(old(run)).toMatchObject({ stage: "revoked", confirmed: false });
    expect(run.service.live()).toEqual(["ref-2"]);
    const [event] = run.simulator.store.events.page({ type: "key.revoked" }, Infinity, 1).rows;
    expect(JSON.parse(event?.data ?? "{}")).toMatchObject({ version: 1, confirmed: false });
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a service that can neither revoke nor test nor list", () => {
  it("has what a person revoked stay on its way out, in everybody's sight", async () => {
    const run = open({ overlap: "none", test: false }, () => undefined);
    run.simulator.act((context) => revokeKey(context, ROOT, "billing", { reason: "test" }));
    await run.simulator.runFor(30 * DAY_MS);
    expect(old(run)).toMatchObject({ stage: "revoking", confirmed: false, dueAt: expect.any(Number) });
    expect(run.simulator.store.events.page({ type: "key.revoked" }, Infinity, 1).rows).toEqual([]);
    expect(run.simulator.store.events.page({ type: "key.revocation.stuck" }, Infinity, 9).rows).toHaveLength(
      1,
    );
  });
});

describe("a service that ends the old value at a time of its own", () => {
  it.each(["find", "list"] as const)("is never asked to end it before that time (%s)", async (ability) => {
    const run = open({ overlap: "provider", [ability]: true }, () => undefined);
    run.simulator.act(rotate);
    await run.simulator.runFor(HOUR_MS / 2);
    expect(old(run)?.stage).toBe("previous");
    await run.simulator.runFor(DAY_MS);
    expect(run.simulator.calls).not.toContain("revoke");
    expect(old(run)).toMatchObject({ stage: "revoked", confirmed: true });
    expect(findBroken(run)).toEqual([]);
  });
});

describe("a service that takes a revocation and goes on accepting the old value", () => {
  it.each<[string, Abilities]>([
    ["its test", { overlap: "ours", find: true }],
    ["its list, as there is no test,", { overlap: "ours", list: true, test: false }],
  ])("is not believed until %s says that the value is dead", async (_, abilities) => {
    let forgets = false;
    const run: Run = open(abilities, (_, name) => {
      const [first] = run.service.credentials;
      if (name === "revoke" && first && !forgets) {
        run.simulator.after(75, () => {
          first.endsAt = Infinity;
        });
      }
      return undefined;
    });
    run.simulator.act(rotate);
    await run.simulator.runFor(3 * HOUR_MS);
    expect(old(run)).toMatchObject({ stage: "revoking", confirmed: false });
    expect(run.simulator.store.events.page({ type: "key.revoked" }, Infinity, 1).rows).toEqual([]);
    forgets = true;
    await run.simulator.runFor(2 * DAY_MS);
    expect(old(run)).toMatchObject({ stage: "revoked", confirmed: true });
    expect(run.service.live()).toEqual(["ref-2"]);
    expect(findBroken(run)).toEqual([]);
  });
});
