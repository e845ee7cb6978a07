/** get_rotation: how one rotation stands. */
import { z } from "zod";
import { headlineOf, nextOf, warningsOf } from "../rotated.ts";
import { defineTool } from "../tool.ts";
import { rotationView } from "../views.ts";

export const getRotation = defineTool({
  name: "get_rotation",
  title: "Look at a rotation",
  description: `Shows how one rotation stands: its step, its deliveries, what it waits for and what would let it go on.
Use it after rotate_api_key or rollback_key answered that the rotation is still live, every few seconds at most. For the key itself use get_api_key; for what happened before, list_events.
Changes nothing and shows no value. Needs scope keys:read.
\`live\` false means that it is over: \`state\` succeeded, failed or cancelled, and \`problem\` says why.`,
  scope: "keys:read",
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    rotation: z
      .string()
      .min(1)
      .max(100)
      .describe("Id of the rotation (rot_…), as rotate_api_key or get_api_key gave it."),
  }),
  data: z.object({ rotation: rotationView }),
  example: { rotation: "rot_01h455vb4pex5vsknk084sn02q" },
  async run(visitor, { rotation: id }) {
    const rotation = await visitor.ask((keyring, call) => keyring.getRotation(call, id));
    const trouble =
      !rotation.live && rotation.state !== "succeeded" ? [rotation.problem, rotation.remedy] : [];
    return {
      headline: headlineOf(rotation, rotation.key),
      data: { rotation },
      warnings: [...warningsOf(rotation), ...trouble.filter((text) => text !== null)],
      actions: nextOf(rotation),
    };
  },
});
