/** A caller of /mcp at revision 2026-07-28, without a client in between: what goes over the wire is what a test says. */
import { z } from "zod";
import { type Answer, makeKeyring, type RequestOptions, request, type TestKeyring } from "../support/api.ts";

export const REVISION = "2026-07-28";
const PREFIX = "io.modelcontextprotocol";

const answerSchema = z.object({
  schemaVersion: z.literal("1"),
  tool: z.string(),
  summary: z.object({ headline: z.string() }),
  data: z.record(z.string(), z.unknown()).nullable(),
  error: z
    .looseObject({ code: z.string(), detail: z.string().optional(), retryAt: z.string().optional() })
    .optional(),
  warnings: z.array(z.string()),
  actions: z.array(
    z.object({ tool: z.string(), args: z.record(z.string(), z.unknown()), reason: z.string() }),
  ),
  generatedAt: z.string(),
});
const resultSchema = z.object({
  result: z.looseObject({
    content: z.array(z.object({ type: z.literal("text"), text: z.string() })).optional(),
    structuredContent: answerSchema.optional(),
    isError: z.boolean().optional(),
  }),
});
const errorSchema = z.object({ error: z.looseObject({ code: z.int(), message: z.string() }) });

export type ToolAnswer = z.infer<typeof answerSchema> & { text: string; whole: string };

export interface CallerOptions {
  client?: { name: string; version: string };
  capabilities?: Record<string, unknown>;
}

export class McpCaller {
  readonly token: string;
  readonly #options: CallerOptions;

  constructor(token: string, options: CallerOptions = {}) {
    this.token = token;
    this.#options = options;
  }

  /** Sends one message. */
  send(method: string, params: Record<string, unknown> = {}, options: RequestOptions = {}) {
    const { client = { name: "an-agent", version: "9" }, capabilities = {} } = this.#options;
    const _meta = {
      [`${PREFIX}/protocolVersion`]: REVISION,
      [`${PREFIX}/clientInfo`]: client,
      [`${PREFIX}/clientCapabilities`]: capabilities,
    };
    const name = params.name ?? params.uri;
    return request<unknown>(this.token, "POST", "/mcp", {
      body: { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta } },
      ...options,
      headers: {
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": REVISION,
        "mcp-method": method,
        ...(typeof name === "string" && { "mcp-name": name }),
        ...options.headers,
      },
    });
  }

  /** The result of a message, which must have one. */
  async result(method: string, params: Record<string, unknown> = {}) {
    return resultSchema.parse((await this.send(method, params)).body).result;
  }

  /** The protocol's error for a message, which must have one. */
  async error(method: string, params: Record<string, unknown> = {}) {
    return errorSchema.parse((await this.send(method, params)).body).error;
  }

  /** Calls a tool. */
  async tool(name: string, args: Record<string, unknown> = {}): Promise<ToolAnswer> {
    const result = await this.result("tools/call", { name, arguments: args });
    const answer = answerSchema.parse(result.structuredContent);
    return { ...answer, text: result.content?.[0]?.text ?? "", whole: JSON.stringify(result) };
  }

  /** Calls a tool that must not be refused. */
  async done(name: string, args: Record<string, unknown> = {}): Promise<ToolAnswer> {
    const answer = await this.tool(name, args);
    if (answer.error) throw new Error(`${name} was refused: ${answer.text}`);
    return answer;
  }

  /** The code with which a tool refuses. */
  async refusal(name: string, args: Record<string, unknown> = {}): Promise<string | undefined> {
    return (await this.tool(name, args)).error?.code;
  }
}

export const ALL_SCOPES = [
  "keys:read",
  "keys:write",
  "keys:rotate",
  "keys:reveal",
  "keys:revoke",
  "keys:verify",
  "events:read",
];

export interface McpScene {
  ring: TestKeyring;
  /** Makes an access key and who calls with it. */
  caller(input?: Record<string, unknown>, options?: CallerOptions): Promise<McpCaller & { id: string }>;
  /** Makes a key as root. */
  key(input: Record<string, unknown>): Promise<{ id: string; secret?: string }>;
}

let count = 0;

/** A fresh keyring. */
export async function makeMcpScene(): Promise<McpScene> {
  const ring = await makeKeyring();
  const key = async (input: Record<string, unknown>) => {
    const made: Answer<{ id: string; secret?: string }> = await ring.call("POST", "/v1/keys", {
      body: input,
    });
    if (made.status !== 201) throw new Error(`${made.status} ${JSON.stringify(made.body)}`);
    return made.body;
  };
  return {
    ring,
    key,
    async caller(input = {}, options = {}) {
      count += 1;
      const { id, secret = "" } = await key({
        name: `caller-${count}`,
        provider: "access",
        scopes: ALL_SCOPES,
        ...input,
      });
      return Object.assign(new McpCaller(secret, options), { id });
    },
  };
}

/** What a call that is confirmed says. */
export const CONFIRMED = { confirm: "rotate-now" };

export const oldSchema = z.object({
  old: z.object({ version: z.int(), stage: z.string(), endsAt: z.string() }),
});

export function secretOf({ data }: ToolAnswer): string {
  return z.object({ secret: z.string() }).parse(data).secret;
}

export interface Happened {
  type: string;
  actor: string;
  data: Record<string, unknown>;
}

/** Events of one type, newest first. */
export async function happened(scene: McpScene, type: string): Promise<Happened[]> {
  const { body } = await scene.ring.call<{ items: Happened[] }>("GET", `/v1/events?type=${type}&limit=100`);
  return body.items;
}
