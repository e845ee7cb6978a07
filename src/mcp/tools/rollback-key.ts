/** rollback_key: back to the value before. */
import { z } from "zod";
import { durationOf } from "../duration.ts";
import { failureOf, headlineOf, nextOf, warningsOf } from "../rotated.ts";
import { defineTool } from "../tool.ts";
import { keyParameter, reasonParameter, rotationView } from "../views.ts";

const WAIT_MS = 10_000;

export const rollbackKey = defineTool({
  name: "rollback_key",
  title: "Roll a key back",
  description: `Makes the earlier value of a rotated key current again: tests it, puts it back at every destination, then retires the newer one.
Use it when the new value does not work for somebody. If the old value leaked, never: report it with report_compromised_key and its \`version\`, or end it with finish_grace_period. To only give the old value more time, extend_grace_period.
Only while the earlier version is in its grace (stage previous), and not where the service ends old values by itself. The newer value stops working after \`graceMinutes\`, for good: nobody goes forward to it again.
Needs scope keys:rotate. Works during a cooldown: going back is what that leaves time for.
Comes back with the rotation that does it; when \`live\`, see how it goes on with get_rotation.`,
  scope: "keys:rotate",
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
  input: z.object({
    key: keyParameter,
    version: z.int().min(1).optional().describe("Default: the newest version in its grace."),
    graceMinutes: z
      .int()
      .min(0)
      .max(60 * 24 * 30)
      .optional()
      .describe("How long the value that is taken back still works. Default: 15."),
    reason: reasonParameter.min(1),
  }),
  data: z.object({ rotation: rotationView }),
  example: { key: "billing-api", reason: "the new value is refused by the importer" },
  renamed: { grace: "graceMinutes" },
  async run(visitor, { key, version, graceMinutes, reason }) {
    const grace = graceMinutes === undefined ? undefined : durationOf(graceMinutes);
    const { rotation } = await visitor.ask(
      (keyring, call) => keyring.rollBackKey(call, key, { reason, version, grace }, WAIT_MS),
      reason,
    );
    return {
      headline: headlineOf(rotation, rotation.key),
      data: { rotation },
      warnings: warningsOf(rotation),
      actions: [
        ...nextOf(rotation),
        { tool: "get_api_key", args: { key: rotation.key }, reason: "see which version is current" },
      ],
      failure: failureOf(rotation),
    };
  },
});
