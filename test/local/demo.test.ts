import { exec } from "node:child_process";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { listProcesses } from "../../src/local/processes.ts";
import { type Running, signalGroup, start, until } from "./support.ts";

const inShell = promisify(exec);

/** Pids of what a demo started: its receiver and its service by their numbers, its runtime by the folder it was given. */
function leftOf(demo: Running): number[] {
  const told = [...demo.output().matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid));
  return listProcesses()
    .filter(
      ({ pid, command }) => told.includes(pid) || command.startsWith(`${tmpdir()}/rekey-demo-${demo.pid}-`),
    )
    .map(({ pid }) => pid);
}

/** A process that was killed takes a moment to be gone. */
async function expectNothingLeft(demo: Running): Promise<void> {
  await until(
    () => (leftOf(demo).length === 0 ? true : undefined),
    5_000,
    () => `left over: ${leftOf(demo).join(", ")}`,
  );
}

it("the demo plays the main job in less than a minute, checks it, stays when asked and prints calls that work", async () => {
  const demo = start("npm", ["run", "demo", "--", "--stay"]);
  await demo.printed(/calls to try[\s\S]*paste-a-value-here/, 60_000);
  const story = demo.output();
  const steps = [
    /✓ Receiver +refused a message signed with another secret/,
    /✓ billing-api +issued/,
    /✓ mobile-app +issued/,
    /✓ legacy-partner +adopted .*31 of 30 days old: overdue/,
    /✓ Receiver +got a signed ping/,
    /✓ Cron trigger +fired, found legacy-partner/,
    /✓ Left alone +billing-api and mobile-app/,
    /✓ Minted +version 2/,
    /✓ Tested +version 2/,
    /✓ Workers KV +holds version 2/,
    /✓ Receiver +holds version 2/,
    /✓ Promoted +version 2 is current/,
    /✓ Both valid +versions 1 and 2/,
    /✓ Refused +version 1: grace-ended/,
    /✓ Revoked +by the alarm/,
    /legacy-partner +1 +revoked +\S+ +grace-ended/,
    /legacy-partner +2 +current +\S+ +valid/,
    /hash chain intact/,
    /checks passed in \d+\.\d s/,
  ];
  const places = steps.map((step) => step.exec(story)?.index ?? -1);
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  const elapsed = [...story.matchAll(/^ +(\d+\.\d)s /gm)].map(([, seconds]) => Number(seconds));
  expect(elapsed).toEqual(elapsed.toSorted((a, b) => a - b));
  expect(elapsed.at(-1)).toBeLessThan(60);
  expect(story).not.toMatch(/[0-9A-Za-z]{40}/);
  expect(story).not.toContain("\u001b");

  const calls = story.match(/^ +curl .*$/gm) ?? [];
  const answers = await Promise.all(calls.map(async (call) => JSON.parse((await inShell(call)).stdout)));
  const [rotated, key, keys, events, chain, made, verdict] = answers;
  expect(rotated.rotation).toMatchObject({ live: false, state: "succeeded", fromVersion: 2, toVersion: 3 });
  expect(key.name).toBe("legacy-partner");
  expect(keys.items.length).toBeGreaterThanOrEqual(3);
  expect(events.items).toHaveLength(5);
  expect(chain.ok).toBe(true);
  expect(made.secret).toMatch(/^rekey_/);
  expect(verdict.code).toBe("unknown");
  await demo.printed(/Receiver +holds version 3 of legacy-partner/);

  signalGroup(demo, "SIGINT");
  expect(await demo.ended).toBe(0);
  await expectNothingLeft(demo);
});

it("a demo that sees something unexpected ends with an error and says what", async () => {
  const demo = start("npm", ["run", "demo"]);
  const [, receiver] = await demo.printed(/✓ Receiver .* process (\d+)/);
  // A receiver that hangs: the first value never gets there.
  process.kill(Number(receiver), "SIGSTOP");
  expect(await demo.ended).toBe(1);
  expect(demo.output()).toMatch(/✗ Unexpected +\S[\s\S]*expected: .*\n +seen: /);
  expect(demo.output()).not.toContain("checks passed");
  await expectNothingLeft(demo);
});

it("a demo whose receiver dies says so", async () => {
  const demo = start("npm", ["run", "demo"]);
  const [, receiver] = await demo.printed(/✓ Receiver .* process (\d+)/);
  await demo.printed(/Cron trigger/);
  process.kill(Number(receiver), "SIGKILL");
  expect(await demo.ended).toBe(1);
  expect(demo.output()).toContain("the receiver's process ended (SIGKILL)");
  await expectNothingLeft(demo);
});

describe("the demo of a key at a service outside", () => {
  const rotateCalls = {
    a2amarket: /POST \/acap\/v1\/agents\/\S+\/rotate-key, answered 200/,
    bitscale: /POST \/api-key\/rotate, answered 200/,
    lightningfaucet: /POST \/ai-agents\/api, answered 200/,
    llmconveyors: /POST \/settings\/platform-api-keys\/\S+\/rotate, answered 200/,
    log10x: /POST \/api\/v1\/user\/rotate-key, answered 200/,
  };

  it.each(Object.entries(rotateCalls))(
    "plays %s against its fake, over HTTP, and checks how the old value ends",
    async (name, call) => {
      const demo = start("npm", ["run", "demo", "--", "--provider", name]);
      expect(await demo.ended).toBe(0);
      const story = demo.output();
      const isKept = name === "llmconveyors";
      const steps = [
        /✓ .* a fake of it, http:\/\/127\.0\.0\.1:\d+, process \d+/,
        /✓ Connection +.* let it in/,
        /✓ service-key +adopted .*31 of 30 days old: overdue/,
        /✓ .* accepts version 1/,
        call,
        /✓ Receiver +holds version 2 .*signature good/,
        /✓ .* accepts version 2/,
        isKept ? /✓ .* accepts version 1 still/ : /✓ .* refuses version 1 since version 2 is there/,
        /✓ Rotated +version 2 is current; .* was asked for one new value, once/,
        ...(isKept ? [/✓ Grace +of version 1 until/, /DELETE \S+, answered 200/] : []),
        /✓ Revoked +version 1, seen to be refused/,
        ...(name === "lightningfaucet" ? [/✓ Cooldown +until/] : []),
        /hash chain intact/,
        /checks passed in \d+\.\d s/,
      ];
      const places = steps.map((step) => step.exec(story)?.index ?? -1);
      expect(places).not.toContain(-1);
      expect(story).not.toMatch(/[0-9A-Za-z]{40}|fake-value|llmc_\w/);
      await expectNothingLeft(demo);
    },
  );

  it("says so when the service's process dies", async () => {
    const demo = start("npm", ["run", "demo", "--", "--provider", "log10x"]);
    const [, service] = await demo.printed(/a fake of it, \S+ process (\d+)/);
    await demo.printed(/Cron trigger/);
    process.kill(Number(service), "SIGKILL");
    expect(await demo.ended).toBe(1);
    expect(demo.output()).toContain("the service's process ended (SIGKILL)");
    await expectNothingLeft(demo);
  });

  it.each([[["nobody"]], [["issuer"]], [["bitscale", "--stay"]]])(
    "says how it is used when asked for %j",
    async (args) => {
      const demo = start("npm", ["run", "-s", "demo", "--", "--provider", ...args]);
      expect(await demo.ended).toBe(2);
      expect(demo.output()).toMatch(/usage: npm run demo .*--provider \(.*bitscale.*\)/);
    },
  );
});
