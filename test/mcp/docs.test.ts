/** The configurations in the README that add this server to a client: each is JSON of the shape that its client reads. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import page from "../../docs/mcp.md?raw";
import readme from "../../README.md?raw";
import { CATALOGUE } from "../../src/errors/catalogue.ts";
import { PAGES } from "../../src/local/pages/all.ts";
import { PROMPTS } from "../../src/mcp/prompts.ts";
import { TOOLS } from "../../src/mcp/tools/registry.ts";
import { ALL_SCOPES } from "./caller.ts";

const url = z.literal("https://rekey.acme.dev/mcp");
/** As a client writes that the value is held elsewhere. */
const held = (variable: string) => `\${${variable}}`;
const bearer = (variable: string) => z.strictObject({ Authorization: z.literal(`Bearer ${held(variable)}`) });

/** What each client reads, by its name in the README. */
const CLIENTS = {
  "Claude Code": z.strictObject({
    mcpServers: z.strictObject({
      rekey: z.strictObject({ type: z.literal("http"), url, headers: bearer("REKEY_ACCESS_KEY") }),
    }),
  }),
  "Claude Desktop": z.strictObject({
    mcpServers: z.strictObject({
      rekey: z.strictObject({
        command: z.literal("npx"),
        args: z.tuple([
          z.literal("-y"),
          z.literal("mcp-remote"),
          url,
          z.literal("--header"),
          z.literal(`Authorization:${held("REKEY_AUTHORIZATION")}`),
        ]),
        env: z.strictObject({ REKEY_AUTHORIZATION: z.literal("Bearer <access key>") }),
      }),
    }),
  }),
  Cursor: z.strictObject({
    mcpServers: z.strictObject({
      rekey: z.strictObject({ url, headers: bearer("env:REKEY_ACCESS_KEY") }),
    }),
  }),
  "VS Code": z.strictObject({
    inputs: z.tuple([
      z.strictObject({
        type: z.literal("promptString"),
        id: z.literal("rekey-access-key"),
        description: z.string(),
        password: z.literal(true),
      }),
    ]),
    servers: z.strictObject({
      rekey: z.strictObject({ type: z.literal("http"), url, headers: bearer("input:rekey-access-key") }),
    }),
  }),
};

describe("the README's section on agents", () => {
  const [, section = ""] = /\n## Agents: the MCP server\n([\s\S]*?)\n## /.exec(readme) ?? [];

  it.each(Object.entries(CLIENTS))("has a configuration for %s that parses", (client, schema) => {
    const after = section.split(`**${client}**`)[1] ?? "";
    const [, text = ""] = /```json\n([\s\S]*?)\n```/.exec(after) ?? [];
    expect(schema.safeParse(JSON.parse(text)).error?.issues).toBeUndefined();
  });

  it("has one for each client and none besides", () => {
    expect(section.match(/```json\n/g)).toHaveLength(Object.keys(CLIENTS).length);
  });

  it("makes an access key with scopes that there are", () => {
    const [, body = ""] = /-d '(.*)'/.exec(section) ?? [];
    const { scopes, provider } = z
      .object({ scopes: z.array(z.string()), provider: z.string() })
      .parse(JSON.parse(body));
    expect(provider).toBe("access");
    for (const scope of scopes) expect(ALL_SCOPES).toContain(scope);
  });
});

describe("docs/mcp.md", () => {
  it("is what `npm run docs` makes of the code, with every tool and prompt", () => {
    expect(PAGES.find(({ path }) => path === "docs/mcp.md")?.render(page)).toBe(page);
    for (const { name } of TOOLS) expect(page).toContain(`\n### ${name}\n`);
    for (const { name } of PROMPTS) expect(page).toContain(`| \`${name}\` |`);
  });

  it("shows an answer as answers are, and codes that there are", () => {
    const [, text = ""] = /## Answers\n\n```json\n([\s\S]*?)\n```/.exec(page) ?? [];
    expect(Object.keys(z.record(z.string(), z.unknown()).parse(JSON.parse(text)))).toEqual([
      "schemaVersion",
      "tool",
      "summary",
      "data",
      "warnings",
      "actions",
      "generatedAt",
    ]);
    for (const code of ["ambiguous", "rotation-failed", "too-destructive"]) {
      expect(page).toContain(`\`${code}\``);
      expect(CATALOGUE).toHaveProperty(code);
    }
  });
});
