/** What the history has of tool calls: who, by which program, why. */
import { exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { CONFIRMED, type Happened, happened, makeMcpScene, oldSchema } from "./caller.ts";

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
    await caller.done("create_api_key", { name: "two", reason: "new" });
    await seen("key.created", "new");
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
    const leak = { key: "one", source: "a gist", reason: "seen", confirm: "report-compromise" };
    await caller.done("report_compromised_key", leak);
    await seen("key.compromised", "seen");
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

  it("has them of an acknowledgement, too", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const kv = { name: "kv", type: "kv", config: { propagation: "0" } };
    const { body } = await scene.ring.call<{ id: string }>("POST", "/v1/destinations", { body: kv });
    await scene.key({
      name: "one",
      provider: "issuer",
      destinations: [{ id: body.id, mustAcknowledge: true }],
    });
    await vi.waitFor(async () => {
      const { body: page } = await scene.ring.call<{ items: { id: string }[] }>("GET", "/v1/deliveries");
      const delivery = page.items[0]?.id;
      await caller.done("acknowledge_delivery", { delivery, reason: "switched" });
    });
    expect(await happened(scene, "delivery.acknowledged")).toMatchObject([
      { actor: caller.id, data: { client: "an-agent 9", reason: "switched" } },
    ]);
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
