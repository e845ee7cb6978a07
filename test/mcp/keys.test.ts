/** Which key a tool call means, and whose it may be. */
import { describe, expect, it, vi } from "vitest";
import { inside } from "../support/inside.ts";
import { CONFIRMED, McpCaller, makeMcpScene, secretOf } from "./caller.ts";

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
    expect((await plan()).error).toMatchObject({
      code: "ambiguous",
      candidates: [first.id, second.id].sort(),
    });
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

  it("is not guessed at where a name, a reference or an agent fits several, of whichever kind", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const outside = { provider: "manual", config: { runbook: { text: "Ask for a new one." } } };
    const fields = { secret: "a-value-from-outside" };
    const named = await scene.key({ name: "billing", provider: "issuer" });
    const other = await scene.key({ ...outside, name: "other", fields, reference: "billing" });
    expect((await caller.tool("get_api_key", { key: "billing" })).error).toMatchObject({
      code: "ambiguous",
      candidates: [named.id, other.id].sort(),
    });
    expect((await caller.done("get_api_key", { key: named.id })).data).toMatchObject({
      key: { id: named.id },
    });
    // The same key twice is one, and its name means all of it.
    const twice = { secret: "another-value-from-outside" };
    const { id } = await scene.key({ ...outside, name: "same", fields: twice, reference: "same" });
    const { error } = await caller.tool("revoke_api_key", { key: "same", reason: "x" });
    expect(error?.detail).toContain('Revoke every value of "same"');
    const held = await scene.key({
      name: "held",
      provider: "access",
      role: "agent",
      scopes: ["keys:read"],
      subject: "agent-8",
    });
    const plan = () => caller.tool("rotate_api_key", { agentId: "agent-8", dryRun: true });
    expect((await plan()).data).toMatchObject({ plan: { key: held.id } });
    await inside(scene.ring, (_, state) =>
      state.storage.sql.exec(
        "UPDATE key SET config = json_set(config, '$.agentId', 'agent-8') WHERE id = ?",
        id,
      ),
    );
    expect((await plan()).error).toMatchObject({ code: "ambiguous", candidates: [held.id, id].sort() });
  });

  it("is not found by a value that is dead, of which a report and a verification still say so", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const secret = "an-adopted-value-1234";
    const { id } = await scene.key({ name: "one", provider: "issuer", fields: { secret } });
    const { body } = await scene.ring.call<{ versions: { fingerprint: string }[] }>("GET", "/v1/keys/one");
    const fingerprint = body.versions[0]?.fingerprint ?? "";
    await caller.done("rotate_api_key", { key: fingerprint, ...CONFIRMED });
    const revoke = { key: fingerprint, reason: "x" };
    expect((await caller.tool("revoke_api_key", revoke)).error?.detail).toContain("version 1 of");
    // Only the value that was named ends.
    const ended = await caller.done("revoke_api_key", { ...revoke, confirm: "revoke-now" });
    expect(ended.summary.headline).toMatch(/^Version 1 of "one" is (revoked|being ended)\.$/);
    await vi.waitFor(async () =>
      expect((await caller.done("get_api_key", { key: id })).data).toMatchObject({
        key: {
          state: "active",
          currentVersion: 2,
          versions: [
            { number: 1, stage: "revoked" },
            { number: 2, stage: "current" },
          ],
        },
      }),
    );
    for (const [name, args] of [
      ["get_api_key", { key: fingerprint }],
      ["rotate_api_key", { key: fingerprint, ...CONFIRMED }],
      ["revoke_api_key", { ...revoke, confirm: "revoke-now" }],
    ] as const)
      expect(await caller.refusal(name, args), name).toBe("not-found");
    expect((await caller.done("verify_api_key", { secret })).data).toMatchObject({ code: "revoked" });
    const leak = { key: fingerprint, source: "a gist", confirm: "report-compromise" };
    expect((await caller.done("report_compromised_key", leak)).data).toMatchObject({
      leaks: [{ key: id, version: 1, stage: "revoked" }],
    });
    expect(await caller.refusal("report_compromised_key", { ...leak, key: "nobody" })).toBe("not-found");
  });
});
