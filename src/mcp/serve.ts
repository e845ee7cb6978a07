/** One tool call, from its arguments to its answer; the one place where failures become tool errors. */
import {
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  type InputRequiredResult,
  inputRequired,
  inputResponse,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { Problem } from "../api/problem.ts";
import type { Failure } from "../errors/catalogue.ts";
import { type Action, type Envelope, refuse, textOf, wrap } from "./envelope.ts";
import type { Prepared, Tool, Visitor } from "./tool.ts";

/** How a question to the person is known among those of one request. */
const QUESTION = "confirm";

/** Runs a tool. Never throws: whatever goes wrong is an answer. */
export async function serveTool(
  tool: Tool,
  visitor: Visitor,
  args: unknown,
  context: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const now = new Date();
  const parsed = tool.read(args ?? {});
  if (!parsed.ok) {
    const example = {
      tool: tool.name,
      args: { ...tool.example },
      reason: "an example of arguments that fit",
    };
    const failure: Failure = { code: "invalid", errors: parsed.error };
    return answer(refuse(tool.name, failure, [example], now));
  }
  const prepared = parsed.value;
  try {
    const pending = await findPending(tool, prepared, visitor, context, now);
    if (pending) return pending;
    const { actions = [], ...outcome } = await prepared.run(visitor);
    return answer(wrap(tool.name, { ...outcome, actions: open(visitor, actions) }, now));
  } catch (error) {
    if (error instanceof Problem) {
      const actions = open(visitor, prepared.instead(error.failure));
      return answer(refuse(tool.name, error.failure, actions, now));
    }
    const detail = `instance ${logBug(error)}`;
    return answer(refuse(tool.name, { code: "internal", detail }, [], now));
  }
}

/** What is answered instead of doing it, as nobody has agreed yet; undefined once somebody has, or when that is not needed. */
async function findPending(
  tool: Tool,
  { question }: Prepared,
  visitor: Visitor,
  context: ServerContext,
  now: Date,
): Promise<CallToolResult | InputRequiredResult | undefined> {
  if (!question) return undefined;
  const asked = inputResponse(context.mcpReq.inputResponses, QUESTION);
  if (asked.kind === "elicit") {
    const isAgreed = asked.action === "accept" && asked.content?.[QUESTION] === true;
    return isAgreed ? undefined : answer(refuse(tool.name, { code: "confirmation-declined" }, [], now));
  }
  const { text, args } = await question(visitor);
  if (canAsk(context)) return ask(text);
  const confirmed = { ...args, confirm: tool.confirmWord };
  const detail = `${text} To go on, call ${tool.name} again with "confirm": "${tool.confirmWord}".`;
  const action = { tool: tool.name, args: confirmed, reason: "the same, confirmed" };
  return answer(refuse(tool.name, { code: "confirmation-missing", detail }, [action], now));
}

/** Of calls that may come next those that the caller can make. */
function open({ tools }: Visitor, actions: readonly Action[]): Action[] {
  return actions.filter(({ tool }) => tools.has(tool));
}

/** Logs a bug as the error boundary of the HTTP surface does, without its message. Returns the name by which it is found. */
export function logBug(error: unknown): string {
  const instance = crypto.randomUUID();
  const name = error instanceof Error ? error.name : typeof error;
  console.error(JSON.stringify({ level: "error", code: "internal", name, instance }));
  return instance;
}

function answer(envelope: Envelope): CallToolResult {
  return {
    content: [{ type: "text", text: textOf(envelope) }],
    structuredContent: envelope,
    ...(envelope.error && { isError: true }),
  };
}

const capabilitiesSchema = z.object({
  elicitation: z.union([z.object({ form: z.object({}) }), z.strictObject({})]),
});

/** Whether the client can ask its person, by a form. Clients of 2025-11-25 say so to a session, and there is none. */
function canAsk({ mcpReq: { envelope } }: ServerContext): boolean {
  const declared = new Map<string, unknown>(Object.entries(envelope ?? {})).get(CLIENT_CAPABILITIES_META_KEY);
  return capabilitiesSchema.safeParse(declared).success;
}

function ask(message: string): InputRequiredResult {
  const confirm = { type: "boolean", title: "Yes, do it", default: false } as const;
  return inputRequired({
    inputRequests: {
      [QUESTION]: inputRequired.elicit({
        message,
        requestedSchema: { type: "object", properties: { [QUESTION]: confirm }, required: [QUESTION] },
      }),
    },
  });
}
