/** Secrets of one Worker. Cloudflare deploys that Worker when they change, so all fields of a value go in one call. */
import { z } from "zod";
import { durationSchema, parseDuration } from "../duration.ts";
import { CLOUDFLARE, callAccount, connectionSchema, pathPartSchema, settledBy, unfit } from "./cloudflare.ts";
import type { Destination } from "./destination.ts";
import { nameFields, nameOfKey, namesSchema, toIdentifier } from "./names.ts";

/** A deployment reaches every place within seconds; what runs already ends its requests with the old value. */
const PROPAGATION = "60s";
/** https://developers.cloudflare.com/workers/platform/limits/#environment-variables */
const MAX_BYTES = 5 * 1_024;

const configSchema = z.strictObject({
  connection: connectionSchema,
  script: pathPartSchema.describe("The Worker's name."),
  names: namesSchema,
  propagation: durationSchema
    .optional()
    .describe(`How long until all readers see a value. Default ${PROPAGATION}.`),
});

export const workerSecret: Destination = {
  type: "worker-secret",
  title: "A Worker's secrets",
  about: {
    summary: "Secrets of one Worker, which reads them as `env.NAME`. Each change deploys that Worker.",
    page: "https://developers.cloudflare.com/workers/configuration/secrets/",
    leastScope: "Workers Scripts: Edit",
    calls: {
      probe: "GET /accounts/{accountId}/workers/scripts/{script}/secrets",
      put: "PATCH /accounts/{accountId}/workers/scripts/{script}/secrets-bulk, a merge patch: other secrets stay as they are",
    },
    notes: [
      "Every delivery makes a new version of the Worker and deploys it to everybody; the dry run of a rotation says so.",
      "All fields of a value change in one deployment: no request sees the new one of one field with the old one of another.",
      "In names every character but letters, digits and `_` becomes `_`. A value has at most 5 KiB a field.",
    ],
    unverified: ["How long until every instance of that Worker reads a new value: a minute is assumed."],
    example: { connection: "cloudflare", script: "shop" },
  },
  config: configSchema,
  through: CLOUDFLARE,
  confirms: true,
  signs: false,
  propagationMs: (config) => parseDuration(configSchema.parse(config).propagation ?? PROPAGATION),
  targetOf({ account, name, config }) {
    const { script, names } = configSchema.parse(config);
    return `worker-secret:${account}/${script}/${nameOfKey(names, name, toIdentifier)}`;
  },
  effectOf: (config) => `deploys the Worker ${configSchema.parse(config).script}`,
  problemOf: () => undefined,

  async probe(context) {
    const path = `${pathOf(context.config)}/secrets`;
    const listed = z.array(z.object({ name: z.string() })).nullable();
    return settledBy(context, await callAccount(context, { method: "GET", path }, listed));
  },

  async put(context, { name, fields }) {
    const named = nameFields(configSchema.parse(context.config).names, name, fields, toIdentifier);
    if (!named.ok) return unfit(context, named.error);
    const values = [...named.value];
    if (values.some(([, text]) => Buffer.byteLength(text) > MAX_BYTES)) {
      return unfit(context, `a Worker's secret has at most ${MAX_BYTES} bytes`);
    }
    const secrets = values.map(([id, text]) => [id, { name: id, text, type: "secret_text" }]);
    const answer = await callAccount(
      context,
      {
        method: "PATCH",
        path: `${pathOf(context.config)}/secrets-bulk`,
        headers: { "content-type": "application/merge-patch+json" },
        json: { secrets: Object.fromEntries(secrets) },
      },
      z.unknown(),
    );
    return settledBy(context, answer);
  },
};

function pathOf(config: unknown): string {
  return `/workers/scripts/${configSchema.parse(config).script}`;
}
