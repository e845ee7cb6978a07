/** revoke_api_key: the end of a key or of one of its values, with nothing in its place. */
import { z } from "zod";
import type { Outcome } from "../envelope.ts";
import { endingWarnings } from "../rotated.ts";
import { defineTool, type Question, type Visitor } from "../tool.ts";
import { keyDetail, keyParameter, reasonParameter } from "../views.ts";

const NAME = "revoke_api_key";

const input = z.object({
  key: keyParameter,
  version: z
    .int()
    .min(1)
    .optional()
    .describe(
      "Only this version. Default: the one that was named, else every version, so that the key has no working value any more.",
    ),
  reason: reasonParameter.min(1),
});

const data = z.object({ key: keyDetail });

type Input = z.output<typeof input>;

export const revokeApiKey = defineTool({
  name: NAME,
  title: "Revoke an API key",
  description: `Ends one API key, or one version of it, now and with no replacement: Rekey refuses it at once and has its service revoke it.
Use it when nothing needs the key any more. To replace a value use rotate_api_key; if it leaked, report_compromised_key; to end only an old value in its grace, finish_grace_period. Named by the fingerprint or the service's name of a value, only that value ends.
Irreversible: a revoked value never works again, a live rotation stops, and destinations are left with a dead value.
Needs scope keys:revoke. With a role, your own keys only. Refuses while your access key is in its cooldown.
Comes back with every version's stage; \`revoking\` means that the service is still being asked, and \`confirmed\` that the value was seen refused.`,
  scope: "keys:revoke",
  hints: { readOnly: false, destructive: true, idempotent: true, openWorld: true },
  input,
  data,
  example: { key: "old-importer", reason: "the importer was shut down", confirm: "revoke-now" },
  confirmation: { word: "revoke-now", question: ask },
  run: revoke,
});

async function ask(visitor: Visitor, given: Input): Promise<Question> {
  const { id, name, title, reason, current, version } = await meant(visitor, given);
  const what = version === undefined ? "every value of" : `version ${version} of`;
  return {
    text: `Revoke ${what} "${name}" (${title}) now? Nothing takes its place, and it cannot be undone.`,
    about: [id, version ?? null, current],
    ...(reason !== null && { args: { key: id, ...(version !== undefined && { version }), reason } }),
  };
}

/** The key, and the one version that is to end; none where all are. */
async function meant(visitor: Visitor, { key, version, reason }: Input) {
  const found = await visitor.ask((keyring, call) => keyring.describeKey(call, "keys:revoke", key), reason);
  return { ...found, version: version ?? found.version ?? undefined };
}

async function revoke(visitor: Visitor, given: Input): Promise<Outcome<z.input<typeof data>>> {
  const { reason } = given;
  const { id, version } = await meant(visitor, given);
  const view = await visitor.ask(
    (keyring, call) => keyring.revokeKey(call, id, { reason, ...(version !== undefined && { version }) }),
    reason,
  );
  const warnings = endingWarnings(view);
  const isEnding = view.versions.some(
    ({ number, stage }) => stage === "revoking" && (version === undefined || number === version),
  );
  const what = version === undefined ? `"${view.name}"` : `Version ${version} of "${view.name}"`;
  return {
    headline: `${what} is ${isEnding ? "being ended" : "revoked"}.`,
    data: { key: view },
    warnings,
    actions:
      warnings.length > 0
        ? [{ tool: "get_api_key", args: { key: view.id }, reason: "see it confirmed" }]
        : [],
  };
}
