/** The official client against the Worker as it is deployed: every tool is listed and called, by both revisions of the protocol. */
import type { Client, ClientOptions } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { TOOLS } from "../../src/mcp/tools/registry.ts";
import { connect, openKeyring, type Rekey, type Running, startForAll } from "./mcp-support.ts";

const answerSchema = z.object({
  summary: z.object({ headline: z.string() }),
  data: z.looseObject({}).nullable(),
  error: z.looseObject({ code: z.string() }).optional(),
  actions: z.array(z.looseObject({ tool: z.string() })),
});
const rotatedSchema = z.looseObject({
  rotation: z.looseObject({
    id: z.string(),
    live: z.boolean(),
    deliveries: z.array(z.looseObject({ id: z.string() })),
  }),
  old: z.looseObject({ version: z.int() }),
  secret: z.string().optional(),
});
const keySchema = z.looseObject({ key: z.looseObject({ id: z.string() }) });

async function call(client: Client, name: string, args: Record<string, unknown> = {}) {
  const result = await client.callTool({ name, arguments: args });
  return answerSchema.parse(result.structuredContent);
}

const REVISIONS: [revision: string, options: ClientOptions][] = [
  ["2026-07-28", { versionNegotiation: { mode: { pin: "2026-07-28" } } }],
  ["2025-11-25", { versionNegotiation: { mode: "legacy" } }],
];

/** A key with a destination whose consumer has to acknowledge, an issued one to verify, and an access key to call with. */
async function furnish(rekey: Rekey): Promise<{ access: string; value: string }> {
  const id = z.object({ id: z.string() });
  const kv = { name: "kv", type: "kv", config: { propagation: "0" } };
  const destination = await rekey.call(id, "POST", "/v1/destinations", kv);
  const slow = {
    name: "slow",
    provider: "issuer",
    destinations: [{ id: destination.id, mustAcknowledge: true }],
  };
  await rekey.call(id, "POST", "/v1/keys", slow);
  const issued = z.object({ secret: z.string() });
  const { secret: value } = await rekey.call(issued, "POST", "/v1/keys", {
    name: "quick",
    provider: "issuer",
  });
  const { secret: access } = await rekey.makeAccessKey();
  return { access, value };
}

let running: Running;

beforeAll(async () => {
  running = await startForAll();
  return running.end;
});

describe("the official client", () => {
  it.each(REVISIONS)("lists and calls every tool, at %s", async (revision, options) => {
    const rekey = await openKeyring(running);
    const { access, value } = await furnish(rekey);
    let client = await connect(rekey.origin, access, options);
    expect(client.getNegotiatedProtocolVersion()).toBe(revision);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(TOOLS.map(({ name }) => name));

    const called = new Set<string>();
    const tool = async (name: string, args: Record<string, unknown> = {}) => {
      called.add(name);
      const answer = await call(client, name, args);
      expect(answer.error, `${name}: ${answer.summary.headline}`).toBeUndefined();
      return answer;
    };
    await tool("get_status");
    await tool("list_api_keys", { provider: "issuer" });
    await tool("create_api_key", { name: "made-by-an-agent" });
    expect((await tool("verify_api_key", { secret: value })).data).toMatchObject({
      code: "valid",
      version: 1,
    });
    const rotated = await tool("rotate_api_key", { key: "quick", confirm: "rotate-now", reveal: "inline" });
    const { secret, old } = rotatedSchema.parse(rotated.data);
    expect((await tool("verify_api_key", { secret })).data).toMatchObject({ code: "valid", version: 2 });
    await tool("extend_grace_period", { key: "quick", version: old.version, hours: 30 });
    await tool("rollback_key", { key: "quick", reason: "a try" });
    const { key } = keySchema.parse((await tool("get_api_key", { key: "quick" })).data);
    expect(key).toMatchObject({ currentVersion: 1 });
    await tool("finish_grace_period", { key: "quick", version: 2 });
    expect((await tool("verify_api_key", { secret })).data).toMatchObject({ code: "grace-ended" });
    await tool("revoke_api_key", { key: "made-by-an-agent", reason: "a try", confirm: "revoke-now" });

    // One access key may not destroy any more in this minute.
    client = await connect(rekey.origin, (await rekey.makeAccessKey()).secret, options);
    const leak = { key: "quick", source: "a gist", confirm: "report-compromise" };
    const reported = await tool("report_compromised_key", leak);
    expect(reported.data).toMatchObject({ leaks: [{ keyName: "quick", version: 1 }] });
    const slow = await tool("rotate_api_key", { key: "slow", confirm: "rotate-now", reveal: "none" });
    const { rotation } = rotatedSchema.parse(slow.data);
    expect(rotation.live).toBe(true);
    const [delivery] = rotation.deliveries;
    await tool("acknowledge_delivery", { delivery: delivery?.id });
    const over = await tool("get_rotation", { rotation: rotation.id });
    expect(over.data).toMatchObject({ rotation: { live: false, state: "succeeded" } });
    const events = await tool("list_events", { type: "key.rotation.started", limit: 1 });
    const who = revision === "2026-07-28" ? "test-agent 1.2.3" : expect.any(String);
    expect(events.data).toMatchObject({ events: [{ data: { trigger: "agent", client: who } }] });
    expect([...called].sort()).toEqual(TOOLS.map(({ name }) => name).sort());
  });

  it.each([
    ["accepts", { action: "accept", content: { confirm: true } }, undefined],
    ["says no", { action: "accept", content: { confirm: false } }, "confirmation-declined"],
    ["declines", { action: "decline" }, "confirmation-declined"],
  ] as const)("asks its person for a missing confirmation, who %s", async (_, answer, refused) => {
    const rekey = await openKeyring(running);
    const { access } = await furnish(rekey);
    const asked: string[] = [];
    const client = await connect(
      rekey.origin,
      access,
      { versionNegotiation: { mode: { pin: "2026-07-28" } }, capabilities: { elicitation: { form: {} } } },
      (made) =>
        made.setRequestHandler("elicitation/create", ({ params }) => {
          asked.push(params.message);
          return { ...answer };
        }),
    );
    const rotated = await call(client, "rotate_api_key", {
      key: "quick",
      reveal: "none",
      gracePeriodHours: 1,
    });
    // The key has no destination: nobody would receive the value.
    expect(rotated.error?.code).toBe(refused ?? "no-receiver");
    expect(asked).toEqual([expect.stringContaining('Rotate "quick" (Rekey\'s own issuer) now?')]);
  });

  it("reads resources and prompts", async () => {
    const rekey = await openKeyring(running);
    const { access } = await furnish(rekey);
    const client = await connect(rekey.origin, access);
    const { resources } = await client.listResources();
    const uri = resources.find(({ name }) => name === "quick")?.uri ?? "";
    const [content] = (await client.readResource({ uri })).contents;
    expect(JSON.parse(content && "text" in content ? content.text : "")).toMatchObject({ name: "quick" });
    const { prompts } = await client.listPrompts();
    expect(prompts.map(({ name }) => name)).toEqual(["rotate_safely", "respond_to_leak"]);
    const { messages } = await client.getPrompt({ name: "rotate_safely", arguments: { key: "quick" } });
    expect(JSON.stringify(messages)).toContain('Rotate the API key \\"quick\\"');
  });
});
