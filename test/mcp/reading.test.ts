/** Resources and prompts: what they show, to whom, and what is answered when there is nothing. */
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { Keyring } from "../../src/keyring/keyring.ts";
import { err, ok } from "../../src/result.ts";
import { type McpCaller, makeMcpScene } from "./caller.ts";

const readSchema = z.looseObject({
  contents: z.tuple([z.object({ uri: z.string(), mimeType: z.string(), text: z.string() })]),
});
const listSchema = z.looseObject({
  resources: z.array(z.looseObject({ uri: z.string(), name: z.string() })),
});

async function read(caller: McpCaller, uri: string): Promise<string> {
  return readSchema.parse(await caller.result("resources/read", { uri })).contents[0].text;
}

describe("resources", () => {
  it("show a key by id or name, and never its value", async () => {
    const scene = await makeMcpScene();
    const { id, secret = "" } = await scene.key({ name: "one", provider: "issuer", labels: { team: "a" } });
    const caller = await scene.caller();
    for (const name of [id, "one"]) {
      const text = await read(caller, `rekey://keys/${name}`);
      expect(JSON.parse(text)).toMatchObject({
        id,
        name: "one",
        versions: [{ number: 1, stage: "current" }],
      });
      expect(text).not.toContain(secret);
    }
    const { resources } = listSchema.parse(await caller.result("resources/list"));
    expect(resources.map(({ uri }) => uri)).toEqual(
      expect.arrayContaining(["rekey://guides/policy", `rekey://keys/${id}`]),
    );
  });

  it("show a rotation's timeline, with what happened for who may see events", async () => {
    const scene = await makeMcpScene();
    await scene.key({ name: "one", provider: "issuer" });
    const caller = await scene.caller();
    const { data } = await caller.done("rotate_api_key", { key: "one", confirm: "rotate-now" });
    const { rotation } = z.object({ rotation: z.object({ id: z.string() }) }).parse(data);
    const uri = `rekey://rotations/${rotation.id}`;
    const seen = z
      .looseObject({ state: z.string(), events: z.array(z.looseObject({ type: z.string() })) })
      .parse(JSON.parse(await read(caller, uri)));
    expect(seen.state).toBe("succeeded");
    expect(seen.events.map(({ type }) => type)).toEqual(["key.rotation.started", "key.rotated"]);
    const other = await scene.caller({ scopes: ["keys:read"] });
    expect(JSON.parse(await read(other, uri))).not.toHaveProperty("events");
  });

  it("are those that the caller's scopes allow: without keys:read only the guide", async () => {
    const scene = await makeMcpScene();
    const { id } = await scene.key({ name: "one", provider: "issuer" });
    const caller = await scene.caller({ scopes: ["keys:verify"] });
    const { resources } = listSchema.parse(await caller.result("resources/list"));
    expect(resources.map(({ uri }) => uri)).toEqual(["rekey://guides/policy"]);
    expect(await read(caller, "rekey://guides/policy")).toContain("# How a key rotates");
    expect((await caller.error("resources/read", { uri: `rekey://keys/${id}` })).code).toBe(-32602);
  });

  it("answer in the protocol's words when they cannot be read or listed, and say nothing of a bug", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const broken = vi.spyOn(Keyring.prototype, "listKeys").mockReturnValue(ok({ inner: "words" }) as never);
    const bug = await caller.error("resources/list");
    broken.mockReturnValue(err({ code: "caller-cooldown", retryAt: "2026-12-01T09:00:00.000Z" }));
    const refused = await caller.error("resources/list");
    broken.mockRestore();
    const [line] = log.mock.calls.flat();
    log.mockRestore();
    expect(bug).toMatchObject({ code: -32603, message: expect.stringMatching(/^Internal error, instance /) });
    expect(String(line)).toContain(bug.message.split(" ").at(-1));
    expect(refused).toMatchObject({ code: -32602, data: { code: "caller-cooldown" } });
  });

  it("that are not there are not found", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    for (const uri of [
      "rekey://keys/nobody",
      "rekey://rotations/rot_nothing",
      "rekey://nothing",
      "https://evil.example",
    ]) {
      const { code, message } = await caller.error("resources/read", { uri });
      expect(code, uri).toBe(-32602);
      expect(message, uri).toContain("not found");
    }
  });
});

describe("prompts", () => {
  it("name the key that they are about, and only tools that there are", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const { tools } = z
      .looseObject({ tools: z.array(z.looseObject({ name: z.string() })) })
      .parse(await caller.result("tools/list"));
    const names = tools.map(({ name }) => name);
    for (const name of ["rotate_safely", "respond_to_leak"]) {
      const result = await caller.result("prompts/get", { name, arguments: { key: "billing" } });
      const text = JSON.stringify(result);
      expect(text).toContain('\\"billing\\"');
      const mentioned = text.match(/\b(?:get|rotate|revoke|report|list|rollback)_[a-z_]+/g) ?? [];
      expect(mentioned.length).toBeGreaterThan(3);
      for (const tool of mentioned) expect([...names, name]).toContain(tool);
    }
  });

  it("end the value that leaked, and go without tools that the caller may lack", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller({ scopes: ["keys:rotate", "keys:read"] });
    const args = { name: "respond_to_leak", arguments: { key: "billing" } };
    const text = JSON.stringify(await caller.result("prompts/get", args));
    expect(text).toContain("finish_grace_period with `version`");
    for (const tool of ["report_compromised_key", "revoke_api_key", "list_events"])
      expect(text).toMatch(new RegExp(`you have ${tool}`));
  });

  it("say where a value was seen, when that is known", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller();
    const ask = async (args: Record<string, string>) =>
      JSON.stringify(await caller.result("prompts/get", { name: "respond_to_leak", arguments: args }));
    expect(await ask({ key: "k", where: "a gist" })).toContain("seen at a gist");
    expect(await ask({ key: "k" })).not.toContain("seen at");
    expect((await caller.error("prompts/get", { name: "respond_to_leak", arguments: {} })).code).toBe(-32602);
  });

  it("are those whose tools the caller has", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller({ scopes: ["keys:read"] });
    expect(await caller.result("prompts/list")).toMatchObject({ prompts: [] });
  });
});
