/** Every tool says all that an agent and its host need, always in the same order. */
import { describe, expect, it } from "vitest";
import { SCOPES } from "../../src/keyring/scopes.ts";
import { TOOLS, toolsFor } from "../../src/mcp/tools/registry.ts";
import { makeMcpScene } from "./caller.ts";

/** As agents have seen them: a new one goes where it belongs, and none changes its place. */
const ORDER = [
  "rotate_api_key",
  "revoke_api_key",
  "create_api_key",
  "list_api_keys",
  "get_api_key",
  "get_rotation",
  "extend_grace_period",
  "finish_grace_period",
  "rollback_key",
  "acknowledge_delivery",
  "report_compromised_key",
  "verify_api_key",
  "list_events",
  "get_status",
];

const sources = import.meta.glob<string>("../../src/mcp/tools/*.ts", {
  query: "?raw",
  import: "default",
  eager: true,
});
const files = Object.keys(sources).map((path) => path.split("/").at(-1));

/** What a JSON Schema says of each argument. */
function partsOf(schema: unknown): [name: string, schema: Record<string, unknown>][] {
  const { properties = {} } = schema as { properties?: Record<string, Record<string, unknown>> };
  return Object.entries(properties);
}

describe("the registry of tools", () => {
  it("has one file a tool, in a stable order", () => {
    expect(TOOLS.map(({ name }) => name)).toEqual(ORDER);
    const expected = ORDER.map((name) => `${name.replaceAll("_", "-")}.ts`);
    expect(files.filter((name) => name !== "registry.ts").sort()).toEqual(expected.sort());
  });

  it.each(TOOLS.map((tool) => [tool.name, tool] as const))("knows all of %s", (name, tool) => {
    expect(name).toMatch(/^[a-z]+(_[a-z]+)+$/);
    expect(tool.title.length).toBeGreaterThan(5);
    expect(SCOPES).toContain(tool.scope);
    expect(Object.values(tool.hints).every((hint) => typeof hint === "boolean")).toBe(true);
    expect(tool.inputSchema).toMatchObject({ type: "object", additionalProperties: false });
    expect(tool.outputSchema).toMatchObject({ type: "object" });
    expect(tool.outputSchema).not.toHaveProperty("additionalProperties");
    for (const part of ["schemaVersion", "tool", "summary", "data", "warnings", "actions", "generatedAt"])
      expect(tool.outputSchema.required, part).toContain(part);
    for (const [path, schema] of partsOf(tool.inputSchema)) {
      const isNamed = "enum" in schema || schema.type === "object";
      expect(String(schema.description ?? (isNamed ? path : "")).length, path).toBeGreaterThan(0);
    }
  });

  it.each(TOOLS.map((tool) => [tool.name, tool] as const))("has an example that %s takes", (_, tool) => {
    const read = tool.read(tool.example);
    expect(read.ok ? [] : read.error).toEqual([]);
    expect(tool.inputSchema.examples).toEqual([tool.example]);
    if (tool.confirmWord !== undefined) expect(tool.example.confirm).toBe(tool.confirmWord);
    expect(read.ok && read.value.question).toBeUndefined();
    expect(tool.read({ ...tool.example, unheardOf: 1 }).ok).toBe(false);
  });

  it.each(TOOLS.map((tool) => [tool.name, tool] as const))(
    "describes %s shortly, and says when to use another",
    (name, tool) => {
      const { description, scope, hints } = tool;
      expect(description.length).toBeGreaterThan(200);
      expect(description.length).toBeLessThan(1_500);
      expect(description).toContain(`scope ${scope}`);
      const siblings = ORDER.filter((other) => other !== name && description.includes(other));
      expect(siblings.length, "names a sibling").toBeGreaterThan(0);
      if (hints.readOnly) expect(description).toContain("Changes nothing");
      if (hints.destructive) expect(description).toMatch(/Irreversible|Cannot be taken back|for good/);
      expect(hints.readOnly && hints.destructive).toBe(false);
    },
  );

  it("lists them by the caller's scopes, in the same order for everybody", async () => {
    const scene = await makeMcpScene();
    const listed = async (scopes: string[]) => {
      const caller = await scene.caller({ scopes });
      const { tools } = await caller.result("tools/list");
      return (tools as { name: string }[]).map(({ name }) => name);
    };
    expect(await listed([...SCOPES])).toEqual(ORDER);
    expect(await listed([...SCOPES].reverse())).toEqual(ORDER);
    expect(await listed(["settings:read"])).toEqual([]);
    for (const scope of SCOPES) {
      const expected = toolsFor([scope]).map(({ name }) => name);
      expect(ORDER.filter((name) => expected.includes(name))).toEqual(expected);
    }
  });

  it("says of a tool that the caller does not see which scope it takes, whatever comes with the call", async () => {
    const scene = await makeMcpScene();
    const caller = await scene.caller({ scopes: ["keys:read"] });
    for (const args of [{}, { key: "one", reason: "x", confirm: "revoke-now" }]) {
      const { error, text } = await caller.tool("revoke_api_key", args);
      expect(error).toMatchObject({ code: "scope-missing", scope: "keys:revoke" });
      expect(text).toContain("missing scope: keys:revoke");
    }
    const { message } = await caller.error("tools/call", { name: "unheard_of", arguments: {} });
    expect(message).toContain("not found");
  });

  it("tells hosts what is true of each", async () => {
    const scene = await makeMcpScene();
    const { tools } = await (await scene.caller({ scopes: [...SCOPES] })).result("tools/list");
    const told = Object.fromEntries(
      (tools as { name: string; title: string; annotations: Record<string, unknown> }[]).map(
        ({ name, title, annotations }) => {
          expect(annotations.title).toBe(title);
          const flags = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
          return [name, flags.map((flag) => (annotations[flag] === true ? "x" : "-")).join("")];
        },
      ),
    );
    // Read only, destructive, the same twice, reaches services outside.
    expect(told).toEqual({
      rotate_api_key: "-x-x",
      revoke_api_key: "-xxx",
      create_api_key: "--xx",
      list_api_keys: "x-x-",
      get_api_key: "x-x-",
      get_rotation: "x-x-",
      extend_grace_period: "----",
      finish_grace_period: "-xxx",
      rollback_key: "-x-x",
      acknowledge_delivery: "-xxx",
      report_compromised_key: "-x-x",
      verify_api_key: "----",
      list_events: "x-x-",
      get_status: "x-x-",
    });
  });
});
