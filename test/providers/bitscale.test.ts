/** The traps of BitScale: an answer that was lost, and two places where a key is rotated. */
import { expect, it } from "vitest";
import { FakeBitscale } from "../lab/services/bitscale.ts";
import { type Account, callsOf, openAccount, runFor } from "../support/account.ts";

function begin(config?: Record<string, unknown>): Promise<Account<FakeBitscale>> {
  const fake = new FakeBitscale();
  const { secret } = fake.make("by hand");
  return openAccount(fake, { ...(config && { connection: { config } }), key: { fields: { secret } } });
}

it("tests the old key when an answer was lost; found dead twice, the key is lost and a person hands in a value", async () => {
  const account = await begin();
  const { fake, scene, hook } = account;
  fake.fail("mint", "cut-after");
  const { id } = await scene.rotate();
  await runFor(account, "1h");
  expect(callsOf(account).slice(0, 4)).toEqual(["test 200", "mint cut", "test 401", "test 401"]);
  expect(await scene.rotation(id)).toMatchObject({
    state: "failed",
    problem: "the old value is dead and the new one never arrived",
  });
  expect((await scene.read()).state).toBe("lost");
  expect(await scene.events("key.lost")).toHaveLength(1);
  const [made] = fake.live();
  await scene.must("PUT", "/v1/keys/billing/value", { fields: { secret: made?.secret } });
  await runFor(account, "10m");
  expect((await scene.read()).state).toBe("active");
  expect(hook.secret).toBe(made?.secret);
});

it("asks again once the old key was found alive twice: nothing had happened", async () => {
  const account = await begin();
  const { fake, scene } = account;
  fake.fail("mint", "cut-before");
  const { id } = await scene.rotate();
  await runFor(account, "1h");
  expect(callsOf(account).slice(0, 6)).toEqual([
    "test 200",
    "mint cut",
    "test 200",
    "test 200",
    "test 200",
    "mint 200",
  ]);
  expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
});

it.each(["/api-key/rotate", "/rotate-api-key"])(
  "rotates at %s when the connection says so",
  async (rotatePath) => {
    const account = await begin({ rotatePath });
    await account.scene.rotate();
    await runFor(account, "10m");
    expect(account.fake.journal).toContain(`mint POST ${rotatePath} 200`);
  },
);
