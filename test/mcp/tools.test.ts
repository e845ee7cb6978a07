/** What the tools do beyond what the keyring does: values kept out of answers, guard rails, words for the history. */
import { exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { Keyring } from "../../src/keyring/keyring.ts";
import { ok } from "../../src/result.ts";
import { McpCaller, type McpScene, makeMcpScene, type ToolAnswer } from "./caller.ts";

const HOUR_MS = 3_600_000;
const CONFIRMED = { confirm: "rotate-now" };

const claimSchema = z.object({ claim: z.object({ token: z.string(), url: z.string() }) });
const oldSchema = z.object({ old: z.object({ version: z.int(), stage: z.string(), endsAt: z.string() }) });

interface Happened {
  type: string;
  actor: string;
  data: Record<string, unknown>;
}

async function happened(scene: McpScene, type: string): Promise<Happened[]> {
  const { body } = await scene.ring.call<{ items: Happened[] }>("GET", `/v1/events?type=${type}&limit=100`);
  return body.items;
}

function secretOf({ data }: ToolAnswer): string {
  return z.object({ secret: z.string() }).parse(data).secret;
}

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
    await scene.key({ name: "one", provider: "issuer" });
    for (const [name, args] of [
      ["rotate_api_key", { key: "one", ...CONFIRMED }],
      ["create_api_key", { name: "two" }],
    ] as const) {
      const { error, actions } = await caller.tool(name, args);
      expect(error).toMatchObject({ code: "scope-missing", scope: "keys:reveal" });
      expect(actions[0]).toMatchObject({ tool: name, args: { reveal: "none" } });
    }
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
    const calls: [name: string, args: Record<string, unknown>][] = [
      ["verify_api_key", { secret }],
      ["verify_api_key", { secret, unheardOf: secret }],
      ["get_api_key", { key: secret }],
      ["rotate_api_key", { key: secret }],
      ["rotate_api_key", { agentId: secret, ...CONFIRMED }],
      ["rotate_api_key", { key: "one", reason: secret, gracePeriodHours: secret }],
      ["rotate_api_key", { key: "one", confirm: secret }],
      ["revoke_api_key", { key: "one", reason: secret }],
      ["revoke_api_key", { key: secret, reason: secret, confirm: "revoke-now" }],
      ["report_compromised_key", { secret, source: "a test" }],
      ["create_api_key", { name: secret }],
      ["list_events", { key: secret }],
      ["get_rotation", { rotation: secret }],
    ];
    for (const [name, args] of calls)
      expect((await caller.tool(name, args)).whole, name).not.toContain(secret);
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
});

describe("the history of what an agent does", () => {
  it("has its access key, its client and its reason, bounded", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller({}, { client: { name: "x".repeat(300), version: "1" } });
    await scene.key({ name: "one", provider: "issuer" });
    const by = { actor: caller.id, client: "x".repeat(100) };
    const seen = async (type: string, reason?: string) => {
      const [event] = await happened(scene, type);
      expect(event?.actor, type).toBe(by.actor);
      expect(event?.data.client, type).toBe(by.client);
      if (reason !== undefined) expect(event?.data.reason, type).toBe(reason);
    };
    const { data } = await caller.done("rotate_api_key", { key: "one", reason: "old", ...CONFIRMED });
    await seen("key.rotation.started", "old");
    const { old } = oldSchema.parse(data);
    await caller.done("extend_grace_period", { key: "one", version: old.version, hours: 40, reason: "slow" });
    await seen("key.grace.extended", "slow");
    await caller.done("rollback_key", { key: "one", reason: "broken" });
    await seen("key.rotation.started", "broken");
    await caller.done("finish_grace_period", { key: "one", version: 2, reason: "done" });
    await seen("key.grace.finished", "done");
    await caller.done("create_api_key", { name: "two" });
    await seen("key.created");
    await caller.done("revoke_api_key", { key: "two", reason: "gone", confirm: "revoke-now" });
    await seen("key.updated", "gone");
    const rotation = await scene.ring.call<{ items: { trigger: string; reason: string }[] }>(
      "GET",
      "/v1/rotations?key=one",
    );
    expect(rotation.body.items.map(({ trigger, reason }) => [trigger, reason])).toEqual([
      ["agent", "broken"],
      ["agent", "old"],
    ]);
  });

  it("says so, too, when a rotation was live already and the agent only joined it", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const kv = { name: "kv", type: "kv", config: { propagation: "0" } };
    const { body } = await scene.ring.call<{ id: string }>("POST", "/v1/destinations", { body: kv });
    const destinations = [{ id: body.id, mustAcknowledge: true }];
    await scene.key({ name: "one", provider: "issuer", destinations });
    const begun = await scene.ring.call<{ rotation: { id: string } }>("POST", "/v1/keys/one/rotate", {
      body: { reason: "by hand" },
    });
    expect(await happened(scene, "key.rotation.joined")).toEqual([]);
    const args = { key: "one", reason: "me too", reveal: "none", ...CONFIRMED };
    const joining = caller.tool("rotate_api_key", args);
    const { id } = begun.body.rotation;
    await vi.waitFor(async () =>
      expect(await happened(scene, "key.rotation.joined")).toMatchObject([
        { actor: caller.id, data: { rotationId: id, client: "an-agent 9", reason: "me too" } },
      ]),
    );
    await vi.waitFor(async () => {
      const { body: page } = await scene.ring.call<{ items: { id: string; version: number }[] }>(
        "GET",
        "/v1/deliveries",
      );
      const fresh = page.items.find(({ version }) => version === 2);
      const path = `/v1/deliveries/${fresh?.id}/acknowledge`;
      expect((await scene.ring.call("POST", path)).status).toBe(200);
    });
    const { data } = await joining;
    expect(data).toMatchObject({
      rotation: { id, trigger: "manual", reason: "by hand", state: "succeeded" },
    });
  });

  it("has none of that in what Rekey does for it", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const kv = { name: "kv", type: "kv", config: { propagation: "0" } };
    const { body } = await scene.ring.call<{ id: string }>("POST", "/v1/destinations", { body: kv });
    const destinations = [{ id: body.id, mustAcknowledge: true }];
    const { id } = await scene.key({ name: "one", provider: "issuer", destinations });
    await scene.ring.call("POST", "/v1/keys/one/rotate", { body: {} });
    await caller.done("revoke_api_key", { key: "one", reason: "gone", confirm: "revoke-now" });
    const events = await scene.ring.call<{ items: Happened[] }>("GET", `/v1/events?key=${id}&limit=100`);
    const stopped = events.body.items.filter(({ type }) => /^key\.rotation\.(failed|cancelled)$/.test(type));
    expect(stopped.length).toBeGreaterThan(0);
    for (const { actor, type, data } of events.body.items)
      expect("client" in data, `${type} by ${actor}`).toBe(actor === caller.id);
  });

  it("goes by the HTTP client at revision 2025-11-25, where nothing else says who calls", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    await scene.key({ name: "one", provider: "issuer" });
    const params = { name: "rotate_api_key", arguments: { key: "one", ...CONFIRMED } };
    const answered = await exports.default.fetch("https://rekey.test/mcp", {
      method: "POST",
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }),
      headers: {
        authorization: `Bearer ${caller.token}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
        "user-agent": "some-client/3",
      },
    });
    expect(await answered.text()).toContain("version 2 is current");
    expect(answered.status).toBe(200);
    const [started] = await happened(scene, "key.rotation.started");
    expect(started).toMatchObject({ actor: caller.id, data: { client: "some-client/3", trigger: "agent" } });
  });

  it("is a person's rotation as before when nobody's tool asked for it", async () => {
    const scene = await makeMcpScene();
    await scene.key({ name: "one", provider: "issuer" });
    await scene.ring.call("POST", "/v1/keys/one/rotate", { body: { reveal: "inline" } });
    const [started] = await happened(scene, "key.rotation.started");
    expect(started?.data).toMatchObject({ trigger: "manual" });
    expect(started?.data).not.toHaveProperty("client");
  });
});

describe("a caller who rotates itself", () => {
  it("never has less grace than its policy gives, hears until when it lives, and goes back by the old value", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const answer = await caller.done("rotate_api_key", { gracePeriodHours: 0, ...CONFIRMED });
    const { old } = oldSchema.parse(answer.data);
    expect(Date.parse(old.endsAt)).toBeGreaterThan(Date.now() + 23 * HOUR_MS);
    expect(answer.data).toMatchObject({ isOwnKey: true, graceSeconds: 86_400 });
    expect(answer.warnings.join(" ")).toContain("nobody shortens the grace of their own access key");
    // It was just replaced: it may go back, and ends nothing.
    expect(answer.actions.map(({ tool }) => tool)).toEqual(["rollback_key"]);
    expect(await caller.refusal("rotate_api_key", CONFIRMED)).toBe("cooldown");
    const finish = { key: caller.id, version: old.version };
    expect(await caller.refusal("finish_grace_period", finish)).toBe("caller-cooldown");
    await caller.done("rollback_key", { key: caller.id, reason: "a try" });
  });
});

describe("calls that destroy", () => {
  it("are five a minute for one caller, and say when the next one is taken", async () => {
    const scene = await makeMcpScene();
    const [caller, other] = [await scene.caller(), await scene.caller()];
    await scene.key({ name: "one", provider: "issuer" });
    const revoke = (by: McpCaller) =>
      by.refusal("revoke_api_key", { key: "nobody", reason: "a try", confirm: "revoke-now" });
    for (let time = 0; time < 5; time++) expect(await revoke(caller)).toBe("not-found");
    const { error } = await caller.tool("rotate_api_key", { key: "one", ...CONFIRMED });
    expect(error?.code).toBe("too-destructive");
    const retryAt = Date.parse(error?.retryAt ?? "");
    expect(retryAt).toBeGreaterThan(Date.now());
    expect(retryAt).toBeLessThanOrEqual(Date.now() + 60_000);
    // What destroys nothing goes on, and so do others.
    await caller.done("get_api_key", { key: "one" });
    await caller.done("rotate_api_key", { key: "one", dryRun: true });
    expect(await caller.refusal("rotate_api_key", { key: "one" })).toBe("confirmation-missing");
    await other.done("rotate_api_key", { key: "one", ...CONFIRMED });
    const later = vi.spyOn(Date, "now").mockReturnValue(retryAt);
    expect(await revoke(caller)).toBe("not-found");
    later.mockRestore();
  });

  it("do nothing without their word, and say which, with the key that was meant", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { id } = await scene.key({ name: "one", provider: "issuer" });
    const words: [name: string, args: Record<string, unknown>, word: string][] = [
      ["rotate_api_key", { key: "one", gracePeriodHours: 2 }, "rotate-now"],
      ["revoke_api_key", { key: "one", reason: "a try" }, "revoke-now"],
      ["report_compromised_key", { key: "one", source: "a test" }, "report-compromise"],
    ];
    for (const [name, args, word] of words) {
      for (const confirm of [undefined, "yes", true, `${word} `]) {
        const { error, actions } = await caller.tool(name, {
          ...args,
          ...(confirm !== undefined && { confirm }),
        });
        expect(error?.code).toBe("confirmation-missing");
        expect(error?.detail).toContain(`"confirm": "${word}"`);
        expect(actions).toMatchObject([{ tool: name, args: { key: id, confirm: word } }]);
      }
    }
    expect((await caller.done("get_api_key", { key: "one" })).data).toMatchObject({
      key: { currentVersion: 1, versions: [{ number: 1, stage: "current" }] },
    });
  });

  it("ask the person where the client can, and only there", async () => {
    const scene = await makeMcpScene();
    await scene.key({ name: "one", provider: "issuer" });
    const ask = async (capabilities: Record<string, unknown>) => {
      const caller = await scene.caller({}, { capabilities });
      return caller.result("tools/call", { name: "rotate_api_key", arguments: { key: "one" } });
    };
    for (const able of [
      { elicitation: {} },
      { elicitation: { form: {} } },
      { elicitation: { form: {}, url: {} } },
    ]) {
      const asked = await ask(able);
      expect(asked, JSON.stringify(able)).toMatchObject({
        resultType: "input_required",
        inputRequests: {
          confirm: { method: "elicitation/create", params: { requestedSchema: { required: ["confirm"] } } },
        },
      });
    }
    for (const unable of [{}, { elicitation: { url: {} } }, { sampling: {} }])
      expect(await ask(unable), JSON.stringify(unable)).toMatchObject({ isError: true });
  });

  it("go on when the person agreed, and only then", async () => {
    const scene = await makeMcpScene();
    await scene.key({ name: "one", provider: "issuer" });
    const caller = await scene.caller({}, { capabilities: { elicitation: {} } });
    const answerWith = (confirm: unknown) =>
      caller.result("tools/call", {
        name: "rotate_api_key",
        arguments: { key: "one" },
        inputResponses: { confirm },
      });
    for (const no of [
      { action: "decline" },
      { action: "cancel" },
      { action: "accept", content: {} },
      { action: "accept", content: { confirm: "true" } },
    ])
      expect((await answerWith(no)).structuredContent?.error?.code, JSON.stringify(no)).toBe(
        "confirmation-declined",
      );
    const yes = await answerWith({ action: "accept", content: { confirm: true } });
    expect(yes.structuredContent?.summary.headline).toContain('Rotated "one": version 2 is current.');
  });
});

describe("a key", () => {
  it("is found by id, name, fingerprint and the service's own reference", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { id } = await scene.key({
      name: "outside",
      provider: "manual",
      config: { runbook: { text: "Ask for a new one." } },
      fields: { secret: "a-value-from-outside" },
      reference: "hash/of:it",
    });
    const { data } = await caller.done("get_api_key", { key: id });
    expect(data).toMatchObject({ key: { id } });
    const { body } = await scene.ring.call<{ versions: { fingerprint: string }[] }>(
      "GET",
      "/v1/keys/outside",
    );
    const fingerprint = body.versions[0]?.fingerprint ?? "";
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    for (const key of [id, "outside", fingerprint, fingerprint.toUpperCase(), "hash/of:it"])
      expect((await caller.done("get_api_key", { key })).data, key).toMatchObject({ key: { id } });
    for (const key of ["Outside", fingerprint.slice(1), "hash/of", "0".repeat(64)])
      expect(await caller.refusal("get_api_key", { key }), key).toBe("not-found");
  });

  it("that is deleted is found by its id only", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const fields = { secret: "an-adopted-value-1234" };
    const { id } = await scene.key({ name: "gone", provider: "issuer", fields });
    const { body } = await scene.ring.call<{ versions: { fingerprint: string }[] }>("GET", "/v1/keys/gone");
    const fingerprint = body.versions[0]?.fingerprint ?? "";
    await scene.ring.call("DELETE", `/v1/keys/${id}`);
    await vi.waitFor(async () =>
      expect((await caller.done("get_api_key", { key: id })).data).toMatchObject({
        key: { state: "deleted" },
      }),
    );
    expect(await caller.refusal("get_api_key", { key: "gone" })).toBe("not-found");
    expect(await caller.refusal("get_api_key", { key: fingerprint })).toBe("not-found");
  });

  it("of an agent is found by the agent; several are not guessed among", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const agent = { provider: "access", scopes: ["keys:read"], role: "agent", subject: "agent-7" };
    const first = await scene.key({ name: "first", ...agent });
    const plan = () => caller.tool("rotate_api_key", { agentId: "agent-7", dryRun: true });
    expect((await plan()).data).toMatchObject({ plan: { key: first.id } });
    const second = await scene.key({ name: "second", ...agent });
    expect((await plan()).error).toMatchObject({ code: "ambiguous", candidates: [first.id, second.id] });
    await scene.ring.call("DELETE", `/v1/keys/${first.id}`);
    expect(await caller.refusal("rotate_api_key", { agentId: "nobody", ...CONFIRMED })).toBe("not-found");
    expect(await caller.refusal("rotate_api_key", { key: "second", agentId: "agent-7", ...CONFIRMED })).toBe(
      "invalid",
    );
  });

  it("is the caller's own, or its agents', where the caller has a role", async () => {
    const scene = await makeMcpScene();
    const operator = await scene.caller({ role: "operator" });
    const agentKey = {
      name: "helper",
      provider: "access",
      role: "agent",
      subject: "agent-7",
      scopes: ["keys:rotate", "keys:revoke", "keys:read", "keys:reveal"],
    };
    const made = await operator.done("create_api_key", { ...agentKey, reveal: "inline" });
    const agent = new McpCaller(secretOf(made));
    await scene.key({ name: "foreign", provider: "issuer" });
    expect(await agent.refusal("rotate_api_key", { key: "foreign", ...CONFIRMED })).toBe("not-yours");
    expect(
      await agent.refusal("revoke_api_key", { key: operator.id, reason: "x", confirm: "revoke-now" }),
    ).toBe("not-yours");
    expect(await operator.refusal("rotate_api_key", { key: "foreign", ...CONFIRMED })).toBe("not-yours");
    await operator.done("rotate_api_key", { agentId: "agent-7", ...CONFIRMED });
  });
});

describe("answers", () => {
  it("name every argument that does not fit, with an example that does", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { error, actions, text } = await caller.tool("rotate_api_key", {
      gracePeriodHours: -1,
      reveal: "yes",
      more: 1,
    });
    expect(error?.code).toBe("invalid");
    const paths = z
      .array(z.object({ path: z.string() }))
      .parse(error?.errors)
      .map(({ path }) => path);
    expect(paths.sort()).toEqual(["gracePeriodHours", "more", "reveal"]);
    expect(actions).toMatchObject([{ tool: "rotate_api_key", args: { key: "billing-api" } }]);
    for (const path of paths) expect(text).toContain(path);
  });

  it("propose only calls that the caller can make", async () => {
    const scene = await makeMcpScene();
    await scene.key({ name: "one", provider: "issuer" });
    const caller = await scene.caller({ scopes: ["keys:revoke"] });
    const { actions } = await caller.done("revoke_api_key", {
      key: "one",
      reason: "a try",
      confirm: "revoke-now",
    });
    expect(actions).toEqual([]);
  });

  it("say of a bug by which name it is found, and nothing else", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const answer = ok({ reasons: "inner words" }) as never;
    const broken = vi.spyOn(Keyring.prototype, "getStatus").mockResolvedValue(answer);
    const { error, whole } = await caller.tool("get_status");
    broken.mockRestore();
    expect(error?.code).toBe("internal");
    const [line] = log.mock.calls.flat();
    log.mockRestore();
    expect(error?.detail).toBe(
      `instance ${z.object({ instance: z.uuid() }).parse(JSON.parse(String(line))).instance}`,
    );
    expect(whole).not.toContain("inner words");
    expect(String(line)).not.toContain("inner words");
  });
});

describe("report_compromised_key", () => {
  it("replaces and ends the value at once", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { secret = "" } = await scene.key({
      name: "one",
      provider: "issuer",
      policy: { onCompromise: "revoke-first" },
    });
    const { data } = await caller.done("report_compromised_key", {
      secret,
      source: "a gist",
      confirm: "report-compromise",
    });
    expect(data).toMatchObject({ leaks: [{ keyName: "one", version: 1 }] });
    expect((await caller.done("verify_api_key", { secret })).data).toMatchObject({ code: "revoked" });
    expect(await happened(scene, "key.compromised")).toHaveLength(1);
    expect(
      await caller.refusal("report_compromised_key", { source: "x", confirm: "report-compromise" }),
    ).toBe("invalid");
    expect(
      await caller.refusal("report_compromised_key", {
        secret,
        key: "one",
        source: "x",
        confirm: "report-compromise",
      }),
    ).toBe("invalid");
  });
});
