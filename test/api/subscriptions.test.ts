/** /v1/subscriptions and /v1/settings. How events are sent is in test/rotation/subscriptions.test.ts. */
import { HttpResponse, http } from "msw";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { network, QUIET_URL } from "../support/network.ts";
import {
  expectInvalid,
  expectProblem,
  makeAccessKey,
  makeKey,
  readTables,
  settle,
  snapshot,
} from "./fixtures.ts";

/** Hears of nothing that these tests do. */
const QUIET = { name: "ops", url: QUIET_URL, types: ["chain.broken"] };
const SLACK_URL = "https://hooks.slack.com/services/T000/B000/canary-slack-token";
const DISCORD_URL = "https://discord.com/api/webhooks/123/canary-discord-token";

interface Subscription {
  id: string;
  state: string;
  signingSecret?: string;
}

async function make(ring: TestKeyring, more: object = {}): Promise<Subscription> {
  const made = await ring.call<Subscription>("POST", "/v1/subscriptions", { body: { ...QUIET, ...more } });
  expect(made.status).toBe(201);
  return made.body;
}

/** Answers every message with a status, and keeps what came. */
function listen(url: string, status = 204) {
  const seen: { headers: Record<string, string>; text: string }[] = [];
  network.use(
    http.post(url, async ({ request }) => {
      seen.push({ headers: Object.fromEntries(request.headers), text: await request.text() });
      return new HttpResponse(null, { status });
    }),
  );
  return seen;
}

describe("creating a subscription", () => {
  it("answers what it made, and the signing secret this once", async () => {
    const ring = await makeKeyring();
    const { signingSecret, ...shown } = await make(ring, { labels: { team: "payments" } });
    expect(signingSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(shown).toEqual({
      id: expect.stringMatching(/^sub_[0-9a-z]{26}$/),
      name: "ops",
      format: "standard",
      url: QUIET_URL,
      host: "quiet.acme.dev",
      hint: "ents",
      types: ["chain.broken"],
      labels: { team: "payments" },
      state: "unproven",
      sentSeq: expect.any(Number),
      behind: 0,
      skipped: [],
      unwellSince: null,
      missedSeq: 0,
      attempts: 0,
      nextTryAt: null,
      provenAt: null,
      lastCall: null,
      oldSecretUntil: null,
      createdAt: expect.any(String),
      createdBy: "root",
    });
    const { sentSeq: _, ...rest } = shown as typeof shown & { sentSeq: number };
    for (const path of [`/v1/subscriptions/${shown.id}`, "/v1/subscriptions/ops"]) {
      expect((await ring.call("GET", path)).body).toMatchObject(rest);
    }
    const { body } = await ring.call<{ items: unknown[] }>("GET", "/v1/subscriptions");
    expect(body).toMatchObject({ items: [rest], nextCursor: null });
  });

  it("again with the same Idempotency-Key makes one, with the same secret", async () => {
    const ring = await makeKeyring();
    const headers = { "idempotency-key": "once" };
    const send = () => ring.call<Subscription>("POST", "/v1/subscriptions", { body: QUIET, headers });
    const first = await send();
    const second = await send();
    expect(second).toMatchObject({ status: 201, body: { id: first.body.id } });
    expect(second.body.signingSecret).toBe(first.body.signingSecret);
    expect((await readTables(ring)).subscription).toHaveLength(1);
  });

  it("refuses a name that is taken, and a fifty-first, and changes nothing", async () => {
    const ring = await makeKeyring();
    const { id } = await make(ring);
    const taken = await ring.call("POST", "/v1/subscriptions", { body: QUIET });
    expect(expectProblem(taken, 409, "name-taken").holder).toBe(id);
    for (let n = 2; n <= 50; n++) await make(ring, { name: `ops-${n}` });
    const before = await snapshot(ring);
    const answer = await ring.call("POST", "/v1/subscriptions", { body: { ...QUIET, name: "more" } });
    expect(expectProblem(answer, 409, "limit-reached").detail).toMatch(/50/);
    expect(await snapshot(ring)).toEqual(before);
    expect((await ring.call("DELETE", "/v1/subscriptions/ops-2")).status).toBe(204);
    await make(ring, { name: "more" });
  });

  it.each<[string, object, ...string[]]>([
    ["nothing", { name: undefined, url: undefined, types: undefined }, "name", "url"],
    ["plain http", { url: "http://ops.acme.dev/" }, "url"],
    ["a private name", { url: "https://ops.internal/" }, "url"],
    ["an address", { url: "https://10.0.0.1/" }, "url"],
    ["a port", { url: "https://ops.acme.dev:8443/" }, "url"],
    ["what is no URL", { url: "ops" }, "url"],
    ["an unknown type", { types: ["key.rotated", "key.stolen"] }, "types.1"],
    ["an unknown prefix", { types: ["keys.*"] }, "types.0"],
    ["a type that is no text", { types: [1] }, "types.0"],
    ["types that are no list", { types: "key.*" }, "types"],
    ["a label that is no text", { labels: { team: 1 } }, "labels.team"],
    ["an unknown format", { format: "teams" }, "format"],
    ["an unknown field", { secret: "x" }, "secret"],
    ["a name that looks like an id", { name: "sub_1" }, "name"],
  ])("refuses %s by name, and changes nothing", async (_, change, ...fields) => {
    const ring = await makeKeyring();
    const before = await snapshot(ring);
    const answer = await ring.call("POST", "/v1/subscriptions", { body: { ...QUIET, ...change } });
    expectInvalid(answer, ...fields);
    expect(await snapshot(ring)).toEqual(before);
  });
});

describe("testing a subscription", () => {
  it("sends one signed ping and proves it", async () => {
    const ring = await makeKeyring();
    const { id, signingSecret = "" } = await make(ring);
    const seen = listen(QUIET_URL);
    const headers = { "idempotency-key": "once" };
    const test = () => ring.call("POST", "/v1/subscriptions/ops/test", { headers });
    expect(await test()).toMatchObject({
      status: 200,
      body: {
        ok: true,
        problem: null,
        call: { method: "POST", host: "quiet.acme.dev", status: 204, code: "ok" },
        subscription: { id, state: "ready", provenAt: expect.any(String) },
      },
    });
    expect((await test()).body).toMatchObject({ ok: true, problem: null, subscription: { state: "ready" } });
    expect(seen).toHaveLength(1);
    const [{ text, headers: sent }] = seen as [(typeof seen)[0]];
    expect(new Webhook(signingSecret).verify(text, sent)).toEqual({
      type: "ping",
      timestamp: expect.any(String),
      data: { subscriptionId: id },
    });
  });

  it.each([
    [500, "unproven"],
    [404, "unproven"],
    [410, "disabled"],
  ])("that answers %i says so and proves nothing", async (status, state) => {
    const ring = await makeKeyring();
    await make(ring);
    listen(QUIET_URL, status);
    expect((await ring.call("POST", "/v1/subscriptions/ops/test")).body).toMatchObject({
      ok: false,
      problem: `quiet.acme.dev answered ${status}`,
      call: { status, code: "status" },
      subscription: { state, provenAt: null },
    });
  });

  it("proves only the address that was tested, not one that came meanwhile", async () => {
    const ring = await makeKeyring();
    await make(ring);
    const url = "https://other.acme.dev/events";
    network.use(
      http.post(QUIET_URL, async () => {
        await ring.call("PATCH", "/v1/subscriptions/ops", { body: { url } });
        return new HttpResponse(null, { status: 204 });
      }),
    );
    await ring.call("POST", "/v1/subscriptions/ops/test");
    expect((await ring.call("GET", "/v1/subscriptions/ops")).body).toMatchObject({ url, state: "unproven" });
  });
});

describe("changing a subscription", () => {
  it("changes what is given and keeps the rest", async () => {
    const ring = await makeKeyring();
    const { id } = await make(ring, { labels: { team: "a" } });
    await ring.call("POST", "/v1/subscriptions/ops/test");
    const body = { name: "renamed", types: ["chain.*"] };
    const patched = await ring.call("PATCH", "/v1/subscriptions/ops", { body });
    expect(patched).toMatchObject({
      status: 200,
      body: { id, ...body, labels: { team: "a" }, url: QUIET_URL, state: "ready" },
    });
    expect(patched.body).not.toHaveProperty("signingSecret");
    expectProblem(await ring.call("GET", "/v1/subscriptions/ops"), 404, "not-found");
  });

  it("refuses what does not go, and changes nothing", async () => {
    const ring = await makeKeyring();
    const { id } = await make(ring);
    await make(ring, { name: "chat", url: SLACK_URL, format: "slack" });
    const before = await snapshot(ring);
    const patch = (name: string, body: object) => ring.call("PATCH", `/v1/subscriptions/${name}`, { body });
    expectInvalid(await patch("ops", {}), "");
    expectInvalid(await patch("ops", { format: "slack" }), "", "format");
    expectInvalid(await patch("ops", { url: "https://localhost/" }), "url");
    expectInvalid(await patch("chat", { rotateSecret: true }), "rotateSecret");
    expect(expectProblem(await patch("chat", { name: "ops" }), 409, "name-taken").holder).toBe(id);
    expect(await snapshot(ring)).toEqual(before);
    expect((await patch("ops", { name: "ops" })).status).toBe(200);
  });

  it("keeps five secrets at most, however often they are rotated in a day", async () => {
    const ring = await makeKeyring();
    const secrets = [String((await make(ring)).signingSecret)];
    for (let n = 0; n < 6; n++) {
      const { body } = await ring.call("PATCH", "/v1/subscriptions/ops", { body: { rotateSecret: true } });
      secrets.push(String(body.signingSecret));
    }
    const seen = listen(QUIET_URL);
    await ring.call("POST", "/v1/subscriptions/ops/test");
    const verified = secrets.map((secret) => {
      try {
        return new Webhook(secret).verify(seen[0]?.text ?? "", seen[0]?.headers ?? {}) !== undefined;
      } catch {
        return false;
      }
    });
    expect(verified).toEqual([false, false, true, true, true, true, true]);
  });
});

describe("sending again", () => {
  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["0", 0],
    ["a fraction", 1.5],
    ["a word", "yesterday"],
    ["a date without a time", "2026-01-01"],
  ])("since %s is refused, and nothing changes", async (_, since) => {
    const ring = await makeKeyring();
    await make(ring);
    const before = await snapshot(ring);
    expectInvalid(await ring.call("POST", "/v1/subscriptions/ops/replay", { body: { since } }), "since");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("with the same Idempotency-Key is done once", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "billing");
    const seen = listen(QUIET_URL);
    await make(ring, { types: ["key.created"] });
    const headers = { "idempotency-key": "once" };
    for (const _ of [1, 2]) {
      const body = { since: 1 };
      expect((await ring.call("POST", "/v1/subscriptions/ops/replay", { body, headers })).status).toBe(202);
      await settle(ring);
    }
    expect(seen.map(({ text }) => JSON.parse(text).type)).toEqual(["ping", "key.created"]);
  });
});

describe("a chat's webhook", () => {
  it.each([
    ["slack", SLACK_URL, "text", "hooks.slack.com"],
    ["discord", DISCORD_URL, "content", "discord.com"],
  ])(
    "of %s is posted to in its own form, and its address is shown and kept nowhere",
    async (format, url, field, host) => {
      const ring = await makeKeyring();
      const seen = listen(url, 200);
      const made = await make(ring, { name: "chat", url, format, types: ["key.*"] });
      expect(made).toMatchObject({ format, url: null, host, hint: "oken" });
      expect(made).not.toHaveProperty("signingSecret");
      await makeKey(ring, "billing");
      await settle(ring);
      expect(seen.map(({ text }) => String(JSON.parse(text)[field]).split("\n")[0])).toEqual([
        `Rekey: events of the keyring ${ring.name} will be posted here.`,
        `[${ring.name}] key.created · billing`,
      ]);
      expect(seen[0]?.headers).not.toHaveProperty("webhook-signature");
      const { call } = await makeAccessKey(ring, SCOPES);
      const answers = [
        made,
        (await call("GET", "/v1/subscriptions")).body,
        (await call("GET", "/v1/subscriptions/chat")).body,
        (await call("PATCH", "/v1/subscriptions/chat", { body: { types: [], url } })).body,
        (await call("POST", "/v1/subscriptions/chat/test")).body,
        (await call("GET", "/v1/events?limit=100")).body,
      ];
      await settle(ring);
      const rows = Object.values(await readTables(ring)).flat();
      const stored = rows
        .flatMap(Object.values)
        .map((value) =>
          value instanceof ArrayBuffer ? Buffer.from(value).toString("latin1") : String(value),
        );
      expect(stored.length).toBeGreaterThan(100);
      for (const text of [JSON.stringify(answers), stored.join("\n")]) {
        expect(text).not.toContain("canary");
        expect(text).not.toContain(Buffer.from(url).toString("base64").slice(0, -4));
      }
      await ring.call("DELETE", "/v1/subscriptions/chat");
    },
  );
});

describe("the history", () => {
  it("has all that happens to a subscription and to the settings", async () => {
    const ring = await makeKeyring();
    const { id } = await make(ring);
    await ring.call("PATCH", "/v1/subscriptions/ops", { body: { rotateSecret: true, name: "renamed" } });
    await ring.call("POST", "/v1/subscriptions/renamed/replay", { body: { since: 2 } });
    await ring.call("DELETE", "/v1/subscriptions/renamed");
    await ring.call("PATCH", "/v1/settings", { body: { heartbeat: "24h" } });
    const { body } = await ring.call<{ items: { type: string; actor: string; data: object }[] }>(
      "GET",
      "/v1/events",
    );
    const own = body.items.filter(
      ({ type }) => type.startsWith("subscription.") || type.startsWith("settings."),
    );
    expect(own.reverse()).toMatchObject([
      {
        type: "subscription.created",
        actor: "root",
        data: { subscriptionId: id, name: "ops", format: "standard" },
      },
      { type: "subscription.updated", data: { subscriptionId: id, changed: "name rotateSecret" } },
      { type: "subscription.updated", data: { subscriptionId: id, changed: "replay", fromSeq: 2 } },
      { type: "subscription.deleted", data: { subscriptionId: id, name: "renamed", droppedFrom: null } },
      { type: "settings.updated", data: { heartbeat: "24h" } },
    ]);
  });
});

describe("settings", () => {
  it("have a heartbeat that is off until it is turned on", async () => {
    const ring = await makeKeyring();
    expect((await ring.call("GET", "/v1/settings")).body).toMatchObject({ heartbeat: "0" });
    const set = async (heartbeat: string) => {
      expect(await ring.call("PATCH", "/v1/settings", { body: { heartbeat } })).toMatchObject({
        status: 200,
        body: { heartbeat },
      });
      expect((await ring.call("GET", "/v1/settings")).body).toMatchObject({ heartbeat });
    };
    await set("24h");
    await set("5m");
    await set("0");
  });

  it.each(["4m", "10s", "", "daily", "-1h", 5, null])("refuse a heartbeat of %j", async (heartbeat) => {
    const ring = await makeKeyring();
    const before = await snapshot(ring);
    expectInvalid(await ring.call("PATCH", "/v1/settings", { body: { heartbeat } }), "heartbeat");
    expect(await snapshot(ring)).toEqual(before);
  });
});
