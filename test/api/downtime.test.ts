/**
 * Where a service ends the old value as it makes the new one, no schedule does that to anybody who has not said that it may: when a key is
 * made or changed, and when a policy is that keys share.
 */
import { describe, expect, it } from "vitest";
import { FakeBitscale } from "../lab/services/bitscale.ts";
import { FakeLlmConveyors } from "../lab/services/llmconveyors.ts";
import { serve } from "../support/account.ts";
import { makeScene } from "../support/scene.ts";
import { expectInvalid, expectProblem } from "./fixtures.ts";

const PLANNED = { maxAge: "30d" };
const ALLOWED = { ...PLANNED, allowDowntime: true };

async function begin() {
  const fake = new FakeBitscale();
  serve(fake);
  const scene = await makeScene();
  await scene.webhook("hook");
  const make = (name: string, policy?: unknown) =>
    scene.keyring.call("POST", "/v1/keys", {
      body: {
        name,
        provider: fake.name,
        fields: { secret: fake.make(name).secret },
        destinations: [{ id: "hook", as: name }],
        ...(policy !== undefined && { policy }),
      },
    });
  const call = (method: string, path: string, body: unknown) => scene.keyring.call(method, path, { body });
  return { scene, make, call };
}

describe("a key whose service leaves no overlap", () => {
  it.each([
    ["maxAge", PLANNED],
    ["schedule", { schedule: { cron: "0 3 * * 1" } }],
    ["allowDowntime false", { ...PLANNED, allowDowntime: false }],
  ])("is not made with a plan by %s, and hears why and what there is instead", async (_, policy) => {
    const { make } = await begin();
    const { errors = [] } = expectProblem(await make("billing", policy), 422, "invalid");
    expect(errors).toEqual([
      {
        path: "policy.allowDowntime",
        message:
          "must be true for rotations on a schedule: BitScale ends the old value the moment that it makes the new one, so whoever uses it fails until the new one has arrived; the service has one key for a workspace and no second one beside it",
      },
    ]);
  });

  it("is made without a plan, or with one that allows the downtime", async () => {
    const { make, scene } = await begin();
    expect((await make("by-hand")).status).toBe(201);
    expect((await make("planned", ALLOWED)).status).toBe(201);
    expect((await scene.read("planned")).nextRotationAt).not.toBeNull();
  });

  it("is not changed to a plan that surprises its users", async () => {
    const { make, call, scene } = await begin();
    await make("billing");
    expectInvalid(await call("PATCH", "/v1/keys/billing", { policy: PLANNED }), "policy.allowDowntime");
    expect((await scene.read()).policy).toEqual({});
    expect((await call("PATCH", "/v1/keys/billing", { policy: ALLOWED })).status).toBe(200);
    expectInvalid(await call("PATCH", "/v1/keys/billing", { policy: PLANNED }), "policy.allowDowntime");
    expect((await scene.read()).policy).toEqual(ALLOWED);
  });

  it("goes by a shared policy only if that allows it, and stays so when the policy changes", async () => {
    const { make, call, scene } = await begin();
    await call("POST", "/v1/policies", { name: "strict", policy: PLANNED });
    await call("POST", "/v1/policies", { name: "lenient", policy: ALLOWED });
    expectInvalid(await make("billing", "strict"), "policy.allowDowntime");
    expect((await make("billing", "lenient")).status).toBe(201);
    expectInvalid(await call("PATCH", "/v1/keys/billing", { policy: "strict" }), "policy.allowDowntime");
    for (const query of ["", "?dryRun=true"]) {
      const answer = await call("PATCH", `/v1/policies/lenient${query}`, { policy: PLANNED });
      expectInvalid(answer, "policy.allowDowntime");
    }
    expect((await scene.read()).policy).toEqual(ALLOWED);
    // Nobody whom that would surprise has it.
    expect((await call("PATCH", "/v1/policies/strict", { policy: { maxAge: "10d" } })).status).toBe(200);
  });
});

describe("a key whose service keeps the old value alive for as long as it is asked to", () => {
  it("may not be asked for no time at all by a schedule, unless its policy says that it may", async () => {
    const fake = new FakeLlmConveyors();
    serve(fake);
    const scene = await makeScene();
    await scene.webhook("hook");
    const credential = { secret: fake.makeAdmin().secret };
    await scene.must("POST", "/v1/connections", { name: "account", provider: fake.name, credential });
    const { secret, reference } = fake.makeKey("by hand");
    const make = (policy: unknown) =>
      scene.keyring.call("POST", "/v1/keys", {
        body: {
          name: "billing",
          provider: fake.name,
          connection: "account",
          fields: { secret },
          reference,
          destinations: [{ id: "hook" }],
          policy,
        },
      });
    expectInvalid(await make({ ...PLANNED, grace: "0" }), "policy.grace");
    expect((await make({ ...ALLOWED, grace: "0" })).status).toBe(201);
  });
});
