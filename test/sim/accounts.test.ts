/** Whoever has the account behind a key changes what opens it, or which account it is, at any moment of a rotation. */
import { describe, expect, it } from "vitest";
import { changeAdmin } from "./people.ts";
import { DAY_MS, findBroken, HONEST, KEY, KINDS, open, type Run, rotate, runRotation } from "./scene.ts";
import type { Abilities } from "./service.ts";

/** A new credential for the same account; the first one is withdrawn once nothing can need it any more. */
async function changeCredential(run: Run): Promise<boolean> {
  const isTaken = await changeAdmin(run, "admin-two");
  if (isTaken && run.service.abilities.tellsAccount) run.service.admins.get("main")?.delete("admin-one");
  return isTaken;
}

async function changeAccount(run: Run): Promise<boolean> {
  return changeAdmin(run, "admin-two", "other");
}

/** Runs a rotation in which the change comes some time after a call, and then another one. */
async function runWith(
  abilities: Abilities,
  change: (run: Run) => Promise<boolean>,
  at: number,
  delayMs: number,
): Promise<string[]> {
  let changing: Promise<boolean> | undefined;
  const run: Run = open(abilities, (index) => {
    if (index === at && !changing)
      run.simulator.after(delayMs, () => {
        changing = change(run);
      });
    return undefined;
  });
  await runRotation(run);
  const isTaken = await changing;
  const broken = findBroken(run);
  if (!run.simulator.store.rotations.live(KEY)) {
    run.simulator.act(rotate);
    await run.simulator.runFor(2 * DAY_MS);
    broken.push(...findBroken(run).map((text) => `and then: ${text}`));
  }
  return isTaken ? broken : ["the change was not taken", ...broken];
}

const SERVICES = HONEST.flatMap((kind): [string, string, Abilities][] => {
  const abilities: Abilities = { overlap: "ours", ...KINDS[kind], connects: true };
  return [
    [kind, "one account whatever the credential", { ...abilities, tellsAccount: true }],
    [kind, "nothing of whose it is", { ...abilities, tellsAccount: false }],
  ];
});

describe.each(SERVICES)("a key of a service with overlap %s that tells %s", (_kind, _tells, abilities) => {
  it.each([
    ["another credential of the same account", changeCredential],
    ["another account", changeAccount],
  ])("keeps its promises when its connection gets %s at each call", async (_, change) => {
    const calm = open(abilities, () => undefined);
    await runRotation(calm);
    expect(findBroken(calm)).toEqual([]);
    const broken: string[] = [];
    for (const [at, call] of calm.simulator.calls.entries()) {
      for (const delayMs of [25, 75]) {
        const found = await runWith(abilities, change, at, delayMs);
        broken.push(...found.map((text) => `${delayMs} ms after ${at} (${call}): ${text}`));
      }
    }
    expect(broken).toEqual([]);
  });
});
