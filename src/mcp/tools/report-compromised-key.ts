/** report_compromised_key: a value leaked, and must not live on. */
import { z } from "zod";
import { Problem } from "../../api/problem.ts";
import type { CompromiseView, LeakView } from "../../keyring/compromise-view.ts";
import { FINGERPRINT } from "../../keyring/find-key.ts";
import type { Meant } from "../../keyring/meant.ts";
import type { CompromiseInput } from "../../keyring/operations/compromises.ts";
import type { Outcome } from "../envelope.ts";
import { defineTool, type Question, type Visitor } from "../tool.ts";
import { keyParameter, reasonParameter } from "../views.ts";

const NAME = "report_compromised_key";

const input = z.object({
  key: keyParameter.optional().describe(`${keyParameter.description} Give this or \`secret\`, not both.`),
  version: z
    .int()
    .min(1)
    .optional()
    .describe("With `key`: the version that leaked. Default: the one that was named, else the current one."),
  secret: z
    .string()
    .min(8)
    .max(16_384)
    .optional()
    .describe(
      "Instead of `key`: the leaked value itself, when nobody knows whose it is. It is neither kept nor repeated.",
    ),
  source: z.string().min(1).max(200).describe("Where it was seen, such as a public repository."),
  url: z.string().max(2_048).optional().describe("The address where it was seen."),
  reason: reasonParameter.optional(),
});

const data = z.object({
  compromise: z.string().describe("Id of the report (cmp_…)."),
  state: z.string().describe("closed once everything that leaked was seen dead; open while it was not."),
  leaks: z.array(
    z.object({
      key: z.string().nullable(),
      keyName: z.string().nullable(),
      version: z.int().nullable(),
      stage: z.string().nullable(),
      action: z
        .string()
        .nullable()
        .describe("What was done: started, escalated, revoked, discarded, retried, notified…"),
      rotation: z.string().nullable().describe("Id of the rotation that replaces it."),
      secondsToDead: z.number().nullable(),
      todo: z.array(z.string()).describe("What is left to do."),
    }),
  ),
});

type Input = z.output<typeof input>;

export const reportCompromisedKey = defineTool({
  name: NAME,
  title: "Report a leaked key",
  description: `Says that a value leaked: Rekey replaces it at once and ends it without a grace period, also while the key is paused or a place that must hold the new value does not answer, unless the key's policy says otherwise (\`onCompromise\`).
Use it only for a leak. For a planned new value use rotate_api_key; to end a key that nothing needs, revoke_api_key.
Irreversible: the leaked value dies within about a minute, also where no replacement can be had, and whatever uses it fails until it has the new one. rollback_key never goes back to it.
Needs scope keys:revoke. Whoever has the value itself may report it, whosever it is; by name you report your own keys only, and not while your access key is in its cooldown.
\`data.leaks\` is empty when nothing here has that value. Otherwise follow \`rotation\` with get_rotation and see the version confirmed dead with get_api_key. The new value goes to the key's destinations; nothing is shown here. Without destinations nobody has the new value: get one with rotate_api_key.`,
  scope: "keys:revoke",
  hints: { readOnly: false, destructive: true, idempotent: false, openWorld: true },
  input,
  data,
  example: { key: "billing-api", source: "a public repository", confirm: "report-compromise" },
  confirmation: { word: "report-compromise", question: ask },
  check: ({ key, secret, version }) => [
    ...((key === undefined) === (secret === undefined)
      ? [{ path: "key", message: "give either key or secret" }]
      : []),
    ...(version !== undefined && key === undefined
      ? [{ path: "version", message: "only goes with key" }]
      : []),
  ],
  run: report,
});

/** Nothing is proposed: where it was seen may say the value itself, and without that there is no such call. */
async function ask(visitor: Visitor, given: Input): Promise<Question> {
  const dies =
    "It is replaced and ended at once, with no grace, unless the key's policy says otherwise, and that cannot be undone.";
  const found = given.key === undefined ? undefined : await meant(visitor, given.key);
  if (!found) return { text: `Report the value that was given as leaked? ${dies}`, about: [] };
  const { id, name, title, version, current } = found;
  const number = given.version ?? version ?? current;
  const what = number === null ? "the current value" : `version ${number}`;
  return { text: `Report ${what} of "${name}" (${title}) as leaked? ${dies}`, about: [id, number] };
}

/** The key that is meant. Undefined for the fingerprint of a value that is dead, of which the report itself says so. */
async function meant(visitor: Visitor, key: string): Promise<Meant | undefined> {
  try {
    return await visitor.ask((keyring, call) => keyring.describeKey(call, "keys:revoke", key));
  } catch (error) {
    if (error instanceof Problem && error.failure.code === "not-found" && FINGERPRINT.test(key))
      return undefined;
    throw error;
  }
}

async function report(visitor: Visitor, given: Input): Promise<Outcome<z.input<typeof data>>> {
  const { key, version, secret, source, url, reason } = given;
  const by: Pick<CompromiseInput, "key" | "version" | "secret" | "fingerprint"> =
    key === undefined ? { secret } : await byKey(visitor, key, version);
  const made = await visitor.ask(
    (keyring, call) => keyring.reportCompromise(call, { ...by, source, url }),
    reason ?? `leaked: ${source}`,
  );
  return {
    headline: headlineOf(made),
    data: { compromise: made.id, state: made.state, leaks: made.items },
    warnings: made.items.flatMap(({ todo }) => todo),
    actions: made.items.flatMap(({ key: id, rotation }) => [
      ...(rotation ? [{ tool: "get_rotation", args: { rotation }, reason: "see it replaced" }] : []),
      ...(id
        ? [{ tool: "get_api_key", args: { key: id }, reason: "see the leaked version confirmed dead" }]
        : []),
    ]),
  };
}

async function byKey(visitor: Visitor, key: string, version: number | undefined) {
  const found = await meant(visitor, key);
  if (!found) return { fingerprint: key };
  return { key: found.id, version: version ?? found.version ?? undefined };
}

function headlineOf({ items, state }: CompromiseView): string {
  if (items.length === 0) return "Nothing here has that value. The report is kept.";
  const done = items.map(nameLeak).join(" ");
  return state === "closed" ? `${done} All of it was seen dead.` : done;
}

function nameLeak({ keyName, subject, version, action, stage }: LeakView): string {
  const what = keyName === null ? `A secret of ${subject}` : `Version ${version} of "${keyName}"`;
  return `${what} is reported leaked: ${action ?? "waiting"}${stage === null ? "" : `, now ${stage}`}.`;
}
