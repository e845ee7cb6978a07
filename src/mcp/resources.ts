import type { McpServer } from "@modelcontextprotocol/server";
import type { Visitor } from "./tool.ts";
export function addResources(
  _s: McpServer,
  _scopes: readonly string[],
  _v: Visitor,
  _l: (e: unknown) => string,
): void {}
