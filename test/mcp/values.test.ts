/** What becomes of values in tool calls: shown only when asked for, claimed once, never repeated where they were given. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { CONFIRMED, happened, type McpCaller, makeMcpScene, secretOf } from "./caller.ts";

const claimSchema = z.object({ claim: z.object({ token: z.string(), url: z.string() }) });

describe("the value of a rotation", () => {
  it("stays out of the answer unless it is asked for", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    await scene.key({ name: "one", provider: "issuer" });
    const answer = await caller.done("rotate_api_key", { key: "one", ...CONFIRMED });
    const { claim } = claimSchema.parse(answer.data);
    expect(claim.url).toBe("https://rekey.test/v1/claims");
    expect(answer.whole).not.toMatch(/rekey_[0-9A-Za-z]{74}/);
    const { done } = {
      done: await caller.done("rotate_api_key", { key: "one", ...CONFIRMED, reveal: "inline" }),
    };
    expect(secretOf(done)).toMatch(/^rekey_[0-9A-Za-z]{74}$/);
    expect(done.text).toContain(secretOf(done));
    expect(done.warnings.join(" ")).toContain("do not repeat it");
  });

  it("is opened by a claim once, by whoever asked for it and nobody else", async () => {
    const scene = await makeMcpScene();
    const [caller, other] = [await scene.caller(), await scene.caller()];
    await scene.key({ name: "one", provider: "issuer" });
    const { data } = await caller.done("rotate_api_key", { key: "one", ...CONFIRMED });
    const { claim } = claimSchema.parse(data);
    const open = (by: McpCaller) =>
      scene.ring.call("POST", "/v1/claims", {
        body: { claim: claim.token },
        headers: { authorization: `Bearer ${by.token}` },
      });
    expect((await open(other)).status).toBe(404);
    const opened = await open(caller);
    expect(opened.status).toBe(200);
    const { fields } = z.object({ fields: z.object({ secret: z.string() }) }).parse(opened.body);
    expect((await caller.done("verify_api_key", { secret: fields.secret })).data).toMatchObject({
      code: "valid",
      version: 2,
    });
  });

  it("needs the scope keys:reveal, also for a new key; the refusal says what goes without", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller({ scopes: ["keys:rotate", "keys:write"] });
    const { id } = await scene.key({ name: "one", provider: "issuer" });
    const rotate = { gracePeriodHours: 2, reason: "old" };
    for (const more of [{}, CONFIRMED, { dryRun: true }]) {
      const { error, actions } = await caller.tool("rotate_api_key", { key: "one", ...rotate, ...more });
      const isAsked = Object.keys(more).length === 0;
      expect(error).toMatchObject(
        isAsked ? { code: "confirmation-missing" } : { code: "scope-missing", scope: "keys:reveal" },
      );
      const expected = isAsked
        ? { key: id, ...rotate, reveal: "claim", ...CONFIRMED }
        : { key: id, ...rotate, reveal: "none", ...more };
      expect(actions.map(({ args }) => args)).toEqual([expected]);
    }
    const create = { name: "two", prefix: "sk_live", expiresAt: "2030-01-01T00:00:00Z", reason: "new" };
    expect(await caller.tool("create_api_key", create)).toMatchObject({
      error: { code: "scope-missing", scope: "keys:reveal" },
      actions: [],
    });
    const delivered = { ...create, destinations: ["kv"] };
    expect((await caller.tool("create_api_key", delivered)).actions).toMatchObject([
      { tool: "create_api_key", args: { ...delivered, reveal: "none" } },
    ]);
    expect(await caller.refusal("create_api_key", { name: "two", reveal: "none" })).toBe("no-receiver");
    expect(secretOf(await caller.done("create_api_key", { name: "two", reveal: "inline" }))).toMatch(
      /^rekey_/,
    );
  });

  it("of a new key comes by a claim, too", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { data, whole } = await caller.done("create_api_key", {
      name: "two",
      scopes: ["a:b"],
      prefix: "sk_live",
    });
    expect(whole).not.toMatch(/sk_live_[0-9A-Za-z]{74}/);
    const { claim } = claimSchema.parse(data);
    const opened = await scene.ring.call<{ fields: { secret: string } }>("POST", "/v1/claims", {
      body: { claim: claim.token },
      headers: { authorization: `Bearer ${caller.token}` },
    });
    const { secret } = opened.body.fields;
    expect((await caller.done("verify_api_key", { secret, scopes: ["a:b"] })).data).toMatchObject({
      code: "valid",
    });
    expect(await caller.refusal("create_api_key", { name: "two" })).toBe("name-taken");
  });
});

describe("secrets that are given as input", () => {
  it("are never repeated, wherever somebody puts them", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { secret = "" } = await scene.key({ name: "one", provider: "issuer" });
    const adopted = "an-adopted-value-1234";
    await scene.key({ name: "adopted", provider: "issuer", fields: { secret: adopted } });
    const calls: [name: string, args: Record<string, unknown>][] = [
      ["verify_api_key", { secret }],
      ["verify_api_key", { secret, unheardOf: secret }],
      ["get_api_key", { key: secret }],
      ["rotate_api_key", { key: secret }],
      ["rotate_api_key", { key: secret, dryRun: true }],
      ["rotate_api_key", { agentId: secret, ...CONFIRMED }],
      ["rotate_api_key", { agentId: secret, dryRun: true }],
      ["rotate_api_key", { key: "one", reason: secret, gracePeriodHours: secret }],
      ["rotate_api_key", { key: "one", confirm: secret }],
      ["revoke_api_key", { key: "one", reason: secret }],
      ["revoke_api_key", { key: secret, reason: secret, confirm: "revoke-now" }],
      ["report_compromised_key", { secret, source: "a test" }],
      ["report_compromised_key", { secret, source: secret, url: secret }],
      ["report_compromised_key", { key: "one", source: secret, url: secret }],
      ["create_api_key", { name: secret.slice(0, 64) }],
      ["create_api_key", { name: "x", subject: secret, reveal: "none" }],
      ["create_api_key", { name: "x", labels: { a: secret }, destinations: ["kv"] }],
      ["create_api_key", { name: "x", reason: secret, destinations: ["kv"] }],
      ["create_api_key", { name: "x", destinations: [secret.slice(0, 64), adopted] }],
      ["create_api_key", { name: "x", scopes: [adopted], connection: adopted, destinations: ["kv"] }],
      ["list_events", { key: secret }],
      ["get_rotation", { rotation: secret }],
    ];
    const narrow = await scene.caller({ scopes: ["keys:rotate", "keys:revoke", "keys:write"] });
    for (const [name, args] of calls) {
      for (const by of [caller, narrow]) {
        const { whole } = await by.tool(name, args);
        expect(whole, name).not.toContain(secret);
        expect(whole, name).not.toContain(adopted);
      }
    }
    // Whether it is there is said before what is missing to see it.
    expect(await narrow.refusal("rotate_api_key", { key: secret, dryRun: true })).toBe("not-found");
    const unconfirmed = await caller.tool("report_compromised_key", { secret, source: "a test" });
    expect(unconfirmed.error?.detail).toContain(
      'call report_compromised_key again with the same arguments and "confirm": "report-compromise"',
    );
    expect(unconfirmed.actions).toEqual([]);
    const reported = await caller.done("report_compromised_key", {
      secret,
      source: secret,
      confirm: "report-compromise",
    });
    expect(reported.whole).not.toContain(secret);
    const events = await scene.ring.call("GET", "/v1/events?limit=100");
    expect(JSON.stringify(events.body)).not.toContain(secret);
  });

  it("do not get into the history as a reason or a client's name, whoever issued them", async () => {
    const scene = await makeMcpScene();
    const { secret = "" } = await scene.key({ name: "one", provider: "issuer" });
    const adopted = "an-adopted-value-1234";
    await scene.key({ name: "adopted", provider: "issuer", fields: { secret: adopted } });
    const caller = await scene.caller({}, { client: { name: `agent ${adopted}`, version: "1" } });
    const reason = `leaked ${secret} and\u0000 ${adopted}\nin a log`;
    await caller.done("rotate_api_key", { key: "one", reason, ...CONFIRMED });
    const [started] = await happened(scene, "key.rotation.started");
    expect(started?.data).toMatchObject({
      client: "agent [secret] 1",
      reason: "leaked [secret] and [secret] in a log",
    });
    const { body } = await scene.ring.call("GET", "/v1/rotations?key=one");
    expect(JSON.stringify(body)).not.toContain(secret);
  });

  it("are refused as the name, the subject, a label or a setting of a new key", async () => {
    const scene = await makeMcpScene();
    const adopted = "an-adopted-value-1234";
    const { secret = "" } = await scene.key({ name: "one", provider: "issuer" });
    await scene.key({ name: "adopted", provider: "issuer", fields: { secret: adopted } });
    const caller = await scene.caller();
    const access = { name: "x", provider: "access" };
    const calls: [path: string, args: Record<string, unknown>][] = [
      ["name", { name: adopted }],
      ["subject", { ...access, subject: adopted }],
      ["subject", { ...access, subject: secret }],
      ["labels", { name: "x", labels: { note: `was ${adopted}` } }],
      ["labels", { name: "x", labels: { [adopted]: "y" } }],
      ["config", { name: "x", config: { deep: [{ note: adopted }] } }],
    ];
    for (const [path, args] of calls) {
      const { error, whole } = await caller.tool("create_api_key", args);
      expect(error, path).toMatchObject({ code: "invalid", errors: [{ path }] });
      expect(whole, path).not.toContain(Object.is(args.subject, secret) ? secret : adopted);
    }
    await caller.done("create_api_key", { name: "an-adopted-value-1235", labels: { a: "[secret]" } });
  });
});
