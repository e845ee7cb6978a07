/** A claim in place of a value: it opens that value to one claimant, once, within ten minutes. */
import { describe, expect, it } from "vitest";
import { ROOT, request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { inside, quiet, ring, runUntil } from "../support/inside.ts";
import { type Hook, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;

interface Claimed {
  fields: { secret: string };
  keyId: string;
  keyName: string;
  version: number;
  revision: number;
}

interface Rotated {
  rotation: { id: string; state: string };
  secret?: string;
  claim?: { token: string; url: string; expiresAt: string };
}

const claimAs = (token: string | null, claim: string, headers: Record<string, string> = {}) =>
  request<Claimed & { code?: string }>(token, "POST", "/v1/claims", { body: { claim }, headers });

const claimAsRoot = (scene: Scene, claim: string) => claimAs(ROOT, claim, { "rekey-keyring": scene.name });

/** What the newest message to a receiver lets it claim. */
const latestClaim = (hook: Hook) => hook.deliveries.at(-1)?.data.claim ?? "";

const countClaims = (scene: Scene) => inside(scene, (store) => store.valueClaims.select("").length);

async function makeClaiming(): Promise<{ scene: Scene; hook: Hook; id: string; secret: string }> {
  const scene = await makeScene();
  const hook = await scene.webhook("hook", { secretMode: "claim" });
  const { id, secret } = await scene.key({ destinations: [{ id: "hook", as: "their-name" }] });
  return { scene, hook, id, secret };
}

const UNKNOWN = { status: 404, body: { code: "claim-unknown" } };

describe("a destination that claims", () => {
  it("gets a claim and an address instead of the value, and the value for it", async () => {
    const { hook, id, secret } = await makeClaiming();
    const [message] = hook.deliveries;
    expect(message?.data).toMatchObject({
      keyName: "their-name",
      version: 1,
      claim: expect.stringMatching(/^rekey_claim_/),
      claimUrl: "https://rekey.test/v1/claims",
    });
    expect(message?.data).not.toHaveProperty("fields");
    expect(message?.raw).not.toContain(secret);
    expect(await claimAs(hook.claimToken, latestClaim(hook))).toMatchObject({
      status: 200,
      body: { fields: { secret }, keyId: id, keyName: "their-name", version: 1, revision: 1 },
    });
  });

  it("gets it again within 60 seconds, and never after", async () => {
    const { scene, hook, secret } = await makeClaiming();
    await claimAs(hook.claimToken, latestClaim(hook));
    pass("59s");
    expect((await claimAs(hook.claimToken, latestClaim(hook))).body).toMatchObject({ fields: { secret } });
    pass("1s");
    expect(await claimAs(hook.claimToken, latestClaim(hook))).toMatchObject(UNKNOWN);
    expect(await scene.events("key.value.claimed")).toHaveLength(1);
  });

  it("loses what it does not claim within ten minutes, and the row goes with it", async () => {
    const { scene, hook } = await makeClaiming();
    const begun = Date.now();
    pass("599s");
    expect((await claimAs(hook.claimToken, latestClaim(hook))).status).toBe(200);
    const other = await makeClaiming();
    pass("10m");
    expect(await claimAs(other.hook.claimToken, latestClaim(other.hook))).toMatchObject(UNKNOWN);
    expect(await countClaims(other.scene)).toBe(1);
    await ring(other.scene);
    expect((await claimAs(other.hook.claimToken, latestClaim(other.hook))).status).toBe(200);
    await runUntil(other.scene, Date.now() + 12 * MINUTE);
    expect(await countClaims(other.scene)).toBe(0);
    await runUntil(scene, begun + 12 * MINUTE);
    expect(await countClaims(scene)).toBe(0);
  });

  it("alone may claim: not another destination, not root, not an access key with every right to reveal", async () => {
    const { scene, hook, secret } = await makeClaiming();
    const other = await scene.webhook("other", { secretMode: "claim" });
    const { secret: access } = await scene.startKey({
      name: "access",
      provider: "access",
      scopes: ["keys:reveal", "keys:rotate"],
    });
    const claim = latestClaim(hook);
    expect(await claimAs(other.claimToken, claim)).toMatchObject(UNKNOWN);
    expect(await claimAsRoot(scene, claim)).toMatchObject(UNKNOWN);
    expect(await claimAs(access, claim)).toMatchObject(UNKNOWN);
    expect(await claimAs(claim, claim)).toMatchObject({ status: 401, body: { code: "credential-unknown" } });
    const stranger = await makeClaiming();
    expect(await claimAs(stranger.hook.claimToken, claim)).toMatchObject(UNKNOWN);
    expect((await claimAs(hook.claimToken, claim)).body).toMatchObject({ fields: { secret } });
  });

  it("hears the same of a claim that never was, one that was used and one whose value is no longer current", async () => {
    const { scene, hook } = await makeClaiming();
    const first = latestClaim(hook);
    const answers = [await claimAs(hook.claimToken, `${first.slice(0, -8)}zzzzzzzz`)];
    await scene.rotate();
    await quiet(scene);
    answers.push(await claimAs(hook.claimToken, first));
    expect((await claimAs(hook.claimToken, latestClaim(hook))).body).toMatchObject({ version: 2 });
    pass("61s");
    answers.push(await claimAs(hook.claimToken, latestClaim(hook)));
    await scene.rotate();
    await quiet(scene);
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "a test" });
    answers.push(await claimAs(hook.claimToken, latestClaim(hook)));
    for (const answer of answers) {
      expect(answer.status).toBe(404);
      expect(answer.body).toEqual(answers[0]?.body);
    }
  });

  it("cannot claim a version that is being put back, though that still lives", async () => {
    const { scene, hook, secret } = await makeClaiming();
    const bad = await scene.webhook("bad");
    await scene.must("PATCH", "/v1/keys/billing", {
      destinations: [{ id: "hook", as: "their-name" }, { id: "bad" }],
    });
    await quiet(scene);
    bad.refuseDeliveries();
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions.at(-1)).toBe(2));
    const claim = latestClaim(hook);
    await scene.must("POST", `/v1/rotations/${id}/cancel`);
    await eventually(() => expect(hook.versions.at(-1)).toBe(1));
    expect(await scene.stages()).toEqual(["current", "pending"]);
    expect(await claimAs(hook.claimToken, claim)).toMatchObject(UNKNOWN);
    expect((await claimAs(hook.claimToken, latestClaim(hook))).body).toMatchObject({ fields: { secret } });
    await quiet(scene);
  });

  it("gets a fresh claim with each try, and the one before it is void", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook", { secretMode: "claim" });
    await scene.must("POST", "/v1/destinations/hook/test");
    hook.refuseDeliveries();
    const { secret } = await scene.startKey({ destinations: ["hook"] });
    await eventually(() => expect(hook.deliveries).toHaveLength(1));
    await quiet(scene);
    hook.up();
    await runUntil(scene, Date.now() + 6_000);
    const [first, second] = hook.deliveries.map(({ data }) => data.claim ?? "");
    expect(second).not.toBe(first);
    expect(hook.deliveries[1]?.id).toBe(hook.deliveries[0]?.id);
    expect(await claimAs(hook.claimToken, first ?? "")).toMatchObject(UNKNOWN);
    expect((await claimAs(hook.claimToken, second ?? "")).body).toMatchObject({ fields: { secret } });
  });

  it("gets a fresh claim when its delivery is replayed", async () => {
    const { scene, hook, secret } = await makeClaiming();
    pass("11m");
    const [delivery] = await scene.deliveries();
    await scene.must("POST", `/v1/deliveries/${delivery?.id}/replay`);
    await quiet(scene);
    expect((await claimAs(hook.claimToken, latestClaim(hook))).body).toMatchObject({ fields: { secret } });
  });

  it("is told apart in the history, where no claim and no token is", async () => {
    const { scene, hook, secret } = await makeClaiming();
    await claimAs(hook.claimToken, latestClaim(hook));
    const { id } = await scene.destination("hook");
    const [delivery] = await scene.deliveries();
    const events = await scene.events();
    expect(events.filter(({ type }) => type === "key.value.claimed")).toMatchObject([
      { actor: id, data: { version: 1, origin: delivery?.id } },
    ]);
    const stored = await inside(scene, (_, { storage }) =>
      ["claim", "destination", "delivery", "event", "idempotency"].map((table) =>
        storage.sql
          .exec(`SELECT * FROM ${table}`)
          .toArray()
          .flatMap((row) => Object.values(row))
          .map((value) => (value instanceof ArrayBuffer ? Buffer.from(value).toString("latin1") : value)),
      ),
    );
    const text = JSON.stringify([events, stored]);
    const acknowledgeToken = hook.deliveries[0]?.data.acknowledgeToken ?? "";
    for (const token of [latestClaim(hook), hook.claimToken, acknowledgeToken, secret]) {
      expect(token.length).toBeGreaterThan(70);
      expect(text).not.toContain(token.slice(-49, -6));
    }
  });

  it("is shown its claim token once, and again only to the same request", async () => {
    const scene = await makeScene();
    const body = {
      name: "once",
      type: "webhook",
      config: { url: "https://hooks.acme.dev/once", secretMode: "claim" },
    };
    const headers = { "idempotency-key": "once" };
    const send = () => scene.keyring.call("POST", "/v1/destinations", { body, headers });
    const first = await send();
    expect(first.body).toMatchObject({
      claimToken: expect.stringMatching(/^rekey_receiver_/),
      signingSecret: expect.stringMatching(/^whsec_/),
    });
    expect((await send()).body).toEqual(first.body);
    expect(await scene.destination("once")).not.toHaveProperty("claimToken");
    pass("61s");
    expect((await send()).body).not.toHaveProperty("claimToken");
  });

  it("has no claim token unless it was made to claim, so it cannot be turned into one that does", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    expect(hook.claimToken).toBe("");
    const answer = await scene.keyring.call<{ errors: { path: string }[] }>(
      "PATCH",
      "/v1/destinations/hook",
      {
        body: { config: { url: hook.url, secretMode: "claim" } },
      },
    );
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toMatchObject([{ path: "config.secretMode" }]);
  });
});

describe("a delivery that brings a claim", () => {
  const newest = async (scene: Scene) => (await scene.deliveries())[0];

  it("is delivered when that was used, and its rotation waits for it", async () => {
    const { scene, hook } = await makeClaiming();
    await claimAs(hook.claimToken, latestClaim(hook));
    pass("1s");
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(await newest(scene)).toMatchObject({ version: 2, state: "pending", deliveredAt: null });
    expect(await scene.rotation(id)).toMatchObject({
      step: "deliver",
      waitsFor: "hook to claim the new value",
    });
    expect((await claimAs(hook.claimToken, latestClaim(hook))).status).toBe(200);
    await claimAs(hook.claimToken, latestClaim(hook));
    await quiet(scene);
    expect(await newest(scene)).toMatchObject({ version: 2, state: "delivered" });
    expect((await newest(scene))?.deliveredAt).not.toBeNull();
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(await scene.events("delivery.succeeded")).toHaveLength(2);
    expect(hook.deliveries).toHaveLength(2);
  });

  it("is sent again with a fresh one when that is void", async () => {
    const { scene, hook, secret } = await makeClaiming();
    await runUntil(scene, Date.now() + 599_000);
    expect(hook.deliveries).toHaveLength(1);
    await runUntil(scene, Date.now() + 2_000);
    const [first, second] = hook.deliveries;
    expect(second?.id).toBe(first?.id);
    expect(await claimAs(hook.claimToken, first?.data.claim ?? "")).toMatchObject(UNKNOWN);
    expect((await claimAs(hook.claimToken, latestClaim(hook))).body).toMatchObject({ fields: { secret } });
    await runUntil(scene, Date.now() + 24 * 60 * MINUTE);
    expect(hook.deliveries).toHaveLength(2);
    expect(await newest(scene)).toMatchObject({ state: "delivered" });
  });

  it("is delivered when it was used before its message was answered, whatever the answer", async () => {
    const { scene, hook } = await makeClaiming();
    await claimAs(hook.claimToken, latestClaim(hook));
    for (const status of [204, 503]) {
      hook.answer(async ({ data }) => {
        await claimAs(hook.claimToken, data.claim ?? "");
        return new Response(null, { status });
      });
      pass("1s");
      const { id } = await scene.rotate();
      await quiet(scene);
      expect(await newest(scene)).toMatchObject({ state: "delivered" });
      expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    }
    await runUntil(scene, Date.now() + 60 * MINUTE);
    expect(hook.deliveries).toHaveLength(3);
  });

  it("is delivered by a 2xx alone when it is replayed to who has claimed it before", async () => {
    const { scene, hook } = await makeClaiming();
    await claimAs(hook.claimToken, latestClaim(hook));
    const id = (await newest(scene))?.id;
    await scene.must("POST", `/v1/deliveries/${id}/replay`);
    await quiet(scene);
    expect(await newest(scene)).toMatchObject({ state: "delivered" });
    await runUntil(scene, Date.now() + 24 * 60 * MINUTE);
    expect(hook.deliveries).toHaveLength(2);
    expect(await scene.events("delivery.failing")).toEqual([]);
  });

  it("stays acknowledged when its value is claimed only afterwards", async () => {
    const { scene, hook } = await makeClaiming();
    const [message] = hook.deliveries;
    const path = `/v1/deliveries/${message?.data.deliveryId}/acknowledge`;
    expect((await request(message?.data.acknowledgeToken ?? "", "POST", path)).status).toBe(200);
    expect((await claimAs(hook.claimToken, latestClaim(hook))).status).toBe(200);
    expect(await newest(scene)).toMatchObject({ state: "acknowledged" });
  });

  it("fails for good when nobody ever claims, and can still be replayed", async () => {
    const { scene, hook, secret } = await makeClaiming();
    await runUntil(scene, Date.now() + 8 * 24 * 60 * MINUTE);
    expect(hook.deliveries).toHaveLength(10);
    expect(await newest(scene)).toMatchObject({ state: "failing", attempts: 10 });
    expect((await scene.events("delivery.failing")).map(({ data }) => data.problem)).toEqual([
      "hooks.acme.dev took the message and has not claimed the value",
    ]);
    await scene.must("POST", `/v1/deliveries/${(await newest(scene))?.id}/replay`);
    await quiet(scene);
    expect((await claimAs(hook.claimToken, latestClaim(hook))).body).toMatchObject({ fields: { secret } });
    expect(await newest(scene)).toMatchObject({ state: "delivered" });
  });
});

describe("a rotation that is to reveal by a claim", () => {
  const rotate = (scene: Scene, more: { headers?: Record<string, string>; body?: object } = {}) =>
    scene.keyring.call<Rotated>("POST", "/v1/keys/billing/rotate?wait=10s", {
      body: { reveal: "claim", ...more.body },
      ...(more.headers && { headers: more.headers }),
    });

  it.each([
    ["goes nowhere, so that only a hash of it is kept", []],
    ["is delivered", ["kv"]],
  ])("shows what opens the value of a key that %s", async (_, destinations) => {
    const scene = await makeScene();
    await scene.kv("kv");
    await scene.key({ destinations });
    const { status, body } = await rotate(scene);
    expect(status).toBe(200);
    expect(body).not.toHaveProperty("secret");
    expect(body.claim).toMatchObject({
      token: expect.stringMatching(/^rekey_claim_/),
      url: "https://rekey.test/v1/claims",
      expiresAt: new Date(Date.now() + 10 * MINUTE).toISOString(),
    });
    const claimed = await claimAsRoot(scene, body.claim?.token ?? "");
    expect(claimed).toMatchObject({ status: 200, body: { keyName: "billing", version: 2 } });
    expect(await scene.verdict(claimed.body.fields.secret)).toBe("valid");
  });

  it("wipes the value once it was claimed, and when nobody claims it", async () => {
    const scene = await makeScene();
    await scene.key({});
    const sealed = () =>
      inside(scene, (store) => store.valueClaims.select("").map((row) => row.sealed !== null));
    const { body } = await rotate(scene);
    expect(await sealed()).toEqual([true]);
    await claimAsRoot(scene, body.claim?.token ?? "");
    await runUntil(scene, Date.now() + MINUTE);
    expect(await sealed()).toEqual([false]);
    await runUntil(scene, Date.now() + 10 * MINUTE);
    expect(await sealed()).toEqual([]);
    await rotate(scene);
    await runUntil(scene, Date.now() + 10 * MINUTE);
    expect(await sealed()).toEqual([]);
  });

  it("is claimed only by who asked", async () => {
    const scene = await makeScene();
    await scene.key({});
    const scopes = ["keys:rotate", "keys:reveal"];
    const [mine, theirs] = [
      await scene.startKey({ name: "mine", provider: "access", scopes }),
      await scene.startKey({ name: "theirs", provider: "access", scopes }),
    ];
    const { body } = await request<Rotated>(mine.secret, "POST", "/v1/keys/billing/rotate?wait=10s", {
      body: { reveal: "claim" },
    });
    const claim = body.claim?.token ?? "";
    expect(await claimAs(theirs.secret, claim)).toMatchObject(UNKNOWN);
    expect(await claimAsRoot(scene, claim)).toMatchObject(UNKNOWN);
    expect((await claimAs(mine.secret, claim)).status).toBe(200);
  });

  it("needs the scope to reveal, and so does claiming", async () => {
    const scene = await makeScene();
    await scene.key({});
    const { secret } = await scene.startKey({ name: "mine", provider: "access", scopes: ["keys:rotate"] });
    const missing = { status: 403, body: { code: "scope-missing", scope: "keys:reveal" } };
    expect(
      await request(secret, "POST", "/v1/keys/billing/rotate", { body: { reveal: "claim" } }),
    ).toMatchObject(missing);
    expect(await claimAs(secret, "whatever")).toMatchObject(missing);
  });

  it("sent again gets a new claim, and the one that was not used is void", async () => {
    const scene = await makeScene();
    await scene.key({});
    const headers = { "idempotency-key": "once" };
    const first = await rotate(scene, { headers });
    const second = await rotate(scene, { headers });
    expect(second.body.rotation.id).toBe(first.body.rotation.id);
    expect(await claimAsRoot(scene, first.body.claim?.token ?? "")).toMatchObject(UNKNOWN);
    const claimed = await claimAsRoot(scene, second.body.claim?.token ?? "");
    expect(await scene.verdict(claimed.body.fields.secret)).toBe("valid");
  });

  it.each([
    ["a minute", "61s"],
    ["an hour", "1h"],
  ])("sent again %s after its claim was used gets none", async (_, later) => {
    const scene = await makeScene();
    await scene.kv("kv");
    await scene.key({ destinations: ["kv"] });
    const headers = { "idempotency-key": "once" };
    const first = await rotate(scene, { headers });
    await claimAsRoot(scene, first.body.claim?.token ?? "");
    await runUntil(scene, Date.now() + (later === "1h" ? 60 : 1) * MINUTE);
    pass(later === "1h" ? "1s" : "2s");
    const second = await rotate(scene, { headers });
    expect(second.body.rotation.id).toBe(first.body.rotation.id);
    expect(second.body).not.toHaveProperty("claim");
    expect(await countClaims(scene)).toBe(later === "1h" ? 0 : 1);
  });
});
