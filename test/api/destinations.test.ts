import { HttpResponse, http } from "msw";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { network } from "../support/network.ts";
import { expectProblem, furnish, makeKey, readTables, settle, snapshot } from "./fixtures.ts";

const URL_OUT = "https://hooks.acme.dev/rekey";

interface Destination {
  id: string;
  state: string;
  provenAt: string | null;
  signingSecret?: string;
}

async function makeHook(ring: TestKeyring, config: object = {}): Promise<Destination> {
  const body = { name: "hook", type: "webhook", config: { url: URL_OUT, secretMode: "plain", ...config } };
  const made = await ring.call<Destination>("POST", "/v1/destinations", { body });
  expect(made.status).toBe(201);
  return made.body;
}

/** Answers every message with a status, and keeps what came. */
function listen(url = URL_OUT, status = 204) {
  const seen: { headers: Record<string, string>; text: string; type: string }[] = [];
  network.use(
    http.post(url, async ({ request }) => {
      const text = await request.text();
      seen.push({ headers: Object.fromEntries(request.headers), text, type: JSON.parse(text).type });
      return new HttpResponse(null, { status });
    }),
  );
  return seen;
}

/** A promise and the way to keep it. */
function signal() {
  let give = () => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { give, given };
}

describe("creating a destination", () => {
  it("answers what it made, and a webhook's signing secret this once", async () => {
    const ring = await makeKeyring();
    const { signingSecret, ...shown } = await makeHook(ring, { propagation: "10s" });
    expect(signingSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(shown).toEqual({
      id: expect.stringMatching(/^dst_[0-9a-z]{26}$/),
      name: "hook",
      type: "webhook",
      config: { url: URL_OUT, secretMode: "plain", propagation: "10s" },
      state: "unproven",
      provenAt: null,
      lastCall: null,
      opensAt: null,
      usedBy: [],
      createdAt: expect.any(String),
      createdBy: "root",
    });
    for (const path of [`/v1/destinations/${shown.id}`, "/v1/destinations/hook"]) {
      expect((await ring.call("GET", path)).body).toEqual(shown);
    }
    expect((await ring.call("GET", "/v1/destinations")).body).toEqual({ items: [shown], nextCursor: null });
  });

  it("gives KV no secret, and two webhooks different ones", async () => {
    const [one, other] = [await makeKeyring(), await makeKeyring()];
    const kv = await one.call("POST", "/v1/destinations", { body: { name: "kv", type: "kv" } });
    expect(kv.body).not.toHaveProperty("signingSecret");
    expect((await makeHook(one)).signingSecret).not.toBe((await makeHook(other)).signingSecret);
  });

  it("asks nobody yet", async () => {
    const ring = await makeKeyring();
    await makeHook(ring);
    await settle(ring);
  });

  it("refuses a name that is taken, and changes nothing", async () => {
    const ring = await makeKeyring();
    const { id } = await makeHook(ring);
    const before = await snapshot(ring);
    const again = await ring.call("POST", "/v1/destinations", { body: { name: "hook", type: "kv" } });
    expect(expectProblem(again, 409, "name-taken").holder).toBe(id);
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("testing a destination", () => {
  it("sends one signed ping without any secret in it, and proves the destination", async () => {
    const ring = await makeKeyring();
    const { id, signingSecret } = await makeHook(ring);
    const seen = listen();
    const tested = await ring.call<{ destination: Destination }>("POST", "/v1/destinations/hook/test");
    expect(tested).toMatchObject({
      status: 200,
      body: {
        ok: true,
        problem: null,
        call: { method: "POST", host: "hooks.acme.dev", status: 204, code: "ok" },
        destination: { id, state: "ready", provenAt: expect.any(String) },
      },
    });
    const [ping] = seen;
    expect(seen).toHaveLength(1);
    expect(new Webhook(String(signingSecret)).verify(ping?.text ?? "", ping?.headers ?? {})).toEqual({
      type: "ping",
      timestamp: expect.any(String),
      data: { destinationId: id },
    });
  });

  it.each([
    [400, "hooks.acme.dev answered 400", "unproven"],
    [500, "hooks.acme.dev answered 500", "unproven"],
    [410, "hooks.acme.dev answered 410", "disabled"],
  ])("that answers %i says so and proves nothing", async (status, problem, state) => {
    const ring = await makeKeyring();
    await makeHook(ring);
    listen(URL_OUT, status);
    const { body } = await ring.call("POST", "/v1/destinations/hook/test");
    expect(body).toMatchObject({
      ok: false,
      problem,
      call: { status, code: "status" },
      destination: { state, provenAt: null },
    });
  });

  it("that does not answer says so", async () => {
    const ring = await makeKeyring();
    await makeHook(ring);
    network.use(http.post(URL_OUT, () => HttpResponse.error()));
    const { body } = await ring.call("POST", "/v1/destinations/hook/test");
    expect(body).toMatchObject({ ok: false, call: { status: null, code: "network" } });
  });

  it("sends what waited for it", async () => {
    const ring = await makeKeyring();
    await makeHook(ring);
    listen(URL_OUT, 503);
    await makeKey(ring, "billing", { destinations: [{ id: "hook" }] });
    await eventually(async () => {
      const { body } = await ring.call("GET", "/v1/deliveries");
      expect(body.items).toMatchObject([{ state: "pending", lastCall: { status: 503 } }]);
    });
    const seen = listen();
    await ring.call("POST", "/v1/destinations/hook/test");
    await settle(ring);
    expect(seen.map(({ type }) => type)).toEqual(["ping", "key.version.ready"]);
  });

  it("proves only the config that was tested, not one that came meanwhile", async () => {
    const ring = await makeKeyring();
    await makeHook(ring);
    const answer = signal();
    let isAsked = false;
    network.use(
      http.post(URL_OUT, async () => {
        isAsked = true;
        await answer.given;
        return new HttpResponse(null, { status: 204 });
      }),
    );
    const testing = ring.call("POST", "/v1/destinations/hook/test");
    await eventually(() => expect(isAsked).toBe(true));
    const config = { url: "https://hooks.other.dev/rekey", secretMode: "plain" };
    await ring.call("PATCH", "/v1/destinations/hook", { body: { config } });
    answer.give();
    await testing;
    expect((await ring.call("GET", "/v1/destinations/hook")).body).toMatchObject({
      config,
      state: "unproven",
    });
  });
});

describe("changing a destination", () => {
  it("to another name keeps what it proved, its secret and who uses it", async () => {
    const ring = await makeKeyring();
    const { id, signingSecret } = await makeHook(ring);
    const seen = listen();
    await ring.call("POST", "/v1/destinations/hook/test");
    await ring.call("PATCH", "/v1/destinations/hook", { body: { name: "renamed" } });
    expect((await ring.call("GET", "/v1/destinations/renamed")).body).toMatchObject({ id, state: "ready" });
    expectProblem(await ring.call("GET", "/v1/destinations/hook"), 404, "not-found");
    await ring.call("POST", "/v1/destinations/renamed/test");
    for (const { text, headers } of seen) new Webhook(String(signingSecret)).verify(text, headers);
  });

  it("to a name that is taken is refused; to its own it is not", async () => {
    const ring = await furnish();
    const before = await snapshot(ring);
    const refused = await ring.call("PATCH", "/v1/destinations/spare", { body: { name: "store" } });
    expect(expectProblem(refused, 409, "name-taken").holder).toBe(ring.destination);
    expect(await snapshot(ring)).toEqual(before);
    expect((await ring.call("PATCH", "/v1/destinations/store", { body: { name: "store" } })).status).toBe(
      200,
    );
  });

  it("to another place makes it prove itself again, with the same secret, before it is sent anything", async () => {
    const ring = await makeKeyring();
    const { signingSecret } = await makeHook(ring);
    listen();
    await makeKey(ring, "billing", { destinations: [{ id: "hook" }] });
    await settle(ring);
    const elsewhere = "https://hooks.other.dev/rekey";
    const config = { url: elsewhere, secretMode: "none" };
    const patched = await ring.call("PATCH", "/v1/destinations/hook", { body: { config } });
    expect(patched.body).toMatchObject({ config, state: "unproven", provenAt: null });
    const seen = listen(elsewhere);
    await ring.call("POST", "/v1/keys/billing/rotate?wait=10s", { body: {} });
    await settle(ring);
    expect(seen.map(({ type }) => type)).toEqual(["ping", "key.version.ready"]);
    for (const { text, headers } of seen) new Webhook(String(signingSecret)).verify(text, headers);
    expect(seen[1]?.text).not.toContain("fields");
  });

  it("while a value is on its way sends it again to the new place", async () => {
    const ring = await makeKeyring();
    await makeHook(ring);
    const answer = signal();
    let isAsked = false;
    network.use(
      http.post(URL_OUT, async ({ request }) => {
        if ((await request.text()).includes("key.version.ready")) {
          isAsked = true;
          await answer.given;
        }
        return new HttpResponse(null, { status: 204 });
      }),
    );
    await makeKey(ring, "billing", { destinations: [{ id: "hook" }] });
    await eventually(() => expect(isAsked).toBe(true));
    const elsewhere = "https://hooks.other.dev/rekey";
    const seen = listen(elsewhere);
    const config = { url: elsewhere, secretMode: "plain" };
    await ring.call("PATCH", "/v1/destinations/hook", { body: { config } });
    answer.give();
    await settle(ring);
    expect(seen.map(({ type }) => type)).toEqual(["ping", "key.version.ready"]);
    const { body } = await ring.call("GET", "/v1/deliveries");
    expect(body.items).toMatchObject([{ state: "delivered", lastCall: { host: "hooks.other.dev" } }]);
  });
});

describe("deleting a destination", () => {
  it("is refused while keys use it, which are named, and changes nothing", async () => {
    const ring = await furnish();
    const before = await snapshot(ring);
    const refused = await ring.call("DELETE", "/v1/destinations/store");
    expect(expectProblem(refused, 409, "in-use").usedBy).toEqual([ring.key]);
    expect((await ring.call("GET", "/v1/destinations/store")).body.usedBy).toEqual([ring.key]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("works once nobody does, and takes its secret with it", async () => {
    const ring = await makeKeyring();
    const { id } = await makeHook(ring);
    expect(await ring.call("DELETE", "/v1/destinations/hook")).toMatchObject({ status: 204, body: null });
    for (const path of ["/v1/destinations/hook", `/v1/destinations/${id}`]) {
      expectProblem(await ring.call("GET", path), 404, "not-found");
    }
    expect((await readTables(ring)).destination).toEqual([]);
    await makeHook(ring);
  });

  it("and all that happens to it is in the history", async () => {
    const ring = await makeKeyring();
    const { id } = await makeHook(ring);
    await ring.call("PATCH", "/v1/destinations/hook", { body: { name: "renamed" } });
    await ring.call("DELETE", "/v1/destinations/renamed");
    const { body } = await ring.call<{ items: { type: string; data: object }[] }>("GET", "/v1/events");
    const own = body.items.filter(({ type }) => type.startsWith("destination."));
    expect(own).toMatchObject([
      { type: "destination.deleted", data: { destinationId: id, name: "renamed" } },
      { type: "destination.updated", data: { destinationId: id, changed: "name" } },
      { type: "destination.created", data: { destinationId: id, name: "hook", destinationType: "webhook" } },
    ]);
  });
});
