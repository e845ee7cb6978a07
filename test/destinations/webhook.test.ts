/** What a webhook receiver gets: Standard Webhooks, as its reference library checks them. */
import { HttpResponse, http } from "msw";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { quiet, runUntil } from "../support/inside.ts";
import { network } from "../support/network.ts";
import { type Hook, makeScene, type Scene } from "../support/scene.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A destination that has answered its ping, and a key whose first version it then refuses. */
async function makeRefused(answer: (hook: Hook) => void): Promise<{ scene: Scene; hook: Hook }> {
  const scene = await makeScene();
  const hook = await scene.webhook("hook");
  await scene.must("POST", "/v1/destinations/hook/test");
  answer(hook);
  await scene.key({ destinations: ["hook"] });
  return { scene, hook };
}

/** Milliseconds between the deliveries that a receiver got. */
function waitsOf(hook: Hook): number[] {
  const times = hook.deliveries.map((message) => message.at);
  return times.slice(1).map((time, index) => time - (times[index] ?? 0));
}

describe("a message", () => {
  it("says which version of which key it is, and carries the value only when that was chosen", async () => {
    const scene = await makeScene();
    const plain = await scene.webhook("plain");
    const silent = await scene.webhook("silent", { secretMode: "none" });
    const { id, secret } = await scene.key({ destinations: ["plain", { id: "silent", as: "their-name" }] });
    const deliveries = await scene.deliveries();
    const idOf = (name: string) => deliveries.find((row) => row.as === name)?.id;

    expect(JSON.parse(plain.deliveries[0]?.raw ?? "")).toEqual({
      type: "key.version.ready",
      timestamp: new Date().toISOString(),
      data: {
        deliveryId: idOf("billing"),
        keyId: id,
        keyName: "billing",
        version: 1,
        revision: 1,
        fields: { secret },
        acknowledgeToken: expect.stringMatching(/^rekey_ack_/),
      },
    });
    expect(JSON.parse(silent.deliveries[0]?.raw ?? "").data).toEqual({
      deliveryId: idOf("their-name"),
      keyId: id,
      keyName: "their-name",
      version: 1,
      revision: 1,
      acknowledgeToken: expect.stringMatching(/^rekey_ack_/),
    });
    expect(silent.deliveries[0]?.raw).not.toContain(secret);
  });

  it("has an id without a dot, and the type of its body in JSON", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.key({ destinations: ["hook"] });
    for (const { id, headers } of hook.messages) {
      expect(id).toMatch(/^dlv_[0-9a-z]+$/);
      expect(headers["content-type"]).toBe("application/json");
    }
    expect(hook.messages.map(({ id }) => id)).toHaveLength(new Set(hook.messages.map(({ id }) => id)).size);
  });

  it("stays under 20 kB for the longest names and the longest issued value", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    await scene.startKey({
      name: "n".repeat(64),
      prefix: "p".repeat(40),
      destinations: [{ id: "hook", as: "a".repeat(64) }],
    });
    await quiet(scene);
    expect(Buffer.byteLength(hook.deliveries[0]?.raw ?? "")).toBeGreaterThan(200);
    expect(Buffer.byteLength(hook.deliveries[0]?.raw ?? "")).toBeLessThan(20_000);
  });

  it("keeps its id over all attempts, while each is stamped and signed anew", async () => {
    const verified: unknown[] = [];
    const { scene, hook } = await makeRefused((hook) =>
      hook.answer(({ raw, headers }) => {
        verified.push(new Webhook(hook.signingSecret).verify(raw, headers));
        return new HttpResponse(null, { status: 500 });
      }),
    );
    await runUntil(scene, Date.now() + HOUR);
    expect(hook.deliveries.length).toBeGreaterThanOrEqual(4);
    expect(verified).toHaveLength(hook.deliveries.length);
    expect(new Set(hook.deliveries.map(({ id }) => id)).size).toBe(1);
    expect(new Set(hook.deliveries.map(({ raw }) => raw)).size).toBe(1);
    expect(new Set(hook.deliveries.map(({ headers }) => headers["webhook-signature"])).size).toBe(
      hook.deliveries.length,
    );
    for (const { timestamp, at } of hook.deliveries) expect(timestamp).toBe(Math.floor(at / 1_000));
  });

  it("is not believed by who holds another secret, or after a byte of it was changed", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    const other = await scene.webhook("other");
    await scene.key({ destinations: ["hook"] });
    const [message] = hook.deliveries;
    if (!message) throw new Error("nothing came");
    const { raw, headers } = message;
    expect(new Webhook(hook.signingSecret).verify(raw, headers)).toEqual(JSON.parse(raw));
    expect(() => new Webhook(other.signingSecret).verify(raw, headers)).toThrow();
    expect(() => new Webhook(hook.signingSecret).verify(`${raw} `, headers)).toThrow();
  });
});

describe("a delivery that is refused", () => {
  it("is tried ten times over 75 h 35 min, then the destination is failing and an event says so", async () => {
    const { scene, hook } = await makeRefused((hook) => hook.refuseDeliveries());
    await runUntil(scene, Date.now() + 120 * HOUR);

    expect(hook.deliveries).toHaveLength(10);
    const table = [
      5 * SECOND,
      5 * MINUTE,
      30 * MINUTE,
      2 * HOUR,
      5 * HOUR,
      10 * HOUR,
      14 * HOUR,
      20 * HOUR,
      24 * HOUR,
    ];
    const span = table.reduce((sum, wait) => sum + wait, 0);
    expect(Math.floor(span / MINUTE)).toBe(75 * 60 + 35);
    for (const [index, wait] of waitsOf(hook).entries()) {
      expect(wait).toBeGreaterThanOrEqual(table[index] ?? 0);
      expect(wait).toBeLessThanOrEqual((table[index] ?? 0) * 1.1);
    }
    expect((await scene.deliveries())[0]).toMatchObject({ state: "failing", attempts: 10, nextTryAt: null });
    expect(await scene.destination("hook")).toMatchObject({ state: "failing", lastCall: { status: 503 } });
    const events = await scene.events("delivery.failing");
    expect(events).toHaveLength(1);
    expect(events[0]?.data).toMatchObject({ state: "failing", problem: "hooks.acme.dev answered 503" });
  });

  it("has all its attempts again after a test that succeeds, and its recovery is an event", async () => {
    const { scene, hook } = await makeRefused((hook) => hook.refuseDeliveries());
    await runUntil(scene, Date.now() + 120 * HOUR);
    hook.up();
    expect(await scene.must("POST", "/v1/destinations/hook/test")).toMatchObject({ ok: true });
    await quiet(scene);
    expect(hook.deliveries).toHaveLength(11);
    expect((await scene.deliveries())[0]).toMatchObject({ state: "delivered" });
    expect(await scene.events("delivery.recovered")).toHaveLength(1);
    expect(await scene.destination("hook")).toMatchObject({ state: "ready" });
  });

  it.each([
    ["500", 500, 5 * SECOND],
    ["503", 503, 5 * SECOND],
    ["404", 404, 5 * SECOND],
    ["429, which asks to slow down", 429, 30 * SECOND],
    ["502, which asks to slow down", 502, 30 * SECOND],
    ["504, which asks to slow down", 504, 30 * SECOND],
  ])("with %s is tried again after its time", async (_, status, wait) => {
    const { scene, hook } = await makeRefused((hook) => hook.fail(status));
    const sent = hook.deliveries[0]?.at ?? 0;
    await runUntil(scene, sent + wait - 1);
    expect(hook.deliveries).toHaveLength(1);
    await runUntil(scene, sent + wait * 1.1);
    expect(hook.deliveries).toHaveLength(2);
  });

  it("waits for Retry-After, in seconds or as a date", async () => {
    const inSeconds = await makeRefused((hook) => hook.fail(503, { "retry-after": "7200" }));
    await runUntil(inSeconds.scene, Date.now() + 3 * HOUR);
    expect(waitsOf(inSeconds.hook)[0]).toBe(2 * HOUR);

    const date = new Date(Date.now() + 3 * HOUR).toUTCString();
    const asDate = await makeRefused((hook) => hook.fail(503, { "retry-after": date }));
    await runUntil(asDate.scene, Date.now() + 4 * HOUR);
    expect(asDate.hook.deliveries[1]?.at).toBe(Date.parse(date));
  });

  it("is not kept from its retries by a Retry-After of years, or of nonsense", async () => {
    const years = await makeRefused((hook) => hook.fail(503, { "retry-after": "99999999" }));
    await runUntil(years.scene, Date.now() + 25 * HOUR);
    expect(waitsOf(years.hook)[0]).toBe(24 * HOUR);
    const nonsense = await makeRefused((hook) => hook.fail(503, { "retry-after": "soon" }));
    await runUntil(nonsense.scene, Date.now() + MINUTE);
    expect(waitsOf(nonsense.hook)[0]).toBeLessThan(6 * SECOND);
  });

  it.each([301, 302, 307, 308])(
    "with a redirect (%i) has failed, and the redirect is not followed",
    async (status) => {
      const followed: string[] = [];
      network.use(
        http.all("https://elsewhere.acme.dev/*", ({ request }) => {
          followed.push(request.url);
          return new HttpResponse(null, { status: 204 });
        }),
      );
      const { scene, hook } = await makeRefused((hook) =>
        hook.fail(status, { location: "https://elsewhere.acme.dev/rekey" }),
      );
      expect(hook.deliveries).toHaveLength(1);
      expect(followed).toEqual([]);
      expect((await scene.deliveries())[0]).toMatchObject({
        state: "pending",
        attempts: 1,
        lastCall: { status, code: "status" },
      });
    },
  );

  it("with no answer at all has failed too, and says so", async () => {
    const { scene } = await makeRefused((hook) => hook.answer(() => Response.error()));
    expect((await scene.deliveries())[0]).toMatchObject({
      state: "pending",
      attempts: 1,
      lastCall: { status: null, code: "network" },
    });
  });
});

describe("a receiver that answers 410", () => {
  it("is disabled at once, is sent nothing more, and an event says so", async () => {
    const { scene, hook } = await makeRefused((hook) => hook.fail(410));
    await runUntil(scene, Date.now() + 100 * HOUR);
    expect(hook.deliveries).toHaveLength(1);
    expect(hook.pings).toHaveLength(1);
    expect(await scene.destination("hook")).toMatchObject({ state: "disabled" });
    expect((await scene.deliveries())[0]).toMatchObject({ state: "failing", nextTryAt: null });
    const events = await scene.events("delivery.failing");
    expect(events).toHaveLength(1);
    expect(events[0]?.data).toMatchObject({ state: "disabled", problem: "hooks.acme.dev answered 410" });
  });

  it("to its very first ping is asked no more either", async () => {
    const scene = await makeScene();
    const hook = await scene.webhook("hook");
    hook.fail(410);
    await scene.key({ destinations: ["hook"] });
    await runUntil(scene, Date.now() + 100 * HOUR);
    expect(hook.messages).toHaveLength(1);
    expect(await scene.destination("hook")).toMatchObject({ state: "disabled" });
    expect((await scene.deliveries())[0]).toMatchObject({ state: "failing" });
  });

  it("gets what it missed when it is changed and answers a ping again", async () => {
    const { scene, hook } = await makeRefused((hook) => hook.fail(410));
    hook.up();
    await scene.must("PATCH", "/v1/destinations/hook", { config: { url: hook.url, secretMode: "plain" } });
    await quiet(scene);
    expect(scene.journal).toEqual(["hook: ping", "hook: key.version.ready v1 r1"]);
    expect(await scene.destination("hook")).toMatchObject({ state: "ready" });
  });

  it("blocks a rotation that needs it, which says so and does not ask it again", async () => {
    const { scene, hook } = await makeRefused((hook) => hook.fail(410));
    const { id } = await scene.rotate();
    await runUntil(scene, Date.now() + HOUR);
    expect(await scene.rotation(id)).toMatchObject({
      state: "blocked",
      problem: "hook: disabled, as it answered 410 Gone; test it or change it",
    });
    expect(hook.messages).toHaveLength(2);

    hook.up();
    await scene.must("POST", "/v1/destinations/hook/test");
    await runUntil(scene, Date.now() + 2 * HOUR + 12 * MINUTE);
    expect(await scene.rotation(id)).toMatchObject({ state: "succeeded" });
    expect(hook.versions).toEqual([1, 1, 2]);
  });

  it("is not asked for another key either", async () => {
    const { scene, hook } = await makeRefused((hook) => hook.fail(410));
    await scene.key({ name: "other", destinations: [{ id: "hook", required: false }] });
    await scene.rotate("other");
    await quiet(scene);
    expect(hook.messages).toHaveLength(2);
    const states = (await scene.deliveries("other")).map(({ state }) => state);
    expect(states.toSorted()).toEqual(["failing", "superseded"]);
    expect(await scene.stages("other")).toEqual(["previous", "current"]);
  });
});
