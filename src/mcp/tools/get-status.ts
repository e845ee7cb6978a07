/** get_status: how the whole keyring is. */
import { z } from "zod";
import { defineTool } from "../tool.ts";

const MAX_PROBLEMS = 20;
const counts = z.record(z.string(), z.int());

export const getStatus = defineTool({
  name: "get_status",
  title: "Look at the whole keyring",
  description: `Shows how this keyring is: keys by state, what is under way, and every problem with its cause and what to do about it, the worst first.
Use it first when something is wrong, or to see what needs attention. For one key use get_api_key, for one rotation get_rotation.
Changes nothing. Needs scope keys:read.
\`health\` is healthy, degraded or failing. Each of \`problems\` names the key that it concerns; at most ${MAX_PROBLEMS} are shown.`,
  scope: "keys:read",
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({}),
  data: z.object({
    health: z.string(),
    reasons: z.array(z.string()),
    keys: counts,
    rotations: counts,
    versions: counts,
    deliveries: counts,
    nextRotationAt: z.string().nullable(),
    problems: z.array(
      z.object({
        what: z.string(),
        id: z.string(),
        key: z.string().nullable(),
        since: z.string().nullable(),
        cause: z.string(),
        remedy: z.string(),
        nextTryAt: z.string().nullable(),
      }),
    ),
  }),
  example: {},
  async run(visitor) {
    const status = await visitor.ask((keyring, call) => keyring.getStatus(call));
    const { health, reasons, keys, problems } = status;
    const why = reasons.length > 0 ? `: ${reasons.join("; ")}` : "";
    return {
      headline: `The keyring is ${health}${why}. ${keys.total} ${keys.total === 1 ? "key" : "keys"}, ${status.rotations.live} rotating.`,
      data: {
        ...status,
        keys: { ...keys },
        rotations: { ...status.rotations },
        problems: problems.slice(0, MAX_PROBLEMS),
      },
      warnings:
        problems.length > MAX_PROBLEMS
          ? [`${problems.length - MAX_PROBLEMS} more problems are not shown.`]
          : [],
      actions: problems
        .slice(0, 3)
        .flatMap(({ key, cause }) =>
          key === null ? [] : [{ tool: "get_api_key", args: { key }, reason: cause }],
        ),
    };
  },
});
