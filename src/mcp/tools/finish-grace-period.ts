/** finish_grace_period: the end of an old value before its time. */
import { z } from "zod";
import { endingWarnings } from "../rotated.ts";
import { defineTool } from "../tool.ts";
import { keyDetail, keyParameter, reasonParameter } from "../views.ts";

export const finishGracePeriod = defineTool({
  name: "finish_grace_period",
  title: "Finish a grace period",
  description: `Ends the old value of a rotated key now instead of at the end of its grace. The current value is not touched.
Use it once nothing uses the old value any more (see \`lastSeenAt\` in get_api_key), or when it must not live any longer. For more time use extend_grace_period; to end the current value too, revoke_api_key.
Irreversible: the value is refused from now on and revoked at its service, and rollback_key cannot go back to it.
Needs scope keys:rotate, and refuses while your access key is in its cooldown.
Comes back with the key; \`confirmed\` of that version says whether the value was seen refused.`,
  scope: "keys:rotate",
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input: z.object({
    key: keyParameter,
    version: z.int().min(1).describe("Number of the version in its grace (stage previous)."),
    reason: reasonParameter.optional(),
  }),
  data: z.object({ key: keyDetail }),
  example: { key: "billing-api", version: 3, reason: "every consumer has switched" },
  async run(visitor, { key, version, reason }) {
    const view = await visitor.ask((keyring, call) => keyring.finishGrace(call, key, version), reason);
    const isEnding = view.versions.some(({ number, stage }) => number === version && stage === "revoking");
    return {
      headline: `Version ${version} of "${view.name}" ${isEnding ? "is being ended" : "has stopped working"}.`,
      data: { key: view },
      warnings: endingWarnings(view),
      actions: [{ tool: "get_api_key", args: { key: view.id }, reason: "see it confirmed by its service" }],
    };
  },
});
