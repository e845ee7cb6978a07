/** Workers KV of another account, or another namespace of this one, over REST. The binding `KEYS` is the type `kv`. */
import { z } from "zod";
import { durationSchema, parseDuration } from "../duration.ts";
import {
  CLOUDFLARE,
  callAccount,
  connectionSchema,
  failedBy,
  pathPartSchema,
  settledBy,
  unfit,
} from "./cloudflare.ts";
import type { Destination } from "./destination.ts";
import { nameFields, nameOfKey, namesSchema } from "./names.ts";

/** Other places see a write in 60 s or more (https://developers.cloudflare.com/kv/concepts/how-kv-works/). */
const PROPAGATION = "60s";
const MAX_NAME_BYTES = 512;

const configSchema = z.strictObject({
  connection: connectionSchema,
  namespaceId: pathPartSchema.describe("The namespace's id."),
  names: namesSchema,
  propagation: durationSchema
    .optional()
    .describe(`How long until all readers see a value. Default ${PROPAGATION}.`),
});

const bulkSchema = z.object({ unsuccessful_keys: z.array(z.unknown()).nullish() }).nullable();

export const kvRest: Destination = {
  type: "kv-rest",
  title: "Workers KV over REST",
  about: {
    summary: "A namespace of Workers KV that this Worker is not bound to, in its own account or another one.",
    page: "https://developers.cloudflare.com/api/resources/kv/",
    leastScope: "Workers KV Storage: Edit",
    calls: {
      probe: "GET /accounts/{accountId}/storage/kv/namespaces/{namespaceId}",
      put: "PUT /accounts/{accountId}/storage/kv/namespaces/{namespaceId}/bulk, all fields in one call",
    },
    notes: [
      "KV takes one write a second for a name; what it refuses is sent again later.",
      "Names are not told apart by keyring: give each keyring a namespace, or a text of its own in `names`.",
    ],
    example: { connection: "cloudflare", namespaceId: "0f2ac74b498b48028cb68387c421e279", names: "{key}" },
  },
  config: configSchema,
  through: CLOUDFLARE,
  confirms: true,
  signs: false,
  propagationMs: (config) => parseDuration(configSchema.parse(config).propagation ?? PROPAGATION),
  targetOf({ account, name, config }) {
    const { namespaceId, names } = configSchema.parse(config);
    return `kv-rest:${account}/${namespaceId}/${nameOfKey(names, name)}`;
  },
  problemOf: () => undefined,

  async probe(context) {
    const path = pathOf(context.config);
    return settledBy(
      context,
      await callAccount(context, { method: "GET", path }, z.object({ id: z.string() })),
    );
  },

  async put(context, { name, fields }) {
    const named = nameFields(configSchema.parse(context.config).names, name, fields);
    if (!named.ok) return unfit(context, named.error);
    const pairs = [...named.value].map(([key, value]) => ({ key, value }));
    if (pairs.some(({ key }) => Buffer.byteLength(key) > MAX_NAME_BYTES)) {
      return unfit(context, `its name there would be longer than ${MAX_NAME_BYTES} bytes`);
    }
    const path = `${pathOf(context.config)}/bulk`;
    const answer = await callAccount(context, { method: "PUT", path, json: pairs }, bulkSchema);
    const missed = answer.kind === "ok" ? (answer.value?.unsuccessful_keys?.length ?? 0) : 0;
    if (answer.kind !== "ok" || missed === 0) return settledBy(context, answer);
    const problem = `${missed} of ${pairs.length} names were not written`;
    return failedBy(context, { kind: "unreadable", problem, report: answer.report });
  },
};

function pathOf(config: unknown): string {
  return `/storage/kv/namespaces/${configSchema.parse(config).namespaceId}`;
}
