/** Nobody makes, sees or redirects an access key that may do more than they may themselves. */
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { request } from "../support/api.ts";
import { expectProblem, furnish, makeAccessKey, makeKey, settle, snapshot } from "./fixtures.ts";

/** Everything but reading events. */
const MOST = SCOPES.filter((scope) => scope !== "events:read");

describe("an operator", () => {
  const OPERATOR = { role: "operator" };

  it("makes no agent of a subject whose keys are another's, as that one could act on them", async () => {
    const ring = await furnish();
    const [one, other] = [
      await makeAccessKey(ring, SCOPES, OPERATOR),
      await makeAccessKey(ring, SCOPES, OPERATOR),
    ];
    const agent = (name: string, subject: string) => ({
      body: { name, provider: "access", scopes: ["keys:rotate"], role: "agent", subject },
    });
    expect((await other.call("POST", "/v1/keys", agent("theirs", "agent-9"))).status).toBe(201);
    const before = await snapshot(ring);
    expectProblem(await one.call("POST", "/v1/keys/theirs/rotate", { body: {} }), 403, "not-yours");
    expectProblem(await one.call("POST", "/v1/keys", agent("mine", "agent-9")), 403, "role-exceeded");
    // A customer's key counts, too: whoever has its subject may act on it.
    await makeKey(ring, "customer", { subject: "customer-7" });
    const after = await snapshot(ring);
    expectProblem(await one.call("POST", "/v1/keys", agent("mine", "customer-7")), 403, "role-exceeded");
    expect(await snapshot(ring)).toEqual(after);
    expect(before).not.toEqual(after);
    // A subject of nobody's, and then one's own.
    expect((await one.call("POST", "/v1/keys", agent("first", "agent-1"))).status).toBe(201);
    expect((await one.call("POST", "/v1/keys", agent("second", "agent-1"))).status).toBe(201);
  });
});

describe("who may do most things", () => {
  it("cannot make an access key that may do what they may not, and is told which scopes are too much", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:write", "keys:read"]);
    const before = await snapshot(ring);
    const body = { name: "more", provider: "access", scopes: ["keys:read", "keys:revoke", "events:read"] };
    const refused = expectProblem(await call("POST", "/v1/keys", { body }), 403, "scope-exceeded");
    expect(refused.scopes).toEqual(["keys:revoke", "events:read"]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("can make one that may do as much or less", async () => {
    const ring = await furnish();
    const { id, call } = await makeAccessKey(ring, ["keys:write", "keys:read"]);
    const body = { name: "equal", provider: "access", scopes: ["keys:read", "keys:write"] };
    const made = await call<{ secret: string; createdBy: string }>("POST", "/v1/keys", { body });
    expect(made).toMatchObject({ status: 201, body: { createdBy: id } });
    expect((await request(made.body.secret, "GET", "/v1/keys")).status).toBe(200);
  });

  it("can give a customer's key any scopes at all, as those open nothing here", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:write"]);
    const body = { name: "customer", provider: "issuer", scopes: [...SCOPES, "root"] };
    expect((await call("POST", "/v1/keys", { body })).status).toBe(201);
  });

  it("cannot see the new value of one that may do more", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, MOST);
    const victim = await makeAccessKey(ring, ["keys:read", "events:read"]);
    const before = await snapshot(ring);
    const rotated = await call("POST", `/v1/keys/${victim.name}/rotate`, { body: { reveal: "inline" } });
    expect(expectProblem(rotated, 403, "scope-exceeded").scopes).toEqual(["events:read"]);
    expect(await snapshot(ring)).toEqual(before);
  });

  it("cannot have it sent to a destination of their own", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, MOST);
    const victim = await makeAccessKey(ring, ["keys:read", "events:read"]);
    const config = { url: "https://hooks.acme.dev/mine", secretMode: "plain" };
    await call("POST", "/v1/destinations", { body: { name: "mine", type: "webhook", config } });
    const before = await snapshot(ring);
    const body = { destinations: [{ id: "mine" }] };
    for (const query of ["", "?rotate=true"]) {
      const patched = await call("PATCH", `/v1/keys/${victim.name}${query}`, { body });
      expect(expectProblem(patched, 403, "scope-exceeded").scopes).toEqual(["events:read"]);
    }
    expect(await snapshot(ring)).toEqual(before);
  });

  it("cannot point a destination that it is sent to elsewhere", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, MOST);
    await makeAccessKey(ring, ["keys:read", "events:read"], { destinations: [{ id: "spare" }] });
    await settle(ring);
    const before = await snapshot(ring);
    const patched = await call("PATCH", "/v1/destinations/spare", {
      body: { config: { propagation: "1s" } },
    });
    expect(expectProblem(patched, 403, "scope-exceeded").scopes).toEqual(["events:read"]);
    expect(await snapshot(ring)).toEqual(before);
    expect((await call("PATCH", "/v1/destinations/spare", { body: { name: "renamed" } })).status).toBe(200);
  });

  it("cannot widen one, not even their own", async () => {
    const ring = await furnish();
    const { call, name } = await makeAccessKey(ring, MOST);
    const answer = await call("PATCH", `/v1/keys/${name}`, { body: { scopes: SCOPES } });
    expectProblem(answer, 422, "invalid");
    expectProblem(await call("GET", "/v1/events"), 403, "scope-missing");
  });

  it("can redirect customers' keys, which are the team's own business", async () => {
    const ring = await furnish();
    const { call } = await makeAccessKey(ring, ["keys:write", "settings:write"]);
    await makeKey(ring, "customer", { scopes: SCOPES, destinations: [{ id: "spare" }] });
    await settle(ring);
    const body = { destinations: [{ id: "spare", as: "moved" }] };
    expect((await call("PATCH", "/v1/keys/customer", { body })).status).toBe(200);
    const config = { propagation: "1s" };
    expect((await call("PATCH", "/v1/destinations/spare", { body: { config } })).status).toBe(200);
  });
});
