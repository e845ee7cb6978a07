/** Leaks that somebody reports, and what is told of them. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { CompromiseView } from "../../src/keyring/compromise-view.ts";
import { makeKeyring, type TestKeyring } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import {
  expectInvalid,
  expectProblem,
  furnish,
  makeAccessKey,
  makeKey,
  settle,
  snapshot,
} from "./fixtures.ts";

const SOURCE = "a public repository";

const report = (ring: Pick<TestKeyring, "call">, body: object) =>
  ring.call<CompromiseView>("POST", "/v1/compromises", { body: { source: SOURCE, ...body } });

const read = async (ring: TestKeyring, id: string) =>
  (await ring.call<CompromiseView>("GET", `/v1/compromises/${id}`)).body;

const verdictOf = async (ring: TestKeyring, key: string) =>
  (await ring.call("POST", "/v1/verify", { body: { key } })).body.code;

/** Waits until all that a report named is seen dead. */
function closed(ring: TestKeyring, id: string): Promise<CompromiseView> {
  return eventually(async () => {
    const body = await read(ring, id);
    expect(body.state).toBe("closed");
    return body;
  }, 10_000);
}

describe("a value that is reported", () => {
  it("is replaced, refused at once and seen dead; the report tells each step", async () => {
    const ring = await furnish();
    const leaked = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    const { status, body } = await report(ring, { secret: leaked, url: "https://paste.acme.dev/1" });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^cmp_/),
      source: "api",
      reporter: "root",
      reports: 1,
      leaks: 1,
    });
    expect(body.items).toEqual([
      expect.objectContaining({
        kind: "version",
        key: ring.key,
        keyName: "billing",
        version: 2,
        stageThen: "current",
        action: "started",
        source: SOURCE,
        url: "https://paste.acme.dev/1",
        rotation: expect.stringMatching(/^rot_/),
      }),
    ]);
    const done = await closed(ring, body.id);
    expect(done.secondsToDead).toBeGreaterThanOrEqual(0);
    const [item] = done.items;
    expect(item).toMatchObject({ stage: "revoked", confirmed: true, todo: [] });
    expect(item?.deliveries).toMatchObject([{ state: "delivered", version: 3 }]);
    const whats = item?.timeline.map(({ what }) => what) ?? [];
    expect(whats[0]).toBe("reported (api)");
    for (const what of [
      "acted on: started",
      "replacement started",
      "version 3 made",
      "version 3 current",
      "version 2 seen refused",
      "version 3 held by store",
    ])
      expect(whats).toContain(what);
    const seconds = item?.timeline.map((moment) => moment.seconds) ?? [];
    expect(seconds).toEqual(seconds.toSorted((one, other) => one - other));
    expect(await verdictOf(ring, leaked)).toBe("revoked");
    const held = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    expect(await verdictOf(ring, held)).toBe("valid");
  });

  it("is told as Markdown, too, for who asks", async () => {
    const ring = await furnish();
    const leaked = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    const { body } = await report(ring, { secret: leaked, source: "a `paste`\n# heading" });
    await closed(ring, body.id);
    const answer = await ring.call<string>("GET", `/v1/compromises/${body.id}`, {
      headers: { accept: "text/markdown" },
    });
    expect(answer.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
    const text = answer.body;
    expect(text).toContain(`# Leak report ${body.id}`);
    expect(text).toContain("## `billing`, version 2");
    expect(text).toMatch(/\| \d{4}-\S+Z \| \d+(\.\d)? m?s \| version 2 seen refused \|/);
    expect(text).toMatch(/until all were seen dead: \d/);
    expect(text).not.toMatch(/^# heading/m);
    expect(text).not.toContain(leaked);
  });

  it("is found in every stage: one in grace is revoked and nothing else, one that is dead changes nothing", async () => {
    const ring = await furnish();
    const second = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    await ring.call("POST", "/v1/keys/billing/rotate?wait=10s", { body: {} });
    const { body } = await report(ring, { secret: second });
    expect(body.items).toMatchObject([
      { version: 2, stageThen: "previous", action: "revoked", rotation: null },
    ]);
    await closed(ring, body.id);
    await settle(ring);
    expect((await ring.call("GET", "/v1/keys/billing")).body).toMatchObject({ currentVersion: 3 });
    const before = await snapshot(ring);
    const again = await report(ring, { secret: second });
    expect(again.body.items).toMatchObject([{ version: 2, stageThen: "revoked", action: "none" }]);
    await settle(ring);
    const after = await snapshot(ring);
    // Only the report itself was written.
    expect({ ...(after as object), compromise: 0, leak: 0 }).toEqual({
      ...(before as object),
      compromise: 0,
      leak: 0,
    });
  });

  it("that is nobody's is told so, and changes nothing", async () => {
    const ring = await furnish();
    const { status, body } = await report(ring, { secret: "nobody-has-this-value" });
    expect(status).toBe(201);
    expect(body).toMatchObject({ leaks: 0, items: [], state: "closed", secondsToDead: null });
  });

  it("is found by its fingerprint, which its key shows, when it came from outside", async () => {
    const ring = await makeKeyring();
    const { id } = await makeKey(ring, "legacy", { fields: { secret: "an-old-value-of-ours" } });
    const key = await ring.call<{ versions: { fingerprint: string | null }[] }>("GET", `/v1/keys/${id}`);
    const [{ fingerprint } = { fingerprint: null }] = key.body.versions;
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    const { body } = await report(ring, { fingerprint });
    expect(body.items).toMatchObject([{ keyName: "legacy", version: 1, action: "started" }]);
    await closed(ring, body.id);
    expect(await verdictOf(ring, "an-old-value-of-ours")).toBe("revoked");
  });

  it("of an access key ends that key's use of the API", async () => {
    const ring = await furnish();
    const access = await makeAccessKey(ring, ["keys:read"]);
    expect((await access.call("GET", "/v1/keys")).status).toBe(200);
    const { body } = await report(ring, { secret: access.secret });
    expect(body.items).toMatchObject([{ keyName: access.name, action: "started" }]);
    await closed(ring, body.id);
    expectProblem(await access.call("GET", "/v1/keys"), 401, "credential-revoked");
  });

  it("whose replacement goes nowhere leaves no cooldown: its owner asks for the next one", async () => {
    const ring = await makeKeyring();
    const access = await makeAccessKey(ring, ["keys:read"]);
    const { body } = await report(ring, { secret: access.secret });
    await closed(ring, body.id);
    const { items } = (
      await ring.call<{ items: { type: string; data: { todo: string } }[] }>(
        "GET",
        "/v1/events?type=key.compromised",
      )
    ).body;
    expect(items[0]?.data.todo).toContain(`POST /v1/keys/${access.id}/rotate`);
    const next = await ring.call<{ secret: string }>("POST", `/v1/keys/${access.id}/rotate?wait=10s`, {
      body: { reveal: "inline" },
    });
    expect(next.status).toBe(200);
    expect((await ring.call("POST", "/v1/verify", { body: { key: next.body.secret } })).body.code).toBe(
      "valid",
    );
  });
});

describe("a key that is only named", () => {
  it("has its current version replaced, and then not again for a while, unless a version is named", async () => {
    const ring = await furnish();
    const first = await report(ring, { key: "billing" });
    expect(first.body.items).toMatchObject([{ version: 2, action: "started" }]);
    await closed(ring, first.body.id);
    await settle(ring);
    const refused = expectProblem(await report(ring, { key: "billing" }), 409, "emergency-cooldown");
    expect(Date.parse(refused.retryAt ?? "")).toBeGreaterThan(Date.now());
    const named = await report(ring, { key: "billing", version: 3 });
    expect(named.body.items).toMatchObject([{ version: 3, action: "started" }]);
    await closed(ring, named.body.id);
    // The new value itself is proof, a moment later.
    await settle(ring);
    const leaked = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    expect((await report(ring, { secret: leaked })).body.items).toMatchObject([
      { version: 4, action: "started" },
    ]);
  });

  it("joins the emergency that is under way", async () => {
    const ring = await furnish();
    const [one, other] = await Promise.all([
      report(ring, { key: "billing" }),
      report(ring, { key: "billing" }),
    ]);
    const rotations = [one, other].map(({ body }) => body.items[0]?.rotation ?? null);
    expect(new Set(rotations).size).toBe(1);
  });

  it("or a version of it, has to be there", async () => {
    const ring = await furnish();
    expectProblem(await report(ring, { key: "nobody" }), 404, "not-found");
    expectProblem(await report(ring, { key: "billing", version: 9 }), 404, "not-found");
  });
});

describe("a report", () => {
  it("is of exactly one thing", async () => {
    const ring = await furnish();
    expectInvalid(await report(ring, {}), "secret");
    expectInvalid(await report(ring, { secret: "12345678", key: "billing" }), "secret");
    expectInvalid(await report(ring, { secret: "12345678", version: 1 }), "version");
    expectInvalid(await report(ring, { fingerprint: "abc" }), "fingerprint");
  });

  it("keeps nothing of the value, wherever somebody put it", async () => {
    const ring = await furnish();
    const leaked = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    const url = `https://paste.acme.dev/?q=${encodeURIComponent(leaked)}&again=${leaked}`;
    const { body } = await report(ring, { secret: leaked, url, source: `seen as ${leaked}` });
    expect(body.items[0]).toMatchObject({
      url: "https://paste.acme.dev/?q=[value]&again=[value]",
      source: "seen as [value]",
    });
    const done = await closed(ring, body.id);
    expect(JSON.stringify(done)).not.toContain(leaked);
    await settle(ring);
    expect(JSON.stringify(await snapshot(ring))).not.toContain(leaked);
  });

  it("sent again under the same Idempotency-Key is the same report", async () => {
    const ring = await furnish();
    const headers = { "idempotency-key": "leak-1" };
    const body = { key: "billing", source: SOURCE };
    const [one, other] = [
      await ring.call("POST", "/v1/compromises", { body, headers }),
      await ring.call("POST", "/v1/compromises", { body, headers }),
    ];
    expect(other.status).toBe(201);
    expect(other.body.id).toBe(one.body.id);
    const list = await ring.call<{ items: { id: string }[] }>("GET", "/v1/compromises");
    expect(list.body.items.map(({ id }) => id)).toEqual([one.body.id]);
  });

  it("by name needs the right to act on that key; by value it is proof enough", async () => {
    const ring = await furnish();
    const agent = await makeAccessKey(ring, ["keys:revoke", "keys:read"], { role: "agent", subject: "bot" });
    expectProblem(await report(agent, { key: "billing" }), 403, "not-yours");
    const leaked = (await env.KEYS.get(`${ring.name}/billing`)) ?? "";
    expect((await report(agent, { secret: leaked })).body.items).toMatchObject([{ action: "started" }]);
  });

  it("is listed newest first, by whether it matched", async () => {
    const ring = await furnish();
    const none = await report(ring, { secret: "nobody-has-this-value" });
    await scheduler.wait(2);
    const some = await report(ring, { key: "billing" });
    const ids = async (query: string) =>
      (await ring.call<{ items: { id: string }[] }>("GET", `/v1/compromises${query}`)).body.items.map(
        ({ id }) => id,
      );
    expect(await ids("")).toEqual([some.body.id, none.body.id]);
    expect(await ids("?matched=true")).toEqual([some.body.id]);
    expect(await ids("?matched=false")).toEqual([none.body.id]);
    expectProblem(await ring.call("GET", "/v1/compromises/cmp_none"), 404, "not-found");
  });
});
