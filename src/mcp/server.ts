/**
 * The MCP server of one request: tools by the caller's scopes, resources and prompts. Nothing is kept between two requests, by either of the
 * revisions that are spoken (2026-07-28, 2025-11-25). Loaded by the first request that needs it: the rest of the Worker starts without it.
 */
import {
  CLIENT_INFO_META_KEY,
  createMcpHandler,
  type McpRequestContext,
  McpServer,
  type StandardSchemaWithJSON,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { INSTRUCTIONS } from "./guide.ts";
import { addPrompts } from "./prompts.ts";
import { addResources } from "./resources.ts";
import { logBug, serveTool } from "./serve.ts";
import type { Visitor } from "./tool.ts";
import { TOOLS, toolsFor } from "./tools/registry.ts";

/** Makes the visitor for one call, given the program that called and whether it may destroy something. */
export type Welcome = (client: string, isDestructive: boolean) => Omit<Visitor, "tools">;

const VERSION = "0.1.0";
/** How long a client may keep a list. Scopes of an access key do not change, but the key behind a client may. */
const LIST_TTL_MS = 60_000;

/** Answers one HTTP request of an authenticated caller. */
export async function serveMcp(
  request: Request,
  scopes: readonly string[],
  welcome: Welcome,
): Promise<Response> {
  const called = await nameOfCall(request.clone());
  const handler = createMcpHandler(({ era }) => makeServer(request, era, scopes, called, welcome));
  return handler.fetch(request);
}

const toolCallSchema = z.object({
  method: z.literal("tools/call"),
  params: z.object({ name: z.string() }),
});

/** The tool that is called, if one is. What is no message at all is refused later. */
async function nameOfCall(request: Request): Promise<string | undefined> {
  try {
    return toolCallSchema.safeParse(await request.json()).data?.params.name;
  } catch {
    return undefined;
  }
}

function makeServer(
  request: Request,
  era: McpRequestContext["era"],
  scopes: readonly string[],
  called: string | undefined,
  welcome: Welcome,
): McpServer {
  const cached = { ttlMs: LIST_TTL_MS, cacheScope: "private" } as const;
  const server = new McpServer(
    { name: "rekey", title: "Rekey", version: VERSION },
    {
      instructions: INSTRUCTIONS,
      // Nobody is told of changes: there is no session to tell.
      capabilities: {
        tools: { listChanged: false },
        resources: { listChanged: false },
        prompts: { listChanged: false },
        // Nothing is logged to clients, so any level that they set is kept to. The newer revision has no such call.
        ...(era === "legacy" && { logging: {} }),
      },
      cacheHints: {
        "tools/list": cached,
        "prompts/list": cached,
        "resources/templates/list": cached,
        "server/discover": cached,
      },
    },
  );
  const names = new Set(toolsFor(scopes).map(({ name }) => name));
  // One that the caller does not see is there when it is called, to say what is missing.
  for (const tool of TOOLS.filter(({ name }) => names.has(name) || name === called)) {
    const { name, title, description, hints } = tool;
    server.registerTool(
      name,
      {
        title,
        description,
        inputSchema: asGiven(tool.inputSchema),
        outputSchema: asGiven(tool.outputSchema),
        annotations: {
          title,
          readOnlyHint: hints.readOnly,
          destructiveHint: hints.destructive,
          idempotentHint: hints.idempotent,
          openWorldHint: hints.openWorld,
        },
      },
      (args, context) => {
        const client = clientOf(context.mcpReq.envelope, request);
        return serveTool(tool, { ...welcome(client, hints.destructive), tools: names }, args, context);
      },
    );
  }
  const visitor = { ...welcome(clientOf(undefined, request), false), tools: names };
  addResources(server, scopes, visitor, logBug);
  addPrompts(server, scopes);
  return server;
}

/** A schema that says what fits and lets everything through: what does not fit gets an answer of ours. */
function asGiven(json: Readonly<Record<string, unknown>>): StandardSchemaWithJSON {
  const show = () => ({ ...json });
  return {
    "~standard": {
      version: 1,
      vendor: "rekey",
      validate: (value) => ({ value }),
      jsonSchema: { input: show, output: show },
    },
  };
}

const implementationSchema = z.object({ name: z.string(), version: z.string().catch("") });

/** The program that calls. Of 2025-11-25 each request stands alone, so that its HTTP client has to do. */
function clientOf(envelope: object | undefined, request: Request): string {
  const told = new Map<string, unknown>(Object.entries(envelope ?? {})).get(CLIENT_INFO_META_KEY);
  const parsed = implementationSchema.safeParse(told);
  if (parsed.success) return `${parsed.data.name} ${parsed.data.version}`.trim();
  return request.headers.get("user-agent") ?? "";
}
