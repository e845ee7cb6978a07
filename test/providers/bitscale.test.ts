/** The traps of BitScale: an answer that was lost, and two places where a key is rotated. */
import { http } from "msw";
import { expect, it } from "vitest";
import { bitscale } from "../../src/providers/bitscale.ts";
import { FakeBitscale } from "../lab/services/bitscale.ts";
import { type Account, callsOf, openAccount, runFor } from "../support/account.ts";
import { inside, quiet } from "../support/inside.ts";
import { network } from "../support/network.ts";

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

it("is held by one worker for as long as a mint may take, which is longer than other calls", async () => {
  const account = await begin();
  const { fake, scene } = account;
  const leases: number[] = [];
  network.use(
    http.all(`${new URL(fake.origin).origin}/*`, async ({ request }) => {
      if (request.method === "POST") {
        const until = await inside(scene, (_, { storage }) =>
          storage.sql.exec<{ leaseUntil: number }>("SELECT leaseUntil FROM rotation WHERE live = 1").one(),
        );
        leases.push(until.leaseUntil - Date.now());
      }
      return fake.answer(request);
    }),
  );
  await scene.rotate();
  await quiet(scene);
  expect(leases).toHaveLength(1);
  expect(leases[0]).toBeGreaterThan(bitscale.timeoutMs);
});

it("does not lose the only value over one refusal soon after it was made", async () => {
  const account = await begin();
  const { fake, scene, hook } = account;
  // After the old value's, before the mint and when it must be dead.
  fake.fail("test", "expired", 1, 2);
  const { id } = await scene.rotate();
  await runFor(account, "1h");
  expect(callsOf(account).slice(0, 5)).toEqual(["test 200", "mint 200", "test 401", "test 401", "test 200"]);
  expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
  expect(fake.live().map(({ secret }) => secret)).toEqual([hook.secret]);
});
