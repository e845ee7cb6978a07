/** extend_grace_period: more time for an old value. */
import { z } from "zod";
import { durationOf, minutesOf } from "../duration.ts";
import { defineTool } from "../tool.ts";
import { keyDetail, keyParameter, reasonParameter } from "../views.ts";

const MAX_HOURS = 24 * 365;

export const extendGracePeriod = defineTool({
  name: "extend_grace_period",
  title: "Extend a grace period",
  description: `Lets the old value of a rotated key work longer: its grace then ends this many hours from now.
Use it when something still uses the old value and cannot switch in time. To end it sooner use finish_grace_period; to make it current again, rollback_key.
Only while the version is in its grace (stage previous), only to a later end, and never past the policy's maxGrace. Not where the service ends old values by itself. A grace is never shortened again, only ended (finish_grace_period).
Needs scope keys:rotate, and refuses while your access key is in its cooldown.
Comes back with the key; see \`graceEndsAt\` of that version.`,
  scope: "keys:rotate",
  hints: { readOnly: false, destructive: false, idempotent: false, openWorld: false },
  input: z.object({
    key: keyParameter,
    version: z
      .int()
      .min(1)
      .describe("Number of the version in its grace, such as `data.old.version` of the rotation."),
    hours: z.number().positive().max(MAX_HOURS).describe("From now until the end of the grace."),
    reason: reasonParameter.optional(),
  }),
  data: z.object({ key: keyDetail, endsAt: z.string().nullable() }),
  example: { key: "billing-api", version: 3, hours: 48, reason: "the batch job deploys on Monday" },
  renamed: { grace: "hours" },
  async run(visitor, { key, version, hours, reason }) {
    const grace = durationOf(minutesOf(hours));
    const view = await visitor.ask((keyring, call) => keyring.extendGrace(call, key, version, grace), reason);
    const endsAt = view.versions.find(({ number }) => number === version)?.graceEndsAt ?? null;
    return {
      headline: `Version ${version} of "${view.name}" works until ${endsAt}.`,
      data: { key: view, endsAt },
      actions: [
        {
          tool: "finish_grace_period",
          args: { key: view.id, version },
          reason: "end it as soon as nothing uses it",
        },
      ],
    };
  },
});
