/** Prompts: two errands that a person may send an agent on, step by step. */
import type { GetPromptResult, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

const keyArgument = z.string().max(512).describe("Id or name of the key.");

export interface Prompt {
  name: string;
  title: string;
  description: string;
  arguments: z.ZodObject;
  /** The tools that it takes. */
  scopes: readonly string[];
  text(given: Readonly<Record<string, unknown>>): string;
}

export const PROMPTS: readonly Prompt[] = [
  {
    name: "rotate_safely",
    title: "Rotate a key safely",
    description: "Looks before it rotates, keeps the value out of the conversation, sees the old value out.",
    arguments: z.object({ key: keyArgument }),
    scopes: ["keys:rotate", "keys:read"],
    text: ({ key }) => `Rotate the API key "${key}" without breaking anything that uses it.

1. get_api_key: note the current version, its destinations, and whether an earlier version is still in its grace.
2. rotate_api_key with dryRun true: read \`plan.blockers\`, \`plan.irreversible\` and \`plan.oldEndsAt\`. If something blocks it, stop and say what. If the old value dies at once, ask me before you go on.
3. rotate_api_key with confirm "rotate-now" and a reason. Leave reveal as it is unless I asked to see the value; with no destinations, tell me how to open the claim and until when.
4. While \`data.rotation.live\`: get_rotation every few seconds. If it waits for something, say what and for whom.
5. Tell me which version is current, until when the old one works, and what still has to switch.
6. If the new value does not work for somebody: rollback_key before that time. Do not finish the grace early unless I ask.`,
  },
  {
    name: "respond_to_leak",
    title: "Respond to a leaked key",
    description: "Replaces a leaked value at once, ends it, and finds out what was done with it.",
    arguments: z.object({
      key: keyArgument,
      where: z.string().max(500).optional().describe("Where it was seen, such as the address of a commit."),
    }),
    scopes: ["keys:rotate", "keys:read"],
    text: ({
      key,
      where,
    }) => `The API key "${key}" has leaked${where === undefined ? "" : ` (seen at ${where})`}. Seconds count, and the leaked value must not live on. Never repeat the value itself.

1. get_api_key: which version leaked, and is it current or in its grace? Go by \`hint\` (its last four characters) and by when it was seen; if you cannot tell, ask me.
2. If you have report_compromised_key, call it with \`version\`, the number of the value that leaked, and confirm "report-compromise": it ends that value without a grace, whatever windows or pauses say. Without that tool: if that version is in its grace, finish_grace_period with \`version\`; if it is current, rotate_api_key with gracePeriodHours 0, confirm "rotate-now" and the reason.
3. get_rotation until it is over. If no replacement can be had and nothing may use the leaked value, and you have revoke_api_key: call it with \`version\` and confirm "revoke-now"; ask me first, as that leaves the key without a value.
4. get_api_key: the leaked version must be \`revoked\` and \`confirmed\`. Until it is, say so.
5. If you have list_events, for this key: tell me what was done with it since the leak, and by whom.
6. Say who has to switch to the new value, and where the leaked one still has to be deleted.`,
  },
];

/** Adds the prompts whose tools the caller has. */
export function addPrompts(server: McpServer, scopes: readonly string[]): void {
  for (const prompt of PROMPTS) {
    if (!prompt.scopes.every((scope) => scopes.includes(scope))) continue;
    const { name, title, description, arguments: argsSchema } = prompt;
    server.registerPrompt(
      name,
      { title, description, argsSchema },
      (given): GetPromptResult => ({
        description,
        messages: [{ role: "user", content: { type: "text", text: prompt.text(given) } }],
      }),
    );
  }
}
