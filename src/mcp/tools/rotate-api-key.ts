/** rotate_api_key: a new value for a key, at whichever service it is of. */
import { z } from "zod";
import type { KeyTarget } from "../../keyring/find-key.ts";
import type { Meant } from "../../keyring/meant.ts";
import type { PlanView } from "../../keyring/operations/plan.ts";
import type { RotateAnswer } from "../../keyring/operations/rotations.ts";
import { durationOf, hoursOf, minutesOf } from "../duration.ts";
import type { Action, Outcome } from "../envelope.ts";
import {
  cooldownWarnings,
  failureOf,
  graceWarnings,
  headlineOf,
  nextOf,
  oldValueOf,
  valueWarnings,
  warningsOf,
} from "../rotated.ts";
import { defineTool, type Given, type Question, type Visitor } from "../tool.ts";
import { claimView, keyParameter, reasonParameter, rotationView } from "../views.ts";

const NAME = "rotate_api_key";
const CONFIRM = "rotate-now";
/** Most rotations are done by then, and no client has given up. */
const WAIT_MS = 10_000;
const MAX_GRACE_HOURS = 24 * 365;

const input = z.object({
  key: keyParameter
    .optional()
    .describe(
      `${keyParameter.description} Without \`key\` and \`agentId\`: the access key that you call with.`,
    ),
  agentId: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe(
      "Instead of `key`: the agent whose key is meant, by its own id. An error lists the keys when it has several.",
    ),
  gracePeriodHours: z
    .number()
    .min(0)
    .max(MAX_GRACE_HOURS)
    .optional()
    .describe(
      "How long the old value goes on working. Default: the key's policy, usually 24. Your own access key never gets less than its policy says. Services that keep one value at a time ignore it.",
    ),
  reason: reasonParameter.optional(),
  reveal: z
    .enum(["claim", "inline", "none"])
    .default("claim")
    .describe(
      "How you get the new value. `claim`: a one-time token, so that the value stays out of this conversation. `inline`: the value itself, here and only now. `none`: only the key's destinations get it.",
    ),
  dryRun: z
    .boolean()
    .default(false)
    .describe(
      "Only say what would happen and what stands in the way; needs no confirmation, changes nothing.",
    ),
});

const data = z.object({
  key: z.object({ id: z.string(), name: z.string(), provider: z.string() }).optional(),
  isOwnKey: z.boolean().describe("It is the access key that you called with."),
  rotation: rotationView.optional(),
  old: z
    .object({ version: z.int(), stage: z.string(), endsAt: z.string().nullable() })
    .nullable()
    .optional()
    .describe("The value that was replaced, and when it stops working."),
  graceSeconds: z.number().optional(),
  cooldownUntil: z
    .string()
    .nullable()
    .optional()
    .describe("What a thief would want is held back until then."),
  secret: z.string().optional().describe("The new value, with reveal inline. Shown this once."),
  claim: claimView.optional(),
  plan: z.record(z.string(), z.unknown()).optional().describe("With dryRun."),
});

type Input = z.output<typeof input>;
type Data = z.input<typeof data>;

export const rotateApiKey = defineTool({
  name: NAME,
  title: "Rotate an API key",
  description: `Replaces the value of one API key: has its service make a new one, tests it, delivers it to the places that must hold it (the key's destinations), makes it current, and retires the old one. Works for keys that Rekey issued, your own access key included, and for keys at services outside.
Use it when a key is old, was shown to somebody, or a policy asks for it. If it leaked, use report_compromised_key; without keys:revoke, gracePeriodHours 0 (ends only the current value). To end a key without a replacement, revoke_api_key; to only look, get_api_key or dryRun.
Irreversible where a service keeps one value at a time (BitScale, A2A Market, Lightning Faucet, Log10x): the old one dies at once. Elsewhere it works until \`data.old.endsAt\`; where Rekey ends it, rollback_key goes back until then.
Needs scope keys:rotate; keys:reveal to get the value (reveal claim or inline), which is refused while your access key is in its cooldown. A key rotated a moment ago refuses until \`retryAt\`.
Have the program that holds this access key POST \`{"claim": token}\` to \`data.claim.url\` with it, once, before \`data.claim.expiresAt\`; you cannot do it by a tool. Or take \`data.secret\` at once. Neither is shown again. While \`data.rotation.live\` it is not done: follow it with get_rotation.`,
  scope: "keys:rotate",
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
  input,
  data,
  example: { key: "billing-api", reason: "quarterly rotation", confirm: CONFIRM },
  confirmation: {
    word: CONFIRM,
    isNeeded: ({ dryRun }) => !dryRun,
    question: ask,
  },
  check: ({ key, agentId }) =>
    key !== undefined && agentId !== undefined
      ? [{ path: "agentId", message: "give either key or agentId" }]
      : [],
  run: (visitor, given) => (given.dryRun ? plan(visitor, given) : rotate(visitor, given)),
  renamed: { grace: "gracePeriodHours" },
  instead: ({ code, scope }, given) => {
    if (scope === "keys:reveal")
      return again(given, "none", "rotate without seeing the value, where the key has destinations");
    return code === "no-receiver" ? again(given, "claim", "have the value yourself") : [];
  },
});

async function ask(visitor: Visitor, given: Input): Promise<Question> {
  const { id, name, title, reason, current, ...key } = await meant(visitor, given);
  const text = [
    `Rotate "${name}" (${title}) now?`,
    ...(current === null ? [] : [fateOf(key)]),
    ...(given.reveal === "inline" ? ["The new value will be shown in this conversation."] : []),
  ];
  return {
    text: text.join(" "),
    about: [id, current],
    args: { key: id, ...wishOf(given), ...(reason !== null && { reason }) },
  };
}

/** What becomes of the old value. */
function fateOf({ overlap, graceSeconds }: Pick<Meant, "overlap" | "graceSeconds">): string {
  switch (overlap) {
    case "ours":
      return graceSeconds > 0
        ? `The old value works ${hoursOf(graceSeconds)} more.`
        : "The old value stops working as soon as the new one is current and has arrived wherever it is needed.";
    case "provider":
      return "The service ends the old value by itself; that cannot be undone.";
    case "none":
      return "The old value stops working at once; that cannot be undone.";
  }
}

/** @throws a Problem with the failure when nothing, or more than one, is meant */
function meant(visitor: Visitor, given: Input): Promise<Meant> {
  const grace = graceOf(given.gracePeriodHours);
  return visitor.ask(
    (keyring, call) => keyring.describeKey(call, "keys:rotate", targetOf(visitor, given), grace),
    given.reason,
  );
}

/** What is asked for beside the key, without words. */
function wishOf({ gracePeriodHours, reveal }: Input): Record<string, unknown> {
  return { ...(gracePeriodHours !== undefined && { gracePeriodHours }), reveal };
}

/** The same call with another reveal: a dry run stays one, and nobody has agreed who had not before. */
async function again(
  { visitor, input: given, args: { confirm } }: Given<Input>,
  reveal: Input["reveal"],
  reason: string,
): Promise<Action[]> {
  const { id, reason: why } = await meant(visitor, given);
  const args = {
    key: id,
    ...wishOf({ ...given, reveal }),
    ...(given.dryRun && { dryRun: true }),
    ...(why !== null && { reason: why }),
    ...(confirm !== undefined && { confirm: CONFIRM }),
  };
  return [{ tool: NAME, args, reason }];
}

function targetOf({ self }: Visitor, { key, agentId }: Input): KeyTarget {
  return key ?? (agentId === undefined ? self.id : { agentId });
}

function graceOf(gracePeriodHours: number | undefined): string | undefined {
  return gracePeriodHours === undefined ? undefined : durationOf(minutesOf(gracePeriodHours));
}

function inputOf({ gracePeriodHours, reason, reveal }: Input) {
  return { grace: graceOf(gracePeriodHours), reason, reveal };
}

async function plan(visitor: Visitor, given: Input): Promise<Outcome<Data>> {
  const made: PlanView = await visitor.ask(
    (keyring, call) => keyring.planRotation(call, targetOf(visitor, given), inputOf(given)),
    given.reason,
  );
  const { reason } = await meant(visitor, given);
  const blockers = made.blockers.map(({ what, problem }) => `${what}: ${problem}`);
  return {
    headline: made.ready
      ? `Nothing stands in the way of rotating ${made.key}. Nothing was changed.`
      : `${made.key} cannot be rotated now: ${blockers.join("; ")}. Nothing was changed.`,
    data: { isOwnKey: made.key === visitor.self.id, plan: { ...made } },
    warnings: made.irreversible.map((does) => `Cannot be undone: ${does}`),
    actions: made.ready
      ? [
          {
            tool: NAME,
            args: { key: made.key, ...wishOf(given), ...(reason !== null && { reason }), confirm: CONFIRM },
            reason: "do it",
          },
        ]
      : [],
  };
}

async function rotate(visitor: Visitor, given: Input): Promise<Outcome<Data>> {
  const made = await visitor.ask(
    (keyring, call) => keyring.rotateKey(call, targetOf(visitor, given), inputOf(given), WAIT_MS),
    given.reason,
  );
  const { rotation, outlook, secret, claim } = made;
  const isOwnKey = rotation.key === visitor.self.id;
  const name = outlook?.key.name ?? rotation.key;
  return {
    headline: [headlineOf(rotation, name), ...oldValueOf(made, isOwnKey)].join(" "),
    data: {
      ...(outlook && {
        key: outlook.key,
        old: outlook.old,
        graceSeconds: outlook.graceSeconds,
        cooldownUntil: outlook.cooldownUntil,
      }),
      isOwnKey,
      rotation,
      ...(secret !== undefined && { secret }),
      ...(claim && { claim }),
    },
    warnings: [
      ...warningsOf(rotation),
      ...valueWarnings(made, given.reveal),
      ...graceWarnings(made, given.gracePeriodHours),
      ...cooldownWarnings(made),
    ],
    actions: [...nextOf(rotation), ...wayBack(made, name, isOwnKey)],
    failure: failureOf(rotation),
  };
}

/** While the old value lives, there is a way back and a way on. */
function wayBack({ rotation, outlook }: RotateAnswer, key: string, isOwn: boolean): Action[] {
  const { old } = outlook ?? {};
  if (rotation.live || old?.stage !== "previous") return [];
  const finish = {
    tool: "finish_grace_period",
    args: { key, version: old.version },
    reason: "end the old value as soon as nothing uses it",
  };
  const back = {
    tool: "rollback_key",
    args: { key, reason: "the new value does not work" },
    reason: `go back, until ${old.endsAt}`,
  };
  return [
    // Nobody goes back to what the service ends.
    ...(outlook?.overlap === "ours" ? [back] : []),
    // Whoever was just replaced ends nothing.
    ...(isOwn ? [] : [finish]),
  ];
}
