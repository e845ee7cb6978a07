/**
 * The five services whose own tools rotate keys, by the official client against the lab: one rotate_api_key offers what theirs offer
 * together. Each row of the table in the services' contract has its test here.
 */
import type { Client } from "@modelcontextprotocol/client";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { connect, openKeyring, type Rekey, type Running, startForAll } from "./mcp-support.ts";
import { freePort, start, until } from "./support.ts";

const answerSchema = z.object({
  schemaVersion: z.literal("1"),
  tool: z.string(),
  summary: z.object({ headline: z.string() }),
  data: z.looseObject({}).nullable(),
  error: z.looseObject({ code: z.string(), detail: z.string().optional() }).optional(),
  warnings: z.array(z.string()),
  actions: z.array(z.object({ tool: z.string(), args: z.looseObject({}), reason: z.string() })),
  generatedAt: z.iso.datetime(),
});
const rotatedSchema = z.looseObject({
  key: z.object({ id: z.string(), name: z.string(), provider: z.string() }),
  isOwnKey: z.boolean(),
  rotation: z.looseObject({ id: z.string(), trigger: z.string(), live: z.boolean(), state: z.string() }),
  old: z.object({ version: z.int(), stage: z.string(), endsAt: z.string().nullable() }),
  cooldownUntil: z.string().nullable(),
  secret: z.string().optional(),
  claim: z.object({ token: z.string(), url: z.string(), expiresAt: z.string() }).optional(),
});
const pointerSchema = z.object({
  connection: z.looseObject({}),
  key: z.looseObject({ name: z.string(), reference: z.string().optional() }),
});
const stateSchema = z.object({
  journal: z.array(z.string()),
  credentials: z.array(z.object({ secret: z.string(), reference: z.string(), live: z.boolean() })),
});
const claimedSchema = z.object({ fields: z.object({ secret: z.string() }) });

const HOUR_MS = 3_600_000;

interface Stage {
  rekey: Rekey;
  client: Client;
  /** The client's access key. */
  access: { id: string; secret: string };
  /** Calls a tool. */
  tool(
    name: string,
    args?: Record<string, unknown>,
  ): Promise<z.infer<typeof answerSchema> & { text: string }>;
  /** What the lab knows of a service. */
  lab<Schema extends z.ZodType>(
    schema: Schema,
    path: string,
    method?: string,
    body?: unknown,
  ): Promise<z.output<Schema>>;
  /** Makes an account and a first key at a service, and takes both into the keyring. */
  adopt(
    service: string,
    more?: Record<string, unknown>,
  ): Promise<z.infer<typeof pointerSchema>["key"] & { id: string }>;
  /** Calls to a service since then that would make a value. */
  mints(service: string): Promise<string[]>;
}

let port = 0;
let running: Running;

beforeAll(async () => {
  port = await freePort();
  const program = start("npm", ["run", "lab"], { LAB_PORT: String(port) });
  await program.printed(/Ctrl-C stops it/);
  running = await startForAll({ port, program });
  return running.end;
});

async function makeStage(accessKey: Record<string, unknown> = {}): Promise<Stage> {
  const rekey = await openKeyring(running);
  const access = await rekey.makeAccessKey(accessKey);
  const client = await connect(rekey.origin, access.secret);
  const lab: Stage["lab"] = async (schema, path, method = "GET", body) => {
    const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) };
    const response = await fetch(`http://127.0.0.1:${port}/control/${path}`, init);
    return schema.parse(await response.json());
  };
  const called = new Map<string, number>();
  return {
    rekey,
    client,
    access,
    lab,
    async tool(name, args = {}) {
      const result = await client.callTool({ name, arguments: args });
      const [part] = result.content;
      const answer = answerSchema.parse(result.structuredContent);
      expect(answer.tool).toBe(name);
      expect(result.isError ?? false).toBe(answer.error !== undefined);
      return { ...answer, text: part?.type === "text" ? part.text : "" };
    },
    async adopt(service, more = {}) {
      const { connection, key } = await lab(pointerSchema, `${service}/begin`, "POST");
      called.set(service, (await lab(stateSchema, service)).journal.length);
      await rekey.call(z.unknown(), "POST", "/v1/connections", connection);
      const { id } = await rekey.call(z.object({ id: z.string() }), "POST", "/v1/keys", { ...key, ...more });
      return { ...key, id };
    },
    async mints(service) {
      const { journal } = await lab(stateSchema, service);
      return journal.slice(called.get(service) ?? 0).filter((line) => line.startsWith("mint "));
    },
  };
}

/** The one value that is live at a service, besides those that make others. */
async function isLive({ lab }: Stage, service: string, secret: string): Promise<boolean | undefined> {
  const { credentials } = await lab(stateSchema, service);
  return credentials.find((one) => one.secret === secret)?.live;
}

describe("BitScale: rotates the key that is used, returns the new one, says loudly that it is irreversible", () => {
  it("rotates at the service, with the value in the answer only when asked", async () => {
    const stage = await makeStage();
    await stage.adopt("bitscale");
    const unconfirmed = await stage.tool("rotate_api_key", { key: "bitscale-key" });
    expect(unconfirmed.error?.code).toBe("confirmation-missing");
    expect(unconfirmed.error?.detail).toContain("stops working at once; that cannot be undone");
    expect(unconfirmed.error?.detail).toContain('"confirm": "rotate-now"');
    expect(await stage.mints("bitscale")).toEqual([]);
    const { data, text, warnings } = await stage.tool("rotate_api_key", {
      key: "bitscale-key",
      confirm: "rotate-now",
      reveal: "inline",
    });
    const { secret = "", old, rotation } = rotatedSchema.parse(data);
    expect(rotation).toMatchObject({ state: "succeeded", trigger: "agent" });
    expect(await stage.mints("bitscale")).toEqual(["mint POST /api-key/rotate 200"]);
    expect(await isLive(stage, "bitscale", secret)).toBe(true);
    expect(["revoking", "revoked"]).toContain(old.stage);
    expect(text).toContain("has stopped working already");
    expect(warnings.join(" ")).toContain("shown this once");
  });

  it("does the same to the caller's own access key when no key is named", async () => {
    const stage = await makeStage();
    const { data, summary } = await stage.tool("rotate_api_key", { confirm: "rotate-now", reveal: "inline" });
    const { secret = "", isOwnKey, key, old } = rotatedSchema.parse(data);
    expect({ isOwnKey, id: key.id }).toEqual({ isOwnKey: true, id: stage.access.id });
    expect(Date.parse(old.endsAt ?? "")).toBeGreaterThan(Date.now() + 23 * HOUR_MS);
    expect(summary.headline).toContain(`works until ${old.endsAt}`);
    const renewed = await connect(stage.rekey.origin, secret);
    expect((await renewed.listTools()).tools.length).toBeGreaterThan(0);
    // The old one works still.
    expect((await stage.client.listTools()).tools.length).toBeGreaterThan(0);
  });
});

describe("A2A Market: one agent's key by agent_id, tools in groups", () => {
  it("finds the key by the agent, and keeps the value out of the answer", async () => {
    const stage = await makeStage();
    const { config } = await stage.adopt("a2amarket");
    const { agentId } = z.object({ agentId: z.string() }).parse(config);
    const { data, text } = await stage.tool("rotate_api_key", { agentId, confirm: "rotate-now" });
    const { claim, secret, key } = rotatedSchema.parse(data);
    expect(key.name).toBe("a2amarket-key");
    expect(secret).toBeUndefined();
    const body = { claim: claim?.token };
    const { fields } = await stage.rekey.call(claimedSchema, "POST", "/v1/claims", body, stage.access.secret);
    expect(await isLive(stage, "a2amarket", fields.secret)).toBe(true);
    expect(text).not.toContain(fields.secret);
    expect(await stage.mints("a2amarket")).toEqual([`mint POST /acap/v1/agents/${agentId}/rotate-key 200`]);
  });

  it("shows an agent the tools of its scopes only", async () => {
    const rekey = await openKeyring(running);
    const names = async (scopes: string[]) => {
      const { secret } = await rekey.makeAccessKey({ scopes });
      return (await (await connect(rekey.origin, secret)).listTools()).tools.map(({ name }) => name);
    };
    expect(await names(["keys:verify"])).toEqual(["verify_api_key"]);
    expect(await names(["events:read", "keys:revoke"])).toEqual([
      "revoke_api_key",
      "report_compromised_key",
      "list_events",
    ]);
  });
});

describe("LLM Conveyors: by key hash, hours of grace, value shown once, the scope named, revoke as a sibling", () => {
  it("takes the service's hash for the key and 48 hours for the old value", async () => {
    const stage = await makeStage();
    const { id, reference: hash = "" } = await stage.adopt("llmconveyors");
    const dry = await stage.tool("rotate_api_key", { key: hash, gracePeriodHours: 48, dryRun: true });
    expect(dry.data).toMatchObject({ plan: { overlap: "provider", ready: true } });
    expect(await stage.mints("llmconveyors")).toEqual([]);
    const [proposed] = dry.actions;
    expect(proposed?.args).toEqual({
      key: id,
      gracePeriodHours: 48,
      reveal: "claim",
      confirm: "rotate-now",
    });
    const { data, actions } = await stage.tool("rotate_api_key", proposed?.args);
    expect(actions.map(({ tool }) => tool)).toEqual(["finish_grace_period"]);
    const { old, key } = rotatedSchema.parse(data);
    expect(key.name).toBe("llmconveyors-key");
    expect(Date.parse(old.endsAt ?? "") - Date.now()).toBeGreaterThan(47.9 * HOUR_MS);
    expect(Date.parse(old.endsAt ?? "") - Date.now()).toBeLessThanOrEqual(48 * HOUR_MS);
    expect(await stage.mints("llmconveyors")).toEqual([
      `mint POST /settings/platform-api-keys/${hash}/rotate 200`,
    ]);
    // The service ends it by itself: nobody goes back.
    const back = await stage.tool("rollback_key", { key: key.id, reason: "a try" });
    expect(back.error?.code).toBe("forward-only");
    const revoked = await stage.tool("revoke_api_key", {
      key: key.name,
      reason: "not needed any more",
      confirm: "revoke-now",
    });
    expect(revoked.error).toBeUndefined();
    const isGone = async () => {
      const { credentials } = await stage.lab(stateSchema, "llmconveyors");
      return credentials.find((one) => one.reference === hash)?.live === false || undefined;
    };
    await until(isGone, 20_000, () => "the old value is still alive at the service");
  });

  it("names the scope that is missing, and what can be done without it", async () => {
    const stage = await makeStage({ scopes: ["keys:rotate", "keys:read"] });
    const { id } = await stage.adopt("llmconveyors");
    const { error, actions } = await stage.tool("rotate_api_key", {
      key: "llmconveyors-key",
      confirm: "rotate-now",
    });
    expect(error).toMatchObject({ code: "scope-missing", scope: "keys:reveal" });
    expect(actions).toEqual([
      expect.objectContaining({
        tool: "rotate_api_key",
        args: { key: id, reveal: "none", confirm: "rotate-now" },
      }),
    ]);
    expect(await stage.mints("llmconveyors")).toEqual([]);
  });
});

describe("Lightning Faucet: operator or agent, a cooldown, the caller switched to the new key", () => {
  it("rotates an agent's key with its operator's, says until when withdrawals are held, and refuses until then", async () => {
    const stage = await makeStage();
    await stage.adopt("lightningfaucet");
    const asked = { agentId: "42", confirm: "rotate-now" };
    const { data, warnings } = await stage.tool("rotate_api_key", asked);
    const { cooldownUntil, key } = rotatedSchema.parse(data);
    const left = Date.parse(cooldownUntil ?? "") - Date.now();
    expect(left).toBeGreaterThan(29 * 60_000);
    expect(left).toBeLessThanOrEqual(30 * 60_000);
    expect(warnings.join(" ")).toContain(`until ${cooldownUntil}`);
    const again = await stage.tool("rotate_api_key", asked);
    expect(again.error).toMatchObject({ code: "cooldown", retryAt: cooldownUntil });
    expect(again.text).toContain(`Not before ${cooldownUntil}`);
    expect(await stage.mints("lightningfaucet")).toHaveLength(1);
    const seen = await stage.tool("get_api_key", { key: key.id });
    expect(seen.data).toMatchObject({ key: { cooldownUntil } });
  });

  it("uses an operator's new key at once for those of its agents", async () => {
    const stage = await makeStage();
    const { connection, key } = await stage.lab(pointerSchema, "lightningfaucet/begin", "POST");
    const { credential, config } = connection;
    const make = (path: string, body: unknown) => stage.rekey.call(z.unknown(), "POST", path, body);
    await make("/v1/connections", { name: "plain", provider: "lightningfaucet", config });
    const operator = {
      name: "operator",
      provider: "lightningfaucet",
      connection: "plain",
      fields: credential,
    };
    await make("/v1/keys", operator);
    const through = { name: "through", provider: "lightningfaucet", config, credential: { key: "operator" } };
    await make("/v1/connections", through);
    await make("/v1/keys", { ...key, connection: "through" });
    const rotated = await stage.tool("rotate_api_key", {
      key: "operator",
      confirm: "rotate-now",
      reveal: "inline",
    });
    const { secret = "", cooldownUntil } = rotatedSchema.parse(rotated.data);
    expect(Date.parse(cooldownUntil ?? "") - Date.now()).toBeGreaterThan(59 * 60_000);
    expect(await isLive(stage, "lightningfaucet", secret)).toBe(true);
    // The old key of the operator is dead: only the new one can have made this.
    const { data } = await stage.tool("rotate_api_key", { agentId: "42", confirm: "rotate-now" });
    expect(rotatedSchema.parse(data).rotation).toMatchObject({ state: "succeeded" });
  });

  it("tells agents from operators: an agent acts on its own key, its operator on both", async () => {
    const stage = await makeStage({ role: "operator" });
    const scopes = ["keys:rotate", "keys:reveal", "keys:read", "keys:write"];
    const agentKey = { name: "helper", provider: "access", scopes, role: "agent", subject: "agent-7" };
    const made = await stage.tool("create_api_key", { ...agentKey, reveal: "inline" });
    const { secret } = z.looseObject({ secret: z.string() }).parse(made.data);
    const agent = await connect(stage.rekey.origin, secret);
    const result = await agent.callTool({
      name: "rotate_api_key",
      arguments: { key: stage.access.id, confirm: "rotate-now" },
    });
    expect(answerSchema.parse(result.structuredContent).error).toMatchObject({
      code: "not-yours",
      role: "agent",
    });
    const { data } = await stage.tool("rotate_api_key", { agentId: "agent-7", confirm: "rotate-now" });
    expect(rotatedSchema.parse(data).key.name).toBe("helper");
  });
});

describe("Log10x: guarded by a confirmation, a demo account refused cleanly, a result to go on from", () => {
  it("does nothing without the confirmation, and all of it with", async () => {
    const stage = await makeStage();
    await stage.adopt("log10x");
    for (const confirm of [undefined, "yes", "revoke-now"]) {
      const { error, actions } = await stage.tool("rotate_api_key", {
        key: "log10x-key",
        ...(confirm !== undefined && { confirm }),
      });
      expect(error?.code).toBe("confirmation-missing");
      expect(actions).toMatchObject([{ tool: "rotate_api_key", args: { confirm: "rotate-now" } }]);
    }
    expect(await stage.mints("log10x")).toEqual([]);
    const first = await stage.tool("rotate_api_key", { key: "log10x-key", confirm: "rotate-now" });
    const { rotation } = rotatedSchema.parse(first.data);
    expect(first.summary.headline).toContain("has stopped working already");
    expect(first.generatedAt).toMatch(/Z$/);
    expect(rotation.state).toBe("succeeded");
    expect(await stage.mints("log10x")).toHaveLength(1);
  });

  it("says of a demo account that it may not, and asks nobody again", async () => {
    const stage = await makeStage();
    await stage.lab(stateSchema, "log10x", "DELETE");
    const { connection } = await stage.lab(pointerSchema, "log10x/begin", "POST");
    await stage.rekey.call(z.unknown(), "POST", "/v1/connections", connection);
    const credential = z.object({ secret: z.string() });
    const { secret } = await stage.lab(credential, "log10x/credentials", "POST", { label: "demo" });
    const key = { name: "demo-key", provider: "log10x", connection: "log10x", fields: { secret } };
    await stage.rekey.call(z.unknown(), "POST", "/v1/keys", key);
    const refused = await stage.tool("rotate_api_key", { key: "demo-key", confirm: "rotate-now" });
    expect(refused.error?.code).toBe("rotation-failed");
    expect(refused.error?.detail).toMatch(/demo|403/i);
    expect(refused.data).toMatchObject({ rotation: { state: "failed" }, old: { stage: "current" } });
    expect(await stage.mints("log10x")).toEqual(["mint POST /api/v1/user/rotate-key 403"]);
    expect(await isLive(stage, "log10x", secret)).toBe(true);
  });
});
