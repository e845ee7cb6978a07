/** list_events: what has happened. */
import { z } from "zod";
import { EVENT_TYPES } from "../../events/catalogue.ts";
import { defineTool } from "../tool.ts";
import { keyParameter, pageParameters } from "../views.ts";

const eventView = z.object({
  seq: z.int(),
  type: z.string(),
  at: z.string(),
  actor: z.string().describe("Id of an access key, `root`, `cron` or `rekey`."),
  key: z.string().nullable(),
  data: z.record(z.string(), z.unknown()).describe("Of what an agent did also `client` and `reason`."),
});

export const listEvents = defineTool({
  name: "list_events",
  title: "List events",
  description: `Lists what has happened in this keyring, newest first: who did what to which key, and what followed. Holds no values.
Use it to find out who rotated or revoked something and why. For how things stand now use get_api_key, get_rotation or get_status.
Changes nothing. Needs scope events:read.
A page may be short or empty and still have a next one when a filter matches little: go on while \`data.nextCursor\` is not null.`,
  scope: "events:read",
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    key: keyParameter.optional().describe(`Only of one key. ${keyParameter.description}`),
    type: z.enum(EVENT_TYPES).optional().describe("Only of this type."),
    ...pageParameters,
  }),
  data: z.object({ events: z.array(eventView), nextCursor: z.string().nullable() }),
  example: { key: "billing-api", type: "key.rotated" },
  async run(visitor, { key, type, limit, cursor }) {
    const { items, nextCursor } = await visitor.ask((keyring, call) =>
      keyring.listEvents(call, { key, type }, { limit, cursor }),
    );
    const [newest] = items;
    return {
      headline: newest
        ? `${items.length} ${items.length === 1 ? "event" : "events"}, the newest ${newest.type} at ${newest.at}.`
        : "No events here.",
      data: { events: items, nextCursor },
      actions:
        nextCursor === null
          ? []
          : [
              {
                tool: "list_events",
                args: { cursor: nextCursor },
                reason: "the next page, with the same filters",
              },
            ],
    };
  },
});
