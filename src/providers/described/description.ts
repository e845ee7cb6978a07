/**
 * A REST service described in JSON: the requests that mint, test, find and revoke a key there, and what its answers mean. What would
 * only show in the middle of a rotation is refused when it is saved.
 */
import { z } from "zod";
import { durationSchema, parseDuration, periodSchema } from "../../duration.ts";
import { pointerSchema } from "./pointer.ts";
import {
  type Flaw,
  fieldsNamed,
  findFlaws,
  placeholdersOf,
  type RequestDescription,
  requestShape,
  statusesSchema,
} from "./request.ts";
import { fieldOf } from "./template.ts";

const MAX_TIMEOUT_MS = 60_000;
const MAX_PROPAGATION_MS = 3_600_000;

const fieldName = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,39}$/);

/** How the body of a success reads. */
const bodySchema = z
  .enum(["json", "any"])
  .default("json")
  .describe("`any`: its status alone counts. Otherwise a success whose body is no JSON is none.");

const overlapSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("ours").describe("Old and new live side by side until Rekey revokes the old one."),
    maxLive: z.int().min(2).max(1_000).optional().describe("Keys that may live at once."),
  }),
  z.strictObject({
    kind: z.literal("provider").describe("The service ends the old one by itself, some time after the mint."),
    lasts: periodSchema.optional().describe("How long that is, where neither request nor answer says."),
  }),
  z.strictObject({ kind: z.literal("none").describe("The old one dies when the new one is made.") }),
]);

const pagesSchema = z
  .strictObject({
    parameter: z.string().min(1).max(100).describe("Of the query, for the next page."),
    next: pointerSchema
      .optional()
      .describe("Its value in the answer; absent, null or empty on the last page."),
    lastItem: pointerSchema.optional().describe("Or its value in the last item."),
    more: pointerSchema.optional().describe("Then this is true in the answer while there is another page."),
  })
  .refine(
    ({ next, lastItem, more }) => (next === undefined) === (lastItem !== undefined && more !== undefined),
    {
      message: "needs either next, or lastItem and more",
    },
  );

/** One value tried at its service. */
const testShape = {
  ...requestShape,
  body: bodySchema,
  rejected: statusesSchema.default([401, 403]).describe("Statuses that refuse the value itself."),
};

/** The same as a key's own setting. */
export const testSchema = z.strictObject(testShape);

const shape = z.strictObject({
  overlap: overlapSchema.describe("What becomes of the old key when a new one is made."),
  propagation: durationSchema
    .refine((text) => parseDuration(text) <= MAX_PROPAGATION_MS, { message: "at most 1h" })
    .default("0")
    .describe("How long the service may refuse a new key, accept a revoked one or not list either."),
  timeout: periodSchema
    .refine((text) => parseDuration(text) <= MAX_TIMEOUT_MS, { message: "at most 60s" })
    .default("15s")
    .describe("Of a mint, whose lost answer may cost a key."),
  rateLimit: z
    .strictObject({ calls: z.int().min(1).max(1_000_000), per: periodSchema })
    .optional()
    .describe(
      "Calls that the service allows an account in a stretch of time; all keys on the connection share them.",
    ),
  preflight: z
    .strictObject({
      ...requestShape,
      body: bodySchema,
      account: pointerSchema.optional().describe("Where the answer says whose account it is."),
    })
    .describe("Changes nothing, and works only for who may do the rest."),
  mint: z
    .strictObject({
      ...requestShape,
      refused: statusesSchema
        .optional()
        .describe("Statuses after which nothing was made, for good. Default: every 4xx but 408 and 429."),
      conflict: statusesSchema.optional().describe("Statuses of an idempotency key that was used before."),
      repeatable: z
        .boolean()
        .default(false)
        .describe("The same idempotency key makes one key only, and answers the same value again."),
      answer: z.strictObject({
        fields: z
          .object({ secret: pointerSchema })
          .catchall(pointerSchema)
          .refine((fields) => Object.keys(fields).length <= 16, { message: "at most 16 fields" })
          .refine((fields) => Object.keys(fields).every((name) => fieldName.safeParse(name).success), {
            message: "names must be letters, digits and _",
          }),
        reference: pointerSchema.optional().describe("How the service names the key. Default: the marker."),
        expiresAt: pointerSchema.optional().describe("When the service ends it by itself."),
        oldEndsAt: pointerSchema.optional().describe("When the service ends the old one."),
      }),
    })
    .describe("Makes a key. Its answer says where the fields of the value are."),
  test: testSchema
    .optional()
    .describe("Tries one value. Without it nobody can say whether a key works or is dead."),
  revoke: z
    .strictObject({
      ...requestShape,
      body: bodySchema,
      gone: statusesSchema.default([404]).describe("Statuses of a key that is not there any more."),
    })
    .optional()
    .describe("Ends one key. Without it only a mint, or the service's own clock, ends a key."),
  find: z
    .strictObject({
      ...requestShape,
      answer: z.strictObject({
        items: pointerSchema,
        marker: pointerSchema.describe("In an item: the text that holds the marker."),
        reference: pointerSchema.describe("In an item."),
        pages: pagesSchema.optional(),
      }),
    })
    .optional()
    .describe(
      "Lists keys by the marker that a mint put into them, so that one whose answer was lost is found.",
    ),
});

export type Description = z.output<typeof shape>;
type CallName = "preflight" | "mint" | "test" | "revoke" | "find";

/** What a placeholder may name in each call, besides fields of the credential. */
const MEANINGS: Record<CallName, { groups: readonly string[]; words: readonly string[] }> = {
  preflight: { groups: ["old"], words: [] },
  mint: {
    groups: ["old", "config"],
    words: ["oldReference", "name", "marker", "idempotencyKey", "graceHours", "graceSeconds"],
  },
  test: { groups: ["value", "config"], words: ["reference", "name"] },
  revoke: { groups: ["value", "config"], words: ["reference", "name"] },
  find: { groups: ["old", "config"], words: ["name", "marker"] },
};

/** The calls that are described, by name. */
export function callsOf(description: Description): [CallName, RequestDescription][] {
  const { preflight, mint, test, revoke, find } = description;
  const all = { preflight, mint, test, revoke, find };
  return Object.entries(all).flatMap(([name, call]) => (call ? [[name as CallName, call]] : []));
}

/** The fields of a value besides `secret`. */
export function moreFieldsOf({ mint }: Description): string[] {
  return Object.keys(mint.answer.fields).filter((name) => name !== "secret");
}

/** Whether only the present key, or who knows its name, can ask for the next one. */
export function needsOld({ mint }: Description): boolean {
  return placeholdersOf(mint).some((name) => name === "oldReference" || fieldOf(name, "old") !== undefined);
}

export const descriptionSchema = shape.superRefine((description, check) => {
  for (const { path, message } of findAll(description)) check.addIssue({ code: "custom", path, message });
});

/** As the API takes them; `key` alone is there the name of a key whose value it is. */
function isCredentialField(name: string): boolean {
  return /^[A-Za-z0-9]+$/.test(name) && name !== "key";
}

function findAll(description: Description): Flaw[] {
  const { mint } = description;
  const fields = Object.keys(mint.answer.fields);
  const mayHold = (call: CallName) => (name: string) => {
    const { groups, words } = MEANINGS[call];
    const opener = fieldOf(name, "credential");
    if (words.includes(name) || (opener !== undefined && isCredentialField(opener))) return true;
    const group = groups.find((one) => fieldOf(name, one) !== undefined);
    return group === "config" || (group !== undefined && fields.includes(fieldOf(name, group) ?? ""));
  };
  const inCalls = callsOf(description).flatMap(([call, request]) =>
    findFlaws(request, mayHold(call)).map(({ path, message }) => ({ path: [call, ...path], message })),
  );
  return [...inCalls, ...findMissing(description), ...findAmbiguous(description)];
}

/** What one part needs of another. */
function findMissing(description: Description): Flaw[] {
  const { overlap, mint, test, revoke, find } = description;
  const flaws: Flaw[] = [];
  const holds = (request: RequestDescription | undefined, ...names: string[]) =>
    request !== undefined && placeholdersOf(request).some((name) => names.includes(name));
  const need = (isMet: boolean, path: string[], message: string) => {
    if (!isMet) flaws.push({ path, message });
  };
  if (overlap.kind === "ours")
    need(revoke !== undefined, ["revoke"], "is needed where Rekey ends the old key");
  if (overlap.kind === "provider") {
    const isTold = mint.answer.oldEndsAt !== undefined || overlap.lasts !== undefined;
    const message = "is needed, or mint.answer.oldEndsAt, or {{graceHours}} or {{graceSeconds}} in mint";
    need(isTold || holds(mint, "graceHours", "graceSeconds"), ["overlap", "lasts"], message);
  }
  need(
    overlap.kind === "provider" || mint.answer.oldEndsAt === undefined,
    ["mint", "answer", "oldEndsAt"],
    "goes only with overlap `provider`: nobody else has the service end the old key at a time",
  );
  if (find) {
    need(holds(mint, "marker"), ["mint"], "must hold {{marker}}, which find looks for");
    need(holds(revoke, "reference"), ["revoke"], "must hold {{reference}}, to end what find has found");
  }
  if (mint.repeatable)
    need(holds(mint, "idempotencyKey"), ["mint"], "must hold {{idempotencyKey}} to be repeatable");
  if (mint.answer.reference === undefined)
    need(
      !holds(test, "reference") && !holds(revoke, "reference"),
      ["mint", "answer", "reference"],
      "is needed for {{reference}}",
    );
  need(
    mint.answer.reference !== mint.answer.fields.secret,
    ["mint", "answer", "reference"],
    "is the secret itself, and a name is kept unsealed",
  );
  const isAskedByAdmin = test !== undefined && fieldsNamed(test, "value").length === 0;
  need(
    !isAskedByAdmin || !test.rejected.some((status) => status === 401 || status === 403),
    ["test", "rejected"],
    "must leave out 401 and 403, which would speak of the credential that asks, and name what says that the key is gone",
  );
  if (test)
    need(
      holds(test, "reference") || fieldsNamed(test, "value").length > 0,
      ["test"],
      "must hold the value, such as {{value.secret}}, or {{reference}}",
    );
  return flaws;
}

/** Statuses that would mean two things. */
function findAmbiguous(description: Description): Flaw[] {
  const { mint, test, revoke } = description;
  const meanings: [CallName, Record<string, readonly number[] | undefined>][] = [
    ["mint", { ok: mint.ok, refused: mint.refused, conflict: mint.conflict }],
    ["test", { ok: test?.ok, rejected: test?.rejected }],
    ["revoke", { ok: revoke?.ok, gone: revoke?.gone }],
  ];
  return meanings.flatMap(([call, lists]) => {
    const all = Object.entries(lists);
    return all.flatMap(([name, statuses = []], index) => {
      const earlier = all.slice(0, index).flatMap(([, others = []]) => others);
      const isSuccess = (status: number) => lists.ok === undefined && status < 300;
      const twice = statuses.filter(
        (status) => name !== "ok" && (earlier.includes(status) || isSuccess(status)),
      );
      return twice.map((status) => ({ path: [call, name], message: `gives ${status} a second meaning` }));
    });
  });
}
