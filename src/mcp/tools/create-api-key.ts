/** create_api_key: a new key, issued here or made by a service outside. */
import { z } from "zod";
import { configSchema, labelsSchema, nameSchema, timeSchema } from "../../api/schemas.ts";
import { isPrefix } from "../../issuer/token.ts";
import { PROVIDER_NAMES } from "../../providers/registry.ts";
import type { Outcome } from "../envelope.ts";
import { shownWarnings } from "../rotated.ts";
import { defineTool, type Visitor } from "../tool.ts";
import { claimView, keyDetail, reasonParameter } from "../views.ts";

const NAME = "create_api_key";

const input = z.object({
  name: nameSchema.describe(
    "Its name here: 1 to 64 letters, digits, dots, dashes or underscores. Must be free.",
  ),
  provider: z
    .enum(PROVIDER_NAMES)
    .default("issuer")
    .describe(
      "Who makes the value. `issuer`: Rekey, for a customer or program of yours. `access`: Rekey, to open its own API. Else the service outside.",
    ),
  connection: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe("Id or name of the account at the service. Needed for most services outside."),
  config: configSchema.optional().describe("The key's settings at its service, as its provider page says."),
  scopes: z
    .array(z.string().min(1).max(100))
    .max(100)
    .default([])
    .describe("What its holder may do. For `access` Rekey's own scopes, none beyond yours."),
  role: z
    .enum(["operator", "agent"])
    .optional()
    .describe("For `access`: an agent acts on its own keys, an operator on those that it made."),
  subject: z.string().max(200).optional().describe("For `access`: the id of the agent that it is for."),
  prefix: z
    .string()
    .refine(isPrefix, { message: "must be letters and digits in parts joined by _, starting with a letter" })
    .optional()
    .describe("How an issued value begins, such as sk_live. Default: rekey."),
  labels: labelsSchema.default({}).describe("Names and values of your own, to find it by."),
  expiresAt: timeSchema.optional().describe("ISO 8601: it ends then, replaced or not."),
  policy: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe(
      "Id or name of a shared policy: how old it may get, how long an old value lives. Default: rotated by hand, 24 h of grace.",
    ),
  destinations: z
    .array(z.string().min(1).max(64))
    .max(50)
    .default([])
    .describe("Ids or names of the places that receive each value."),
  reveal: z
    .enum(["claim", "inline", "none"])
    .default("claim")
    .describe(
      "How you get the value, where Rekey issues it. `claim`: a one-time token, so that the value stays out of this conversation. `inline`: the value itself, here and only now. `none`: only the destinations get it.",
    ),
  reason: reasonParameter.optional(),
});

const data = z.object({
  key: keyDetail,
  secret: z.string().optional().describe("The value, with reveal inline. Shown this once."),
  claim: claimView.optional(),
});

type Input = z.output<typeof input>;

export const createApiKey = defineTool({
  name: NAME,
  title: "Create an API key",
  description: `Makes a new API key that Rekey keeps young from then on: issued by Rekey itself, or made by a service outside through a connection.
Use it for a key that does not exist yet; for a new value of one that does, rotate_api_key. A value that somebody already has cannot be handed in here: a person does that with POST /v1/keys and \`fields\`.
Nothing is replaced or ended. revoke_api_key ends it; the name stays taken. What is or looks like a value of this keyring is refused as a name, label, subject or setting.
Needs scope keys:write, and keys:reveal for reveal claim. Nobody makes an access key with scopes beyond their own. For provider access: refuses while your access key is in its cooldown.
Have the program that holds this access key POST \`{"claim": token}\` to \`data.claim.url\` with it, once, before \`data.claim.expiresAt\`; you cannot do it by a tool. Or take \`data.secret\`. Neither is shown again. A service outside makes its value a moment later: see \`data.key.rotation\` with get_rotation.`,
  scope: "keys:write",
  hints: { readOnly: false, destructive: false, idempotent: true, openWorld: true },
  input,
  data,
  example: { name: "importer", provider: "issuer", prefix: "sk_live", scopes: ["invoices:read"] },
  run: create,
  instead: async (
    { scope },
    { visitor, input: { destinations, reason }, args: { reason: _, ...others } },
  ) => {
    if (scope !== "keys:reveal" || destinations.length === 0) return [];
    // A value of this keyring anywhere else would have been refused first.
    const { reason: why } = await visitor.ask(
      (keyring, call) => keyring.describeKey(call, "keys:write", visitor.self.id),
      reason,
    );
    const args = { ...others, ...(why !== null && { reason: why }), reveal: "none" };
    return [{ tool: NAME, args, reason: "the same, for the destinations only" }];
  },
});

async function create(visitor: Visitor, given: Input): Promise<Outcome<z.input<typeof data>>> {
  const { reveal, destinations, policy = {}, reason, ...rest } = given;
  const links = destinations.map((id) => ({ id, required: true, mustAcknowledge: false }));
  const { key, secret, claim } = await visitor.ask(
    (keyring, call) => keyring.createKeyRevealing(call, { ...rest, policy, destinations: links }, reveal),
    reason,
  );
  return {
    headline:
      key.state === "pending"
        ? `Created "${key.name}"; ${key.provider} makes its first value now.`
        : `Created "${key.name}": version 1 is current.`,
    data: { key, ...(secret !== undefined && { secret }), ...(claim && { claim }) },
    warnings: shownWarnings({ ...(secret !== undefined && { secret }), ...(claim && { claim }) }),
    actions: key.rotation
      ? [{ tool: "get_rotation", args: { rotation: key.rotation }, reason: "see when the value is there" }]
      : [],
  };
}
