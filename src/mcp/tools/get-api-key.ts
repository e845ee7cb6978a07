/** get_api_key: one key with its versions. */
import { z } from "zod";
import type { KeyView } from "../../keyring/views.ts";
import { defineTool } from "../tool.ts";
import { keyDetail, keyParameter } from "../views.ts";

export const getApiKey = defineTool({
  name: "get_api_key",
  title: "Look at an API key",
  description: `Shows one API key: its state, policy, destinations, and every version with its stage and deadlines; never a value.
Use it before and after a rotation, or to see which version is in its grace. To find a key use list_api_keys; to check a value that somebody presented, verify_api_key.
Changes nothing. Needs scope keys:read.
\`versions[].stage\` current is the one in use; previous still works until \`graceEndsAt\`. \`rotation\` is the id of a live rotation, for get_rotation.`,
  scope: "keys:read",
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    key: keyParameter
      .optional()
      .describe(`${keyParameter.description} Without it: the access key that you call with.`),
  }),
  data: z.object({ key: keyDetail }),
  example: { key: "billing-api" },
  async run(visitor, { key = visitor.self.id }) {
    const view = await visitor.ask((keyring, call) => keyring.getKey(call, key));
    return {
      headline: headlineOf(view),
      data: { key: view },
      warnings: view.due ? [view.due.todo] : [],
      actions: view.rotation
        ? [{ tool: "get_rotation", args: { rotation: view.rotation }, reason: "its live rotation" }]
        : [],
    };
  },
});

function headlineOf({ name, state, health, currentVersion, versions }: KeyView): string {
  const inGrace = versions.filter(({ stage }) => stage === "previous");
  const old = inGrace
    .map(({ number, graceEndsAt }) => ` Version ${number} works until ${graceEndsAt}.`)
    .join("");
  const current = currentVersion === null ? "no current version" : `version ${currentVersion} is current`;
  return `"${name}" is ${state} and ${health}: ${current}.${old}`;
}
