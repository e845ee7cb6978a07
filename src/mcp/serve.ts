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
import { isAnswerTo, makeState } from "./consent.ts";
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
  if (!visitor.tools.has(tool.name)) return refused(tool, { code: "scope-missing", scope: tool.scope });
  const parsed = tool.read(args ?? {});
  if (!parsed.ok) {
    const example = {
      tool: tool.name,
      args: { ...tool.example },
      reason: "an example of arguments that fit",
    };
    return refused(tool, { code: "invalid", errors: parsed.error }, [example]);
  }
  const prepared = parsed.value;
  try {
    const pending = await findPending(tool, prepared, visitor, context);
    if (pending) return pending;
    const { actions = [], ...outcome } = await prepared.run(visitor);
    return answer(wrap(tool.name, { ...outcome, actions: open(visitor, actions) }, new Date()));
  } catch (error) {
    if (error instanceof Problem) {
      const failure = prepared.inWords(error.failure);
      return refused(tool, failure, open(visitor, await alternatives(prepared, failure, visitor)));
    }
    return refused(tool, { code: "internal", detail: `instance ${logBug(error)}` });
  }
}

/** What else could be tried. Nothing, where looking for it fails as well. */
async function alternatives(prepared: Prepared, failure: Failure, visitor: Visitor): Promise<Action[]> {
  try {
    return await prepared.instead(failure, visitor);
  } catch (error) {
    if (!(error instanceof Problem)) logBug(error);
    return [];
  }
}

function refused(tool: Tool, failure: Failure, actions: Action[] = []): CallToolResult {
  return answer(refuse(tool.name, failure, actions, new Date()));
}

/** What is answered instead of doing it, as nobody has agreed yet; undefined once somebody has, or when that is not needed. */
async function findPending(
  tool: Tool,
  { question, digest }: Prepared,
  visitor: Visitor,
  context: ServerContext,
): Promise<CallToolResult | InputRequiredResult | undefined> {
  if (!question) return undefined;
  if (canAsk(context)) return askPerson(tool, { question, digest }, visitor, context);
  const { text, args } = await question(visitor);
  const again = args ? `call ${tool.name} again with` : `call ${tool.name} again with the same arguments and`;
  const detail = `${text} To go on, ${again} "confirm": "${tool.confirmWord}".`;
  const confirmed = args && { ...args, confirm: tool.confirmWord };
  const actions = confirmed ? [{ tool: tool.name, args: confirmed, reason: "the same, confirmed" }] : [];
  return refused(tool, { code: "confirmation-missing", detail }, actions);
}

/** Asks the person behind the client, unless that was done and this is the yes to that very question. */
async function askPerson(
  tool: Tool,
  { question, digest }: { question: NonNullable<Prepared["question"]>; digest: string },
  visitor: Visitor,
  { mcpReq }: ServerContext,
): Promise<CallToolResult | InputRequiredResult | undefined> {
  const given = inputResponse(mcpReq.inputResponses, QUESTION);
  const isAgreed = given.kind === "elicit" && given.action === "accept" && given.content?.[QUESTION] === true;
  if (given.kind === "elicit" && !isAgreed) return refused(tool, { code: "confirmation-declined" });
  const now = new Date();
  const asked = { tool: tool.name, digest, question: await question(visitor) };
  if (isAgreed && (await isAnswerTo(visitor, asked, mcpReq.requestState(), now))) return undefined;
  return ask(asked.question.text, await makeState(visitor, asked, now));
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

function ask(message: string, requestState: string): InputRequiredResult {
  const confirm = { type: "boolean", title: "Yes, do it", default: false } as const;
  return inputRequired({
    requestState,
    inputRequests: {
      [QUESTION]: inputRequired.elicit({
        message,
        requestedSchema: { type: "object", properties: { [QUESTION]: confirm }, required: [QUESTION] },
      }),
    },
  });
}
