import type { McpServer } from "@modelcontextprotocol/server";
export function addPrompts(_s: McpServer, _scopes: readonly string[]): void {}
