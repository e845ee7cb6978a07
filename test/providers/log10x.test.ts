/** The traps of Log10x: a new key that is refused at first, demo accounts, and calls that must not be repeated. */
import { expect, it } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { FakeLog10x } from "../lab/services/log10x.ts";
import { FAKES } from "../lab/services/registry.ts";
import { type Account, callsOf, openAccount, runFor } from "../support/account.ts";
import { pass } from "../support/clock.ts";
import { quiet } from "../support/inside.ts";
import { cron } from "../support/scene.ts";

async function begin(
  config: Record<string, unknown> = {},
  policy: Record<string, unknown> = {},
): Promise<Account<FakeLog10x>> {
  const fake = new FakeLog10x();
  const { secret } = fake.make("by hand");
  return openAccount(fake, { key: { fields: { secret }, config, policy } });
}

it("waits while the new key is refused at first: within 30 seconds that says nothing", async () => {
  const account = await begin();
  const { scene } = account;
  const { id } = await scene.rotate();
  await scene.reaches(id, { step: "test", problem: "prometheus.log10x.com answered 401" });
  await runFor(account, "1m");
  // The old key, which is seen dead; then the new one again, which is known by now.
  expect(callsOf(account)).toEqual(["test 200", "mint 200", "test 401", "test 401", "test 200"]);
  expect(await scene.rotation(id)).toMatchObject({ state: "succeeded", problem: null });
});

it("says that a demo account's key cannot be rotated, and asks once", async () => {
  const account = await begin();
  const { fake, scene, hook } = account;
  fake.isDemo = true;
  const { id } = await scene.rotate();
  await runFor(account, "1d");
  expect(await scene.rotation(id)).toMatchObject({
    state: "failed",
    problem: "prometheus.log10x.com answered 403: the key of a demo account cannot be rotated",
  });
  expect(callsOf(account)).toEqual(["test 200", "mint 403"]);
  expect(fake.holderOf(hook.secret)).toBeDefined();
  expect(await scene.stages()).toEqual(["current"]);
});

it("is not asked again by the schedule for a day", async () => {
  const account = await begin({}, { maxAge: "30d", allowDowntime: true });
  const { fake, scene } = account;
  fake.isDemo = true;
  pass("30d");
  await cron();
  await quiet(scene);
  const asked = () => fake.journal.filter((line) => line.startsWith("mint ")).length;
  expect(asked()).toBe(1);
  const failedAt = Date.now();
  expect(Date.parse((await scene.read()).nextRotationAt ?? "")).toBe(failedAt + parseDuration("1d"));
  await runFor(account, "23h");
  await cron();
  await quiet(scene);
  expect(asked()).toBe(1);
  await runFor(account, "1h");
  await cron();
  await quiet(scene);
  expect(asked()).toBe(2);
});

it("never repeats a rotation that was answered by 5xx: it took effect, so the old key is found dead and the new value lost", async () => {
  const account = await begin();
  const { fake, scene } = account;
  fake.fail("mint", "error-after");
  const { id } = await scene.rotate();
  await runFor(account, "1d");
  expect(callsOf(account).slice(0, 4)).toEqual(["test 200", "mint 502", "test 401", "test 401"]);
  expect(callsOf(account).filter((call) => call.startsWith("mint"))).toHaveLength(1);
  expect(await scene.rotation(id)).toMatchObject({ state: "failed" });
  expect((await scene.read()).state).toBe("lost");
});

it.each(["rate-limited", "error-before", "cut-before"] as const)(
  "asks again after %s only once the old key was seen to work, twice",
  async (fault) => {
    const account = await begin();
    const { fake, scene } = account;
    fake.fail("mint", fault);
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ step: "settle" });
    await runFor(account, "10m");
    const calls = callsOf(account);
    const [first, second] = calls.flatMap((call, at) => (call.startsWith("mint") ? [at] : []));
    expect(calls.slice((first ?? 0) + 1, second)).toEqual(["test 200", "test 200", "test 200"]);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
  },
);

it("calls as the user, or as an environment when the key names one; the value is the key alone", async () => {
  const user = await begin();
  await user.scene.rotate();
  await runFor(user, "1m");
  expect(new Set(user.fake.scopes)).toEqual(new Set(["user"]));

  const environment = await begin({ envId: "env-2" });
  await environment.scene.rotate();
  await runFor(environment, "1m");
  expect(new Set(environment.fake.scopes)).toEqual(new Set(["env-2"]));
  expect(environment.fake.holderOf(environment.hook.secret)).toBeDefined();
});

it("can be reached through a connection, which says where it is", async () => {
  const fake = new FakeLog10x();
  const entry = FAKES.log10x;
  const account = await openAccount(fake, {
    connection: { config: { baseUrl: fake.origin } },
    key: entry?.begin(fake).key ?? {},
  });
  await account.scene.rotate();
  await runFor(account, "1m");
  expect(callsOf(account)).toContain("mint 200");
});
