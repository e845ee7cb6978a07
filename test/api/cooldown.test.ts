/**
 * A thief who rotates a stolen access key gains nothing: for a while the new value opens no more doors than reading, and the owner's old
 * value still works.
 */
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import {
  callAs,
  expectProblem,
  type Furnished,
  furnish,
  makeAccessKey,
  settle,
  snapshot,
} from "./fixtures.ts";

type Call = ReturnType<typeof callAs>;

interface Stolen {
  ring: Furnished;
  id: string;
  name: string;
  /** With the value that the thief has now. */
  thief: Call;
  /** With the value that the owner has still. */
  owner: Call;
}

/** An access key that may do everything, rotated by itself. */
async function steal(more: object = {}): Promise<Stolen> {
  const ring = await furnish();
  const { id, name, call } = await makeAccessKey(ring, SCOPES, more);
  const rotated = await call<{ secret: string }>("POST", `/v1/keys/${id}/rotate?wait=10s`, {
    body: { reveal: "inline", grace: "0" },
  });
  expect(rotated.status).toBe(200);
  return { ring, id, name, thief: callAs(rotated.body.secret), owner: call };
}

async function cooldownOf(ring: Furnished, id: string): Promise<string | null> {
  return (await ring.call<{ cooldownUntil: string | null }>("GET", `/v1/keys/${id}`)).body.cooldownUntil;
}

/** Everything that power means, as requests of one caller. */
const POWERS: [string, (call: Call, stolen: Stolen) => ReturnType<Call>][] = [
  [
    "reveal the next value of another key",
    (call) => call("POST", "/v1/keys/billing/rotate", { body: { reveal: "inline" } }),
  ],
  [
    "revoke the owner's version",
    (call, { id }) => call("POST", `/v1/keys/${id}/revoke`, { body: { reason: "mine now", version: 1 } }),
  ],
  [
    "revoke another key",
    (call) => call("POST", "/v1/keys/billing/revoke", { body: { reason: "out of spite" } }),
  ],
  ["delete another key", (call) => call("DELETE", "/v1/keys/billing")],
  [
    "make an access key",
    (call) => call("POST", "/v1/keys", { body: { name: "mine", provider: "access", scopes: ["keys:read"] } }),
  ],
  [
    "change an access key",
    (call, { id }) => call("PATCH", `/v1/keys/${id}`, { body: { labels: { mine: "yes" } } }),
  ],
  ["make a destination", (call) => call("POST", "/v1/destinations", { body: { name: "mine", type: "kv" } })],
  [
    "point a destination elsewhere",
    (call) => call("PATCH", "/v1/destinations/store", { body: { config: { propagation: "1s" } } }),
  ],
  ["delete a destination", (call) => call("DELETE", "/v1/destinations/spare")],
  [
    "change a shared policy",
    (call) => call("PATCH", "/v1/policies/common", { body: { policy: { grace: "0" } } }),
  ],
  ["hold the schedule", (call) => call("POST", "/v1/settings/hold", { body: { reason: "mine now" } })],
  ["release a hold", (call) => call("POST", "/v1/settings/release")],
  ["change settings", (call) => call("PATCH", "/v1/settings", { body: { heartbeat: "1d" } })],
  [
    "say for a consumer that it has switched",
    async (call, { ring }) => {
      const { body } = await ring.call<{ items: { id: string }[] }>("GET", "/v1/deliveries?key=billing");
      return call("POST", `/v1/deliveries/${body.items[0]?.id}/acknowledge`);
    },
  ],
  [
    "send a key somewhere else",
    (call) => call("PATCH", "/v1/keys/billing", { body: { destinations: [{ id: "spare" }] } }),
  ],
];

describe("after an access key has rotated itself", () => {
  it.each(POWERS)("its new value cannot %s, until the time that is given", async (_, act) => {
    const stolen = await steal();
    await settle(stolen.ring);
    const before = await snapshot(stolen.ring);
    const refused = expectProblem(await act(stolen.thief, stolen), 409, "caller-cooldown");
    const until = Date.parse(refused.retryAt ?? "");
    expect(until - Date.now()).toBeGreaterThan(59 * 60_000);
    expect(until - Date.now()).toBeLessThanOrEqual(60 * 60_000);
    expect(await snapshot(stolen.ring)).toEqual(before);
  });

  it.each(POWERS)("nor can its old value %s", async (_, act) => {
    const stolen = await steal();
    expectProblem(await act(stolen.owner, stolen), 409, "caller-cooldown");
  });

  it.each(POWERS)("nor can a key that it made before %s", async (_, act) => {
    const ring = await furnish();
    const parent = await makeAccessKey(ring, SCOPES);
    const child = await makeAccessKey({ ...ring, call: parent.call } as Furnished, SCOPES);
    const grandchild = await makeAccessKey({ ...ring, call: child.call } as Furnished, SCOPES);
    await parent.call("POST", `/v1/keys/${parent.id}/rotate?wait=10s`, { body: { reveal: "inline" } });
    const stolen = { ring, id: parent.id, name: parent.name, thief: child.call, owner: parent.call };
    expectProblem(await act(child.call, stolen), 409, "caller-cooldown");
    expectProblem(await act(grandchild.call, stolen), 409, "caller-cooldown");
  });

  it.each(POWERS)("nor can another key of its subject %s", async (_, act) => {
    const stolen = await steal({ subject: "team-7" });
    const twin = await makeAccessKey(stolen.ring, SCOPES, { subject: "team-7" });
    expectProblem(await act(twin.call, stolen), 409, "caller-cooldown");
  });

  it("somebody else's keys are as powerful as ever, and so is root", async () => {
    const stolen = await steal({ subject: "team-7" });
    const other = await makeAccessKey(stolen.ring, SCOPES, { subject: "team-8" });
    const made = await other.call("POST", "/v1/destinations", { body: { name: "theirs", type: "kv" } });
    expect(made.status).toBe(201);
    const revoked = await stolen.ring.call("POST", `/v1/keys/${stolen.id}/revoke`, {
      body: { reason: "stolen" },
    });
    expect(revoked.status).toBe(200);
  });

  it("it still reads, verifies and rotates others, without seeing what comes of it", async () => {
    const { thief, ring } = await steal();
    expect((await thief("GET", "/v1/keys")).status).toBe(200);
    expect((await thief("POST", "/v1/verify", { body: { key: "whatever" } })).status).toBe(200);
    expect((await thief("POST", "/v1/keys/billing/rotate", { body: {} })).status).toBe(202);
    await settle(ring);
  });

  it("the owner's value lives for the policy's grace, although none was asked for", async () => {
    const { ring, id, owner } = await steal();
    const { versions } = (
      await ring.call<{ versions: { graceEndsAt: string | null; stage: string }[] }>("GET", `/v1/keys/${id}`)
    ).body;
    expect(versions.map(({ stage }) => stage)).toEqual(["previous", "current"]);
    const left = Date.parse(versions[0]?.graceEndsAt ?? "") - Date.now();
    expect(left).toBeGreaterThan(23.9 * 3_600_000);
    expect((await owner("GET", "/v1/keys")).status).toBe(200);
  });

  it("nor may a key that it made shorten that grace", async () => {
    const ring = await furnish();
    const parent = await makeAccessKey(ring, SCOPES);
    const child = await makeAccessKey({ ...ring, call: parent.call } as Furnished, SCOPES);
    await child.call("POST", `/v1/keys/${parent.id}/rotate?wait=10s`, {
      body: { reveal: "inline", grace: "0" },
    });
    const { versions } = (
      await ring.call<{ versions: { graceEndsAt: string | null }[] }>("GET", `/v1/keys/${parent.id}`)
    ).body;
    expect(Date.parse(versions[0]?.graceEndsAt ?? "") - Date.now()).toBeGreaterThan(23.9 * 3_600_000);
  });

  it("root may shorten it", async () => {
    const ring = await furnish();
    const { id } = await makeAccessKey(ring, SCOPES);
    await ring.call("POST", `/v1/keys/${id}/rotate?wait=10s`, { body: { reveal: "inline", grace: "1h" } });
    const { versions } = (
      await ring.call<{ versions: { graceEndsAt: string | null }[] }>("GET", `/v1/keys/${id}`)
    ).body;
    expect(Date.parse(versions[0]?.graceEndsAt ?? "") - Date.now()).toBeLessThanOrEqual(3_600_000);
  });
});

describe("before it rotates itself", () => {
  it("a key cannot give itself another policy, its own or a shared one, nor pause itself", async () => {
    const ring = await furnish();
    await ring.call("POST", "/v1/policies", { body: { name: "strict", policy: { grace: "2d" } } });
    const own = await makeAccessKey(ring, SCOPES, { policy: "strict" });
    const child = await makeAccessKey({ ...ring, call: own.call } as Furnished, SCOPES);
    const before = await snapshot(ring);
    for (const { call } of [own, child]) {
      for (const body of [{ policy: { grace: "0" } }, { policy: { cooldown: "0" } }, { paused: true }]) {
        expectProblem(await call("PATCH", `/v1/keys/${own.id}`, { body }), 403, "own-policy");
      }
      const shared = await call("PATCH", "/v1/policies/strict", { body: { policy: { grace: "0" } } });
      expectProblem(shared, 403, "own-policy");
    }
    expect(await snapshot(ring)).toEqual(before);
  });

  it("may do so to keys that it made", async () => {
    const ring = await furnish();
    const own = await makeAccessKey(ring, SCOPES);
    const child = await makeAccessKey({ ...ring, call: own.call } as Furnished, SCOPES);
    const patched = await own.call("PATCH", `/v1/keys/${child.id}`, { body: { policy: { grace: "1h" } } });
    expect(patched.status).toBe(200);
  });
});

describe("the cooldown", () => {
  it.each<[string, object, number]>([
    ["an operator's key is 60 minutes", { role: "operator" }, 60],
    ["an agent's key is 30 minutes", { role: "agent" }, 30],
    ["a key without a role is 60 minutes", {}, 60],
    ["any key is what its policy says", { role: "agent", policy: { cooldown: "5m" } }, 5],
  ])("of %s", async (_, more, minutes) => {
    const { ring, id } = await steal(more);
    const left = Date.parse((await cooldownOf(ring, id)) ?? "") - Date.now();
    expect(left).toBeGreaterThan((minutes - 1) * 60_000);
    expect(left).toBeLessThanOrEqual(minutes * 60_000);
  });

  it("can be none", async () => {
    const { ring, id, thief } = await steal({ policy: { cooldown: "0" } });
    expect(await cooldownOf(ring, id)).toBeNull();
    expect((await thief("POST", "/v1/destinations", { body: { name: "new", type: "kv" } })).status).toBe(201);
  });

  it("of a customer's key is told to who verifies it, and binds nobody here", async () => {
    const ring = await furnish();
    const body = { name: "agent-7", provider: "issuer", role: "agent", subject: "agent-7" };
    await ring.call("POST", "/v1/keys", { body });
    const rotated = await ring.call<{ secret: string }>("POST", "/v1/keys/agent-7/rotate?wait=10s", {
      body: { reveal: "inline" },
    });
    const verdict = await ring.call<{ cooldownUntil: string }>("POST", "/v1/verify", {
      body: { key: rotated.body.secret },
    });
    const left = Date.parse(verdict.body.cooldownUntil) - Date.now();
    expect(left).toBeGreaterThan(29 * 60_000);
    const { call } = await makeAccessKey(ring, SCOPES, { subject: "agent-7" });
    expect((await call("POST", "/v1/destinations", { body: { name: "new", type: "kv" } })).status).toBe(201);
  });
});

describe("roles", () => {
  it("an agent acts on its own key and those of its subject, and on no other", async () => {
    const ring = await furnish();
    const agent = await makeAccessKey(ring, SCOPES, { role: "agent", subject: "agent-7" });
    await ring.call("POST", "/v1/keys", {
      body: { name: "its-own", provider: "issuer", subject: "agent-7" },
    });
    const before = await snapshot(ring);
    for (const [method, path, body] of [
      ["POST", "/v1/keys/billing/rotate", {}],
      ["POST", "/v1/keys/billing/revoke", { reason: "a test" }],
      ["PATCH", "/v1/keys/billing", { labels: { a: "b" } }],
      ["PUT", "/v1/keys/billing/value", { fields: { secret: "obviously-fake-value" } }],
      ["DELETE", "/v1/keys/billing", undefined],
    ] as const) {
      const refused = await agent.call(method, path, body === undefined ? {} : { body });
      expectProblem(refused, 403, "not-yours", `${method} ${path}`);
    }
    expect(await snapshot(ring)).toEqual(before);
    for (const [path, body] of [
      ["/v1/policies/common", { policy: { grace: "0" } }],
      ["/v1/destinations/store", { config: { propagation: "1s" } }],
    ] as const) {
      await ring.call("PATCH", "/v1/keys/billing", { body: { policy: "common" } });
      const shared = await snapshot(ring);
      expectProblem(await agent.call("PATCH", path, { body }), 403, "not-yours", path);
      expect(await snapshot(ring)).toEqual(shared);
    }
    const own = await agent.call("POST", "/v1/keys/its-own/rotate", { body: { reveal: "inline" } });
    expect(own.status).toBe(202);
    const self = await agent.call("POST", `/v1/keys/${agent.id}/rotate`, { body: { reveal: "inline" } });
    expect(self.status).toBe(202);
    await settle(ring);
  });

  it("an operator acts on the agents that it made and on itself, not on another operator's", async () => {
    const ring = await furnish();
    const operator = await makeAccessKey(ring, SCOPES, { role: "operator" });
    const as = { ...ring, call: operator.call } as Furnished;
    const agent = await makeAccessKey(as, ["keys:read"], { role: "agent", subject: "agent-1" });
    const other = await makeAccessKey(ring, SCOPES, { role: "operator" });
    const rotated = await operator.call("POST", `/v1/keys/${agent.id}/rotate`, {
      body: { reveal: "inline" },
    });
    expect(rotated.status).toBe(202);
    const refused = await other.call("POST", `/v1/keys/${agent.id}/rotate`, { body: { reveal: "inline" } });
    expectProblem(refused, 403, "not-yours");
    await settle(ring);
  });

  it("nobody with a role makes an access key above it", async () => {
    const ring = await furnish();
    const operator = await makeAccessKey(ring, SCOPES, { role: "operator" });
    const agent = await makeAccessKey(ring, SCOPES, { role: "agent", subject: "agent-1" });
    const make = (call: Call, more: object) =>
      call("POST", "/v1/keys", {
        body: {
          name: `x-${crypto.randomUUID().slice(0, 8)}`,
          provider: "access",
          scopes: ["keys:read"],
          ...more,
        },
      });
    expectProblem(await make(operator.call, {}), 403, "role-exceeded");
    expect((await make(operator.call, { role: "agent" })).status).toBe(201);
    expectProblem(await make(agent.call, { role: "operator" }), 403, "role-exceeded");
    expectProblem(await make(agent.call, {}), 403, "role-exceeded");
    expectProblem(await make(agent.call, { role: "agent", subject: "agent-2" }), 403, "role-exceeded");
    expect((await make(agent.call, { role: "agent", subject: "agent-1" })).status).toBe(201);
  });
});

describe("the owner of an access key that a thief has rotated", () => {
  const reason = { body: { reason: "it was stolen" } };

  it("goes back with the old value, and the thief's new one cannot undo that", async () => {
    const { ring, id, thief, owner } = await steal();
    await settle(ring);
    expect((await owner("POST", `/v1/keys/${id}/rollback?wait=10s`, reason)).status).toBe(200);
    await settle(ring);
    expect((await ring.call("GET", `/v1/keys/${id}`)).body).toMatchObject({ currentVersion: 1 });
    expectProblem(
      await thief("POST", `/v1/keys/${id}/rollback`, { body: { reason: "mine", version: 2 } }),
      409,
      "taken-back",
    );
    expectProblem(
      await thief("POST", `/v1/keys/${id}/rollback`, { body: { reason: "mine" } }),
      409,
      "not-in-grace",
    );
    expectProblem(await thief("POST", `/v1/keys/${id}/rotate`, { body: {} }), 409, "cooldown");
  });

  it.each(["finish", "abandon"])("cannot be shut out by %s", async (what) => {
    const { ring, id, thief } = await steal();
    await settle(ring);
    const before = await snapshot(ring);
    expectProblem(await thief("POST", `/v1/keys/${id}/versions/1/${what}`), 409, "caller-cooldown");
    expect(await snapshot(ring)).toEqual(before);
  });

  it("cannot have that rollback cancelled, nor ended early", async () => {
    const ring = await furnish();
    const { id, call: owner } = await makeAccessKey(ring, SCOPES, { destinations: [{ id: "spare" }] });
    await settle(ring);
    const rotated = await owner<{ secret: string }>("POST", `/v1/keys/${id}/rotate?wait=10s`, {
      body: { reveal: "inline" },
    });
    const thief = callAs(rotated.body.secret);
    await settle(ring);
    const back = await owner<{ rotation: { id: string } }>("POST", `/v1/keys/${id}/rollback`, {
      body: { ...reason.body, grace: "0" },
    });
    for (const what of ["cancel", "abandon"]) {
      const refused = await thief("POST", `/v1/rotations/${back.body.rotation.id}/${what}`);
      expectProblem(refused, 409, "caller-cooldown");
    }
    await settle(ring);
    const { versions } = (await ring.call<{ versions: { graceEndsAt: string }[] }>("GET", `/v1/keys/${id}`))
      .body;
    // Nobody ends a version of their own key at once by going back.
    expect(Date.parse(versions[1]?.graceEndsAt ?? "") - Date.now()).toBeGreaterThan(14 * 60_000);
  });

  it("is not outdone by a child without a cooldown, nor by a long line of children", async () => {
    const ring = await furnish();
    const parent = await makeAccessKey(ring, SCOPES);
    let last = parent;
    for (let n = 0; n < 60; n++) {
      last = await makeAccessKey({ ...ring, call: last.call } as Furnished, SCOPES, {
        policy: { cooldown: "0" },
      });
    }
    const made = await last.call<{ opensAt: string | null }>("POST", "/v1/destinations", {
      body: { name: "mine", type: "kv" },
    });
    expect(Date.parse(made.body.opensAt ?? "") - Date.now()).toBeGreaterThan(59 * 60_000);
    await last.call("POST", `/v1/keys/${parent.id}/rotate?wait=10s`, {
      body: { reveal: "inline", grace: "0" },
    });
    expect((await parent.call("GET", "/v1/keys")).status).toBe(200);
    expectProblem(await last.call("DELETE", "/v1/destinations/spare"), 409, "caller-cooldown");
  });

  it("is not outdone by the child of another key of its subject", async () => {
    const ring = await furnish();
    const own = await makeAccessKey(ring, SCOPES, { subject: "team-7" });
    const sibling = await makeAccessKey(ring, SCOPES, { subject: "team-7" });
    const niece = await makeAccessKey({ ...ring, call: sibling.call } as Furnished, SCOPES);
    await own.call("POST", `/v1/keys/${own.id}/rotate?wait=10s`, { body: { reveal: "inline" } });
    expectProblem(await niece.call("DELETE", "/v1/destinations/spare"), 409, "caller-cooldown");
  });

  it("cannot be outlasted by a longer grace for the stolen value", async () => {
    const { ring, id, owner } = await steal();
    await settle(ring);
    const longer = await owner("POST", `/v1/keys/${id}/versions/1/extend`, { body: { grace: "48h" } });
    expectProblem(longer, 409, "caller-cooldown");
  });
});

describe("an agent", () => {
  it("neither stops nor undoes what happens to others' keys", async () => {
    const ring = await furnish();
    const agent = await makeAccessKey(ring, SCOPES, { role: "agent", subject: "agent-7" });
    const sent = await ring.call<{ items: { id: string }[] }>("GET", "/v1/deliveries");
    const delivery = sent.body.items[0]?.id;
    const many = await agent.call("POST", "/v1/deliveries/replay", {
      body: { since: "2020-01-01T00:00:00Z" },
    });
    expect(many.body).toMatchObject({ count: 0 });
    const before = await snapshot(ring);
    for (const [path, body] of [
      ["/v1/keys/billing/rollback", { reason: "a test" }],
      ["/v1/keys/billing/versions/1/extend", { grace: "48h" }],
      ["/v1/keys/billing/versions/1/finish", undefined],
      ["/v1/keys/billing/versions/1/abandon", undefined],
      [`/v1/rotations/${ring.rotation}/cancel`, undefined],
      [`/v1/rotations/${ring.rotation}/retry`, undefined],
      [`/v1/deliveries/${delivery}/replay`, undefined],
      [`/v1/deliveries/${delivery}/acknowledge`, undefined],
    ] as const) {
      const refused = await agent.call("POST", path, body === undefined ? {} : { body });
      expectProblem(refused, 403, "not-yours", path);
    }
    expect(await snapshot(ring)).toEqual(before);
  });
});
