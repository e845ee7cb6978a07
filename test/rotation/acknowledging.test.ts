/** Consumers that must say that they have switched, and deliveries that are sent again. */
import { describe, expect, it } from "vitest";
import type { DeliveryView } from "../../src/keyring/views.ts";
import { request } from "../support/api.ts";
import { pass } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { quiet, runUntil } from "../support/inside.ts";
import { type Hook, makeScene, type Scene } from "../support/scene.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const MUST = { id: "hook", mustAcknowledge: true };

/** Says, with the token in the newest message to a receiver, that it has switched. */
function acknowledge(hook: Hook, token = hook.deliveries.at(-1)?.data.acknowledgeToken ?? "", id?: string) {
  const { deliveryId } = hook.deliveries.at(-1)?.data ?? {};
  return request<DeliveryView & { code?: string }>(
    token,
    "POST",
    `/v1/deliveries/${id ?? deliveryId}/acknowledge`,
  );
}

async function makeHooked(link: object = MUST): Promise<{ scene: Scene; hook: Hook }> {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  await scene.key({ destinations: [link as typeof MUST], policy: { grace: "1h" } });
  return { scene, hook };
}

describe("a destination that must acknowledge", () => {
  it("holds the rotation until its consumer says so with the token in the message, and no longer", async () => {
    const { scene, hook } = await makeHooked();
    const { id } = await scene.rotate();
    await quiet(scene);
    expect(hook.versions).toEqual([1, 2]);
    expect(await scene.rotation(id)).toMatchObject({
      live: true,
      step: "deliver",
      deliveries: [{ state: "delivered", acknowledgedAt: null }],
    });
    expect(await scene.stages()).toEqual(["current", "pending"]);

    const answer = await acknowledge(hook);
    expect(answer).toMatchObject({
      status: 200,
      body: { state: "acknowledged", acknowledgedAt: expect.any(String), version: 2 },
    });
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "succeeded" });
    expect(await scene.stages()).toEqual(["previous", "current"]);
  });

  it("that says nothing in time has the old value put back, which waits for its word again", async () => {
    const { scene, hook } = await makeHooked();
    const { id } = await scene.rotate();
    await quiet(scene);
    await runUntil(scene, Date.now() + 6 * HOUR + MINUTE);
    expect(hook.versions).toEqual([1, 2, 1]);
    expect(await scene.rotation(id)).toMatchObject({ live: true, step: "put-back" });
    await acknowledge(hook);
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "failed" });
    expect(await scene.stages()).toEqual(["current", "discarded"]);
  });

  it("may acknowledge before its own answer to the message has arrived", async () => {
    const { scene, hook } = await makeHooked();
    const release = hook.hold();
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions).toEqual([1, 2]));
    expect((await acknowledge(hook)).body).toMatchObject({ state: "acknowledged" });
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "succeeded" });
    release(500);
    await quiet(scene);
    const delivery = (await scene.deliveries()).find(({ version }) => version === 2);
    expect(delivery).toMatchObject({
      state: "acknowledged",
      lastCall: { status: 500 },
      nextTryAt: null,
    });
    expect(hook.versions).toEqual([1, 2]);
  });

  it("holds nothing any more once the key no longer asks for it", async () => {
    const { scene } = await makeHooked();
    const { id } = await scene.rotate();
    await quiet(scene);
    await scene.must("PATCH", "/v1/keys/billing", { destinations: [{ id: "hook" }] });
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "succeeded" });
  });

  it("holds nothing any more once the key no longer goes there", async () => {
    const { scene } = await makeHooked();
    await scene.kv("kv");
    const { id } = await scene.rotate();
    await quiet(scene);
    await scene.must("PATCH", "/v1/keys/billing", { destinations: [{ id: "kv" }] });
    await quiet(scene);
    expect(await scene.rotation(id)).toMatchObject({ live: false, state: "succeeded" });
  });
});

describe("an acknowledgement", () => {
  it("twice answers the same and is one event, in the name of the destination", async () => {
    const { scene, hook } = await makeHooked();
    const first = await acknowledge(hook);
    expect((await acknowledge(hook)).body).toEqual(first.body);
    const events = await scene.events("delivery.acknowledged");
    const { id } = await scene.destination("hook");
    expect(events).toMatchObject([{ actor: id, data: { destinationId: id, version: 1, revision: 1 } }]);
  });

  it("needs the token of that very delivery", async () => {
    const { scene, hook } = await makeHooked();
    const { acknowledgeToken: first = "", deliveryId } = hook.deliveries[0]?.data ?? {};
    await scene.rotate();
    await quiet(scene);
    expect(await acknowledge(hook, first)).toMatchObject({
      status: 401,
      body: { code: "credential-unknown" },
    });
    expect((await acknowledge(hook, first, deliveryId)).status).toBe(200);
    const stateOf = async (number: number) =>
      (await scene.deliveries()).find(({ version }) => version === number)?.state;
    expect([await stateOf(1), await stateOf(2)]).toEqual(["acknowledged", "delivered"]);
  });

  it("opens nothing else with its token", async () => {
    const { hook } = await makeHooked();
    const { acknowledgeToken = "", deliveryId } = hook.deliveries[0]?.data ?? {};
    const routes: [string, string, object?][] = [
      ["GET", "/v1/keys"],
      ["GET", `/v1/deliveries`],
      ["POST", `/v1/deliveries/${deliveryId}/replay`],
      ["POST", "/v1/claims", { claim: acknowledgeToken }],
    ];
    for (const [method, path, body] of routes) {
      const answer = await request(acknowledgeToken, method, path, body ? { body } : {});
      expect(answer).toMatchObject({ status: 401, body: { code: "credential-unknown" } });
    }
  });

  it("of a delivery that was superseded is refused", async () => {
    const { scene, hook } = await makeHooked({ id: "hook" });
    hook.refuseDeliveries();
    const { id } = await scene.rotate();
    await eventually(() => expect(hook.versions.at(-1)).toBe(2));
    const { acknowledgeToken, deliveryId } = hook.deliveries.at(-1)?.data ?? {};
    hook.up();
    await scene.must("POST", `/v1/rotations/${id}/cancel`);
    await quiet(scene);
    const answer = await acknowledge(hook, acknowledgeToken, deliveryId);
    expect(answer).toMatchObject({ status: 409, body: { code: "delivery-superseded" } });
  });

  it("of what was never sent is refused", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    hook.fail(503);
    await scene.key({ destinations: ["hook"] });
    const [delivery] = await scene.deliveries();
    const answer = await scene.keyring.call("POST", `/v1/deliveries/${delivery?.id}/acknowledge`);
    expect(answer).toMatchObject({ status: 409, body: { code: "not-delivered" } });
  });
});

describe("a delivery that is sent again", () => {
  const replay = (scene: Scene, id = "") =>
    scene.keyring.call<DeliveryView>("POST", `/v1/deliveries/${id}/replay`);

  it("comes under the same id, so that who has it already ignores it", async () => {
    const { scene, hook } = await makeHooked({ id: "hook" });
    const [delivery] = await scene.deliveries();
    expect((await replay(scene, delivery?.id)).body).toMatchObject({ state: "pending" });
    await quiet(scene);
    expect(hook.deliveries.map(({ id }) => id)).toEqual([delivery?.id, delivery?.id]);
    expect((await scene.deliveries())[0]).toMatchObject({ state: "delivered" });
    expect(await scene.events("delivery.replayed")).toMatchObject([
      { actor: "root", data: { deliveryId: delivery?.id, version: 1, revision: 1 } },
    ]);
  });

  it("is sent once more for one Idempotency-Key", async () => {
    const { scene, hook } = await makeHooked({ id: "hook" });
    const [delivery] = await scene.deliveries();
    const since = new Date().toISOString();
    const headers = { "idempotency-key": "once" };
    for (const path of [`${delivery?.id}/replay`, "replay"]) {
      const sent = hook.deliveries.length;
      const options = { headers, ...(path === "replay" && { body: { since } }) };
      for (const _ of [1, 2]) {
        const answer = await scene.keyring.call("POST", `/v1/deliveries/${path}`, options);
        expect(answer.status).toBe(200);
        if (path === "replay") expect(answer.body).toEqual({ count: 1, nextCursor: null });
        await quiet(scene);
      }
      expect(hook.deliveries).toHaveLength(sent + 1);
    }
  });

  it("gets all its attempts again when they were used up", async () => {
    const { scene, hook } = await makeHooked({ id: "hook", required: false });
    hook.refuseDeliveries();
    await scene.rotate();
    await runUntil(scene, Date.now() + 90 * HOUR);
    const failed = (await scene.deliveries()).find(({ version }) => version === 2);
    expect(failed).toMatchObject({ state: "failing", attempts: 10, nextTryAt: null });
    hook.up();
    await replay(scene, failed?.id);
    await quiet(scene);
    const sent = (await scene.deliveries()).find(({ version }) => version === 2);
    expect(sent).toMatchObject({ state: "delivered", attempts: 0 });
    expect(hook.secret).toBe(hook.deliveries.at(-1)?.data.fields?.secret);
  });

  it("is refused when the place should hold something else by now", async () => {
    const { scene } = await makeHooked({ id: "hook" });
    const [old] = await scene.deliveries();
    pass("1s");
    await scene.rotate();
    await quiet(scene);
    expect(await replay(scene, old?.id)).toMatchObject({ status: 409, body: { code: "delivery-outdated" } });
  });

  it("is refused when the key no longer goes there, or its version is dead", async () => {
    const { scene } = await makeHooked({ id: "hook" });
    await scene.kv("kv");
    const [delivery] = await scene.deliveries();
    pass("1s");
    await scene.must("PATCH", "/v1/keys/billing", { destinations: [{ id: "kv" }] });
    await quiet(scene);
    expect((await replay(scene, delivery?.id)).status).toBe(409);
    const [there] = await scene.deliveries();
    await scene.must("POST", "/v1/keys/billing/revoke", { reason: "a test" });
    await quiet(scene);
    expect(await replay(scene, there?.id)).toMatchObject({
      status: 409,
      body: { code: "delivery-outdated" },
    });
  });
});

describe("sending many again", () => {
  const replay = (scene: Scene, body: object) =>
    scene.keyring.call<{ count: number; nextCursor: string | null }>("POST", "/v1/deliveries/replay", {
      body,
    });

  it("takes what was tried since a time, at one destination or all, and only what should still be there", async () => {
    const scene = await makeScene();
    const [one, two] = [await scene.webhook("one"), await scene.webhook("two")];
    await scene.key({ name: "early", destinations: ["one"] });
    await runUntil(scene, Date.now() + HOUR);
    const since = new Date().toISOString();
    await scene.key({ name: "late", destinations: ["one", "two"] });
    await scene.rotate("late");
    await quiet(scene);
    const before = [one.deliveries.length, two.deliveries.length];

    expect((await replay(scene, { since, destination: "two" })).body).toEqual({ count: 1, nextCursor: null });
    await quiet(scene);
    expect([one.deliveries.length, two.deliveries.length]).toEqual([before[0], (before[1] ?? 0) + 1]);
    expect(two.versions.at(-1)).toBe(2);

    expect((await replay(scene, { since })).body).toEqual({ count: 2, nextCursor: null });
    await quiet(scene);
    expect(one.deliveries.slice(before[0]).map(({ data }) => data.keyName)).toEqual(["late"]);
  });

  it("reaches what failed while a receiver was down", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: [{ id: "hook", required: false }] });
    pass("1s");
    hook.refuseDeliveries();
    const since = new Date().toISOString();
    await scene.rotate();
    await runUntil(scene, Date.now() + 90 * HOUR);
    hook.up();
    expect((await replay(scene, { since })).body.count).toBe(1);
    await quiet(scene);
    expect((await scene.deliveries())[0]).toMatchObject({ state: "delivered" });
  });

  it("names what is wrong with the request", async () => {
    const scene = await makeScene();
    const since = new Date().toISOString();
    expect((await replay(scene, { since: "yesterday" })).status).toBe(422);
    expect((await replay(scene, { since, cursor: "x" })).status).toBe(422);
    expect((await replay(scene, { since, destination: "nowhere" })).status).toBe(404);
  });
});
