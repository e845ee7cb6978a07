/** Workers KV: the consumer's Worker reads the value from the namespace `KEYS` under the key's name. */
import { z } from "zod";
import { durationSchema, parseDuration } from "../duration.ts";
import type { CallReport } from "../store/work-table.ts";
import type { Destination, SendResult } from "./destination.ts";

/** Other places see a write in 60 s or more (https://developers.cloudflare.com/kv/concepts/how-kv-works/). */
const PROPAGATION = "60s";
const PROBE_NAME = "rekey:probe";

const configSchema = z.strictObject({
  propagation: durationSchema
    .optional()
    .describe(`How long until all readers see a value. Default ${PROPAGATION}.`),
});

/** The name in the namespace. Only the default keyring writes bare names; `/` cannot be part of a key's name. */
export function kvNameOf(keyring: string, name: string): string {
  return keyring === "default" ? name : `${keyring}/${name}`;
}

export const kv: Destination = {
  type: "kv",
  title: "Workers KV",
  about: {
    summary:
      "The namespace `KEYS` that is bound to this Worker. A consumer's Worker reads the value under the key's name there.",
    page: "https://developers.cloudflare.com/kv/",
    calls: { probe: "a read of the name `rekey:probe`", put: "a write of the key's name" },
    notes: [
      "A value of one field is written as it is, any other as JSON of its fields.",
      "The keyring `default` writes bare names, any other `{keyring}/{name}`.",
      "KV takes one write a second for a name, and a look-up that missed is cached like one that did not.",
    ],
    example: {},
  },
  config: configSchema,
  confirms: true,
  signs: false,
  propagationMs: (config) => parseDuration(configSchema.parse(config).propagation ?? PROPAGATION),
  targetOf: ({ keyring, name }) => `kv:${kvNameOf(keyring, name)}`,
  problemOf: () => undefined,

  async probe({ outbound }) {
    return resultOf(await outbound.readValue(PROBE_NAME));
  },

  async put({ outbound, keyring }, { name, fields }) {
    const only = Object.keys(fields).length === 1;
    const value = only ? fields.secret : JSON.stringify(fields);
    return resultOf(await outbound.writeValue(kvNameOf(keyring, name), value));
  },
};

function resultOf(report: CallReport): SendResult {
  return report.code === "ok"
    ? { kind: "held", report }
    : { kind: "failed", report, problem: `Workers KV did not answer (${report.code})` };
}
