/** The same request is done once, however often and however fast it is sent. */
import { HttpResponse, http } from "msw";
import { describe, expect, it, vi } from "vitest";
import { makeKeyring, ROOT, request, type TestKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { network } from "../support/network.ts";
import {
  expectInvalid,
  expectProblem,
  furnish,
  makeAccessKey,
  makeKey,
  readTables,
  settle,
  snapshot,
} from "./fixtures.ts";

const headers = { "idempotency-key": "attempt-1" };
const issued = (name: string) => ({ name, provider: "issuer" });

const eventsOf = async (ring: TestKeyring) =>
  ((await readTables(ring)).event ?? []).filter(({ type }) => type !== "root.used").length;

interface Rotated {
  rotation: { id: string };
  secret?: string;
}

describe("a repeated POST", () => {
  it("of a test sends one ping", async () => {
    const ring = await makeKeyring();
    let pings = 0;
    network.use(
      http.post("https://hooks.acme.dev/once", () => {
        pings += 1;
        return new HttpResponse(null, { status: 204 });
      }),
    );
    const config = { url: "https://hooks.acme.dev/once", secretMode: "none" };
    await ring.call("POST", "/v1/destinations", { body: { name: "once", type: "webhook", config } });
    const send = () => ring.call("POST", "/v1/destinations/once/test", { headers });
    const first = await send();
    const second = await send();
    expect(first).toMatchObject({ status: 200, body: { ok: true, problem: null } });
    expect(second.body).toEqual(first.body);
    expect(pings).toBe(1);
  });

  it("of a key makes one key and shows its value again", async () => {
    const ring = await makeKeyring();
    const send = () => ring.call<{ secret: string }>("POST", "/v1/keys", { body: issued("a"), headers });
    const first = await send();
    const before = await snapshot(ring);
    const second = await send();
    expect(second).toMatchObject({ status: 201, body: first.body });
    expect(second.body.secret).toBe(first.body.secret);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("sent five times at once makes one key", async () => {
    const ring = await makeKeyring();
    const send = () => ring.call<{ secret: string }>("POST", "/v1/keys", { body: issued("a"), headers });
    const answers = await Promise.all([1, 2, 3, 4, 5].map(send));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    expect(new Set(answers.map(({ body }) => body.secret)).size).toBe(1);
    expect((await readTables(ring)).key).toHaveLength(1);
  });

  it("of an adopted value never shows it", async () => {
    const ring = await makeKeyring();
    const body = { ...issued("a"), fields: { secret: "an-old-value-of-ours" } };
    for (const _ of [1, 2]) {
      const answer = await ring.call("POST", "/v1/keys", { body, headers });
      expect(answer.status).toBe(201);
      expect(answer.body).not.toHaveProperty("secret");
    }
  });

  it("of a destination makes one, with the same signing secret", async () => {
    const ring = await makeKeyring();
    const config = { url: "https://hooks.acme.dev/rekey", secretMode: "none" };
    const send = () =>
      ring.call("POST", "/v1/destinations", { body: { name: "a", type: "webhook", config }, headers });
    const first = await send();
    const before = await snapshot(ring);
    expect(first.body.signingSecret).toMatch(/^whsec_/);
    expect(await send()).toMatchObject({ status: 201, body: first.body });
    expect(await snapshot(ring)).toEqual(before);
  });

  it("of a keyring makes one", async () => {
    const body = { name: `once-${crypto.randomUUID().slice(0, 8)}` };
    const own = { "idempotency-key": crypto.randomUUID() };
    const first = await request(ROOT, "POST", "/v1/keyrings", { body, headers: own });
    const second = await request(ROOT, "POST", "/v1/keyrings", { body, headers: own });
    expect(second).toMatchObject({ status: 201, body: first.body });
    const other = { body: { name: "another" }, headers: own };
    expectProblem(await request(ROOT, "POST", "/v1/keyrings", other), 422, "idempotency-mismatch");
    expectProblem(await request(ROOT, "POST", "/v1/keyrings", { body }), 409, "keyring-exists");
  });

  it("to rotate starts one rotation, live or over, and shows the same value", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "a");
    const send = () =>
      ring.call<Rotated>("POST", "/v1/keys/a/rotate", { body: { reveal: "inline" }, headers });
    const first = await send();
    expect(first.body.secret).toMatch(/^rekey_/);
    await settle(ring);
    const before = await snapshot(ring);
    const second = await send();
    expect(second.body.rotation.id).toBe(first.body.rotation.id);
    expect(second.body.secret).toBe(first.body.secret);
    await settle(ring);
    expect(await snapshot(ring)).toEqual(before);
    expect((await readTables(ring)).rotation).toHaveLength(1);
  });

  it.each(["", "?wait=10s"])(
    "to rotate%s, sent at once, starts one rotation and shows one value to all",
    async (query) => {
      const ring = await makeKeyring();
      await makeKey(ring, "a");
      const send = () =>
        ring.call<Rotated>("POST", `/v1/keys/a/rotate${query}`, { body: { reveal: "inline" }, headers });
      const answers = await Promise.all([1, 2, 3].map(send));
      expect(new Set(answers.map(({ body }) => body.rotation.id)).size).toBe(1);
      expect(answers[0]?.body.secret).toMatch(/^rekey_/);
      expect(new Set(answers.map(({ body }) => body.secret)).size).toBe(1);
      expect((await readTables(ring)).version).toHaveLength(2);
    },
  );

  it("to rotate, sent again while the first one waits for its value, waits with it", async () => {
    const ring = await makeKeyring();
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const asked = vi.fn();
    network.use(
      http.post("https://hooks.acme.dev/rekey", async () => {
        asked();
        await answered;
        return new HttpResponse(null, { status: 204 });
      }),
    );
    const config = { url: "https://hooks.acme.dev/rekey", secretMode: "none" };
    await ring.call("POST", "/v1/destinations", { body: { name: "hook", type: "webhook", config } });
    await makeKey(ring, "a");
    await ring.call("PATCH", "/v1/keys/a?rotate=true", { body: { destinations: [{ id: "hook" }] } });
    const send = () =>
      ring.call<Rotated>("POST", "/v1/keys/a/rotate", { body: { reveal: "inline" }, headers });
    const answers = [send(), send(), send()];
    await eventually(() => expect(asked).toHaveBeenCalled());
    await scheduler.wait(50);
    answer();
    const shown = (await Promise.all(answers)).map(({ body }) => body.secret);
    expect(shown[0]).toMatch(/^rekey_/);
    expect(new Set(shown).size).toBe(1);
    await settle(ring);
  });

  it("to revoke revokes once", async () => {
    const ring = await furnish();
    const body = { reason: "leaked", version: 1 };
    const send = () => ring.call("POST", "/v1/keys/billing/revoke", { body, headers });
    expect((await send()).status).toBe(200);
    await settle(ring);
    const events = await eventsOf(ring);
    // Without the header it would be a conflict: that version is dead.
    expectProblem(await ring.call("POST", "/v1/keys/billing/revoke", { body }), 409, "version-dead");
    expect((await send()).status).toBe(200);
    expect(await eventsOf(ring)).toBe(events);
  });
});

describe("an Idempotency-Key", () => {
  it("used with another body is refused, and nothing changes", async () => {
    const ring = await furnish();
    const posts: [path: string, one: object, other: object][] = [
      ["/v1/keys", issued("a"), issued("b")],
      ["/v1/destinations", { name: "a", type: "kv" }, { name: "b", type: "kv" }],
      ["/v1/keys/billing/rotate", {}, { reason: "again" }],
      ["/v1/keys/billing/revoke", { reason: "leaked" }, { reason: "leaked", version: 1 }],
    ];
    for (const [path, one, other] of posts) {
      expect((await ring.call("POST", path, { body: one, headers })).status).toBeLessThan(300);
      await settle(ring);
      const before = await snapshot(ring);
      expectProblem(
        await ring.call("POST", path, { body: other, headers }),
        422,
        "idempotency-mismatch",
        path,
      );
      expect(await snapshot(ring)).toEqual(before);
    }
  });

  it("of one credential is nothing to another, which never sees the first one's secret", async () => {
    const ring = await makeKeyring();
    const [one, other] = [
      await makeAccessKey(ring, ["keys:write"]),
      await makeAccessKey(ring, ["keys:write"]),
    ];
    const first = await one.call<{ secret: string }>("POST", "/v1/keys", { body: issued("a"), headers });
    for (const call of [other.call, ring.call]) {
      const answer = await call("POST", "/v1/keys", { body: issued("a"), headers });
      expectProblem(answer, 409, "name-taken");
      expect(JSON.stringify(answer.body)).not.toContain(first.body.secret);
      expect((await call("POST", "/v1/keys", { body: issued(crypto.randomUUID()), headers })).status).toBe(
        201,
      );
    }
  });

  it("belongs to the credential, not to one version of it", async () => {
    const ring = await makeKeyring();
    const { call, name } = await makeAccessKey(ring, ["keys:write"]);
    const first = await call("POST", "/v1/keys", { body: issued("a"), headers });
    const rotated = await ring.call<Rotated>("POST", `/v1/keys/${name}/rotate`, {
      body: { reveal: "inline" },
    });
    const again = await request(String(rotated.body.secret), "POST", "/v1/keys", {
      body: issued("a"),
      headers,
    });
    expect(again).toMatchObject({ status: 201, body: { id: first.body.id } });
  });

  it("is nothing to another route", async () => {
    const ring = await furnish();
    await makeKey(ring, "other");
    expect((await ring.call("POST", "/v1/keys", { body: issued("a"), headers })).status).toBe(201);
    const revoke = (key: string) =>
      ring.call("POST", `/v1/keys/${key}/revoke`, { body: { reason: "leaked" }, headers });
    expect((await revoke("billing")).body.name).toBe("billing");
    expect((await revoke("other")).body.name).toBe("other");
  });

  it("of a request that was refused is not remembered", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "a");
    const send = (body: object) => ring.call("POST", "/v1/keys", { body, headers });
    expectInvalid(await send({ name: "b" }), "provider");
    expectProblem(await send(issued("a")), 409, "name-taken");
    expect((await readTables(ring)).idempotency).toEqual([]);
    expect((await send(issued("b"))).status).toBe(201);
  });

  it.each([
    ["empty", ""],
    ["with a space", "a b"],
    ["of 256 characters", "x".repeat(256)],
  ])("that is %s is refused by name, and nothing changes", async (_, key) => {
    const ring = await makeKeyring();
    const before = await snapshot(ring);
    const answer = await ring.call("POST", "/v1/keys", {
      body: issued("a"),
      headers: { "idempotency-key": key },
    });
    expectInvalid(answer, "Idempotency-Key");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("of 255 characters is taken", async () => {
    const ring = await makeKeyring();
    const send = () =>
      ring.call("POST", "/v1/keys", { body: issued("a"), headers: { "idempotency-key": "~".repeat(255) } });
    expect([(await send()).status, (await send()).status]).toEqual([201, 201]);
  });

  it("is not read on a PATCH, which is the same however often it is sent", async () => {
    const ring = await furnish();
    for (const paused of [true, false]) {
      const { body } = await ring.call("PATCH", "/v1/keys/billing", { body: { paused }, headers });
      expect(body.paused).toBe(paused);
    }
  });
});
