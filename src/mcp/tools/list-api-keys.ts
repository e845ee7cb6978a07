/** list_api_keys: which keys there are. */
import { z } from "zod";
import { timeSchema } from "../../api/schemas.ts";
import { defineTool } from "../tool.ts";
import { keyBrief, pageParameters } from "../views.ts";

export const listApiKeys = defineTool({
  name: "list_api_keys",
  title: "List API keys",
  description: `Lists the API keys of this keyring, oldest first, without their values.
Use it to find a key's id or name; for one key with its versions use get_api_key, for what is wrong across all of them get_status.
Changes nothing. Needs scope keys:read.
Comes back a page at a time: pass \`data.nextCursor\` as \`cursor\` for the next one; null means that there is none. Deleted keys are left out unless asked for by status.`,
  scope: "keys:read",
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    status: z
      .enum(["pending", "active", "lost", "revoked", "deleting", "deleted"])
      .optional()
      .describe(
        "Only keys in this state. `lost`: the service made a value that never arrived; a person has to hand one in.",
      ),
    provider: z
      .string()
      .max(64)
      .optional()
      .describe("Only keys of this service, such as issuer or bitscale."),
    label: z
      .object({ name: z.string().max(63), value: z.string().max(255) })
      .optional()
      .describe("Only keys with this label."),
    dueBefore: timeSchema
      .optional()
      .describe("ISO 8601: only keys whose next scheduled rotation comes before."),
    ...pageParameters,
  }),
  data: z.object({ keys: z.array(keyBrief), nextCursor: z.string().nullable() }),
  example: { status: "active", provider: "issuer" },
  async run(visitor, { status, provider, label, dueBefore, limit, cursor }) {
    const filter = { state: status, provider, label, dueBefore };
    const { items, nextCursor } = await visitor.ask((keyring, call) =>
      keyring.listKeys(call, filter, { limit, cursor }),
    );
    const more = nextCursor === null ? "" : " There are more.";
    return {
      headline: `${items.length} ${items.length === 1 ? "key" : "keys"}.${more}`,
      data: { keys: items, nextCursor },
      actions:
        nextCursor === null
          ? []
          : [
              {
                tool: "list_api_keys",
                args: { cursor: nextCursor },
                reason: "the next page, with the same filters",
              },
            ],
    };
  },
});
