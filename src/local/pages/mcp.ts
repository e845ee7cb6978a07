/** The part of docs/mcp.md that comes from the code: every tool with its arguments, resources, prompts. */
import { z } from "zod";
import { PROMPTS } from "../../mcp/prompts.ts";
import type { Tool } from "../../mcp/tool.ts";
import { inCell } from "./markdown.ts";

const schemaPart = z.looseObject({
  properties: z
    .record(
      z.string(),
      z.looseObject({ description: z.string().optional(), default: z.unknown().optional() }),
    )
    .default({}),
  required: z.array(z.string()).default([]),
});

/** A table of all, then each with what an agent reads of it. */
export function renderTools(tools: readonly Tool[]): string {
  const rows = tools.map(({ name, title, scope, confirmWord, hints }) => {
    const anchor = `[\`${name}\`](#${name})`;
    const word = confirmWord === undefined ? "" : `\`${confirmWord}\``;
    return `| ${anchor} | ${title} | \`${scope}\` | ${word} | ${natureOf(hints)} |`;
  });
  return [
    "| tool | does | scope | `confirm` | nature |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    ...tools.flatMap((tool) => ["", renderTool(tool)]),
  ].join("\n");
}

function natureOf({ readOnly, destructive, idempotent, openWorld }: Tool["hints"]): string {
  if (readOnly) return "only reads";
  return [
    destructive ? "destructive" : "destroys nothing",
    ...(idempotent ? ["the same twice"] : []),
    ...(openWorld ? ["reaches services outside"] : []),
  ].join(", ");
}

function renderTool({ name, description, inputSchema, example }: Tool): string {
  const { properties, required } = schemaPart.parse(inputSchema);
  const rows = Object.entries(properties).map(([parameter, { description: text = "", default: preset }]) => {
    const need = required.includes(parameter)
      ? "needed"
      : preset === undefined
        ? ""
        : `\`${JSON.stringify(preset)}\``;
    return `| \`${parameter}\` | ${need} | ${inCell(text)} |`;
  });
  const table =
    rows.length === 0 ? [] : ["", "| argument | default | says |", "| --- | --- | --- |", ...rows];
  return [
    `### ${name}`,
    "",
    description.replaceAll("\n", "\n\n"),
    ...table,
    "",
    "```json",
    JSON.stringify(example),
    "```",
  ].join("\n");
}

/** A table of the prompts. */
export function renderPrompts(): string {
  const rows = PROMPTS.map(
    ({ name, description, scopes }) =>
      `| \`${name}\` | ${inCell(description)} | ${scopes.map((scope) => `\`${scope}\``).join(", ")} |`,
  );
  return ["| prompt | does | scopes |", "| --- | --- | --- |", ...rows].join("\n");
}
