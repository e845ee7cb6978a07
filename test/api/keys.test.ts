import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { makeKeyring } from "../support/api.ts";
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

describe("creating a key", () => {
  it("shows the issued value once and verifies it", async () => {
    const ring = await makeKeyring();
    const made = await ring.call<{ id: string; secret: string }>("POST", "/v1/keys", {
      body: { name: "billing", provider: "issuer", prefix: "sk_live" },
    });
    expect(made.status).toBe(201);
    expect(made.body.secret).toMatch(/^sk_live_[0-9A-Za-z]{74}$/);
    const read = await ring.call("GET", "/v1/keys/billing");
    expect(JSON.stringify(read.body)).not.toContain(made.body.secret);
    const verdict = await ring.call("POST", "/v1/verify", { body: { key: made.body.secret } });
    expect(verdict.body).toMatchObject({ code: "valid", keyId: made.body.id, version: 1 });
  });

  it("answers all that it was given and what it made of it", async () => {
    const ring = await furnish();
    const given = {
      name: "gateway",
      provider: "issuer",
      prefix: "acme",
      scopes: ["read", "write"],
      role: "agent",
      subject: "customer-7",
      labels: { team: "payments", "env/stage": "" },
      policy: { maxAge: "30d", grace: "48h" },
    };
    const made = await ring.call<{ id: string; secret: string }>("POST", "/v1/keys", {
      body: { ...given, expiresAt: "2999-01-31T12:00:00+02:00", destinations: [{ id: "store" }] },
    });
    const { secret, ...shown } = made.body;
    expect(shown).toEqual({
      ...given,
      connection: null,
      config: {},
      due: null,
      id: expect.stringMatching(/^key_[0-9a-z]{26}$/),
      expiresAt: "2999-01-31T10:00:00.000Z",
      sharedPolicy: null,
      edge: false,
      rateLimit: null,
      usage: null,
      paused: false,
      state: "active",
      revision: 1,
      currentVersion: 1,
      cooldownUntil: null,
      nextRotationAt: expect.any(String),
      createdAt: expect.any(String),
      createdBy: "root",
      health: "healthy",
      destinations: [{ id: ring.destination, required: true, mustAcknowledge: false, as: "gateway" }],
      versions: [
        {
          number: 1,
          stage: "current",
          hint: secret.slice(-4),
          fingerprint: null,
          issuedAt: expect.any(String),
          expiresAt: null,
          promotedAt: expect.any(String),
          graceEndsAt: null,
          heldSince: null,
          endReason: null,
          revokedAt: null,
          confirmed: false,
          lastSeenAt: null,
          nextTryAt: null,
          due: null,
        },
      ],
      rotation: null,
    });
    const { body } = await ring.call("GET", "/v1/keys/gateway");
    expect(body).toEqual(shown);
    expect((await ring.call("GET", `/v1/keys/${shown.id}`)).body).toEqual(body);
  });

  it("plans the first rotation by the age of its value", async () => {
    const ring = await furnish();
    const more = { policy: { maxAge: "30d" }, destinations: [{ id: "spare" }] };
    await makeKey(ring, "fresh", more);
    const { body } = await ring.call<{ createdAt: string; nextRotationAt: string }>("GET", "/v1/keys/fresh");
    expect(Date.parse(body.nextRotationAt) - Date.parse(body.createdAt)).toBe(30 * 86_400_000);
  });

  it("delivers the value to its destinations by itself, under the name that was asked for", async () => {
    const ring = await furnish();
    const { secret } = await makeKey(ring, "fresh", { destinations: [{ id: "store", as: "FRESH_KEY" }] });
    await settle(ring);
    expect(await env.KEYS.get(`${ring.name}/FRESH_KEY`)).toBe(secret);
    const { body } = await ring.call("GET", "/v1/deliveries?key=fresh");
    expect(body.items).toMatchObject([
      {
        version: 1,
        revision: 1,
        state: "delivered",
        as: "FRESH_KEY",
        destination: ring.destination,
        rotation: null,
      },
    ]);
  });

  it("keeps the value sealed for its destinations, and only a hash of it when there are none", async () => {
    const ring = await furnish();
    const keys = [
      await makeKey(ring, "delivered", { destinations: [{ id: "spare" }] }),
      await makeKey(ring, "undelivered"),
    ];
    const { version = [] } = await readTables(ring);
    const [delivered, undelivered] = keys.map(({ id }) => version.find(({ keyId }) => keyId === id));
    expect(delivered?.sealed).toBeInstanceOf(ArrayBuffer);
    expect(undelivered?.sealed).toBeNull();
    expect(undelivered?.digest).toBeInstanceOf(ArrayBuffer);
  });

  it("refuses a name that another key has, until that key is gone", async () => {
    const ring = await makeKeyring();
    const { id } = await makeKey(ring, "billing");
    const again = () =>
      ring.call<{ id: string }>("POST", "/v1/keys", { body: { name: "billing", provider: "issuer" } });
    const before = await snapshot(ring);
    expect(expectProblem(await again(), 409, "name-taken").holder).toBe(id);
    expect(await snapshot(ring)).toEqual(before);
    await ring.call("POST", "/v1/keys/billing/revoke", { body: { reason: "a test" } });
    expectProblem(await again(), 409, "name-taken");
    await ring.call("DELETE", "/v1/keys/billing");
    await settle(ring);
    const made = await again();
    expect(made.status).toBe(201);
    expect((await ring.call("GET", "/v1/keys/billing")).body.id).toBe(made.body.id);
    expect((await ring.call("GET", `/v1/keys/${id}`)).body).toMatchObject({ state: "deleted" });
  });

  it("refuses to let two keys write to one name, and changes nothing", async () => {
    const ring = await furnish();
    const before = await snapshot(ring);
    const body = { name: "other", provider: "issuer", destinations: [{ id: "store", as: "billing" }] };
    const refused = expectProblem(await ring.call("POST", "/v1/keys", { body }), 409, "target-taken");
    expect(refused.holder).toBe(ring.key);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("knows that two KV destinations are one place", async () => {
    const ring = await furnish();
    const destinations = [{ id: "store" }, { id: "spare" }];
    const body = { name: "twice", provider: "issuer", destinations };
    expectProblem(await ring.call("POST", "/v1/keys", { body }), 409, "target-taken");
  });

  it("is an event that names who did it and holds no secret", async () => {
    const ring = await makeKeyring();
    const { id, call } = await makeAccessKey(ring, ["keys:write", "events:read"]);
    const made = await call<{ id: string; secret: string }>("POST", "/v1/keys", {
      body: { name: "a", provider: "issuer" },
    });
    const { body } = await call("GET", `/v1/events?key=${made.body.id}`);
    expect(body.items).toMatchObject([
      {
        type: "key.created",
        actor: id,
        key: made.body.id,
        data: { name: "a", provider: "issuer", adopted: false },
      },
    ]);
    expect(JSON.stringify(body)).not.toContain(made.body.secret);
  });
});

describe("adopting a value", () => {
  const secret = "an-old-value-of-ours";

  it("never shows it again, not even in the answer", async () => {
    const ring = await furnish();
    const made = await ring.call("POST", "/v1/keys", {
      body: { name: "legacy", provider: "issuer", fields: { secret }, destinations: [{ id: "store" }] },
    });
    expect(made.status).toBe(201);
    expect(made.body).not.toHaveProperty("secret");
    expect(made.body.versions).toMatchObject([{ number: 1, stage: "current", hint: "ours" }]);
    expect(JSON.stringify(made.body)).not.toContain(secret);
    await settle(ring);
    expect(await env.KEYS.get(`${ring.name}/legacy`)).toBe(secret);
  });

  it("writes all its fields where it has several", async () => {
    const ring = await furnish();
    const fields = { secret, user: "legacy-user" };
    await makeKey(ring, "legacy", { fields, destinations: [{ id: "store" }] });
    await settle(ring);
    expect(JSON.parse((await env.KEYS.get(`${ring.name}/legacy`)) ?? "")).toEqual(fields);
  });

  it("counts its age from when it was made", async () => {
    const ring = await furnish();
    const made = await makeKey(ring, "legacy", {
      fields: { secret },
      issuedAt: "2026-01-01T00:00:00Z",
      policy: { maxAge: "30d" },
      destinations: [{ id: "spare" }],
    });
    expect(made).toMatchObject({
      nextRotationAt: "2026-01-31T00:00:00.000Z",
      versions: [{ issuedAt: "2026-01-01T00:00:00.000Z" }],
    });
  });

  it("refuses one that is kept here already, even after it was revoked", async () => {
    const ring = await makeKeyring();
    await makeKey(ring, "legacy", { fields: { secret } });
    const again = () =>
      ring.call("POST", "/v1/keys", { body: { name: "again", provider: "issuer", fields: { secret } } });
    expectInvalid(await again(), "fields.secret");
    await ring.call("DELETE", "/v1/keys/legacy");
    await settle(ring);
    expectInvalid(await again(), "fields.secret");
  });
});

describe("listing keys", () => {
  const names = async (ring: Awaited<ReturnType<typeof makeKeyring>>, query: string) => {
    const { body } = await ring.call<{ items: { name: string }[] }>("GET", `/v1/keys${query}`);
    return body.items.map(({ name }) => name);
  };

  it("shows each without its versions, in order of creation", async () => {
    const ring = await makeKeyring();
    for (const name of ["c", "a", "b"]) await makeKey(ring, name);
    expect(await names(ring, "")).toEqual(["c", "a", "b"]);
    const { body } = await ring.call<{ items: object[] }>("GET", "/v1/keys");
    for (const item of body.items) {
      expect(item).toHaveProperty("currentVersion", 1);
      expect(item).not.toHaveProperty("versions");
      expect(item).not.toHaveProperty("secret");
    }
  });

  it("keeps to state, provider, label and due time, alone and together", async () => {
    const ring = await furnish();
    const labels = { team: "payments", q: "a=b" };
    await makeKey(ring, "labelled", { labels });
    await makeKey(ring, "revoked", { labels });
    await ring.call("POST", "/v1/keys/revoked/revoke", { body: { reason: "a test" } });
    await makeKey(ring, "deleted");
    await ring.call("DELETE", "/v1/keys/deleted");
    await makeKey(ring, "old", {
      fields: { secret: "an-old-value" },
      issuedAt: "2026-01-01T00:00:00Z",
      policy: { maxAge: "30d" },
      destinations: [{ id: "spare" }],
    });
    const { name: access } = await makeAccessKey(ring, ["keys:read"]);
    await settle(ring);

    expect(await names(ring, "")).toEqual(["billing", "labelled", "revoked", "old", access]);
    expect(await names(ring, "?status=active")).toEqual(["billing", "labelled", "old", access]);
    expect(await names(ring, "?status=revoked")).toEqual(["revoked"]);
    expect(await names(ring, "?status=deleted")).toEqual(["deleted"]);
    expect(await names(ring, "?status=deleting")).toEqual([]);
    expect(await names(ring, "?provider=access")).toEqual([access]);
    expect(await names(ring, "?provider=nobody")).toEqual([]);
    expect(await names(ring, "?label=team%3Dpayments")).toEqual(["labelled", "revoked"]);
    expect(await names(ring, "?label=q=a=b")).toEqual(["labelled", "revoked"]);
    expect(await names(ring, "?label=team=pay")).toEqual([]);
    expect(await names(ring, "?label=team=")).toEqual([]);
    expect(await names(ring, "?dueBefore=2026-02-01T00:00:00Z")).toEqual(["old"]);
    expect(await names(ring, "?dueBefore=2026-01-31T00:00:00Z")).toEqual([]);
    expect(await names(ring, "?status=active&label=team=payments&provider=issuer")).toEqual(["labelled"]);
  });
});
