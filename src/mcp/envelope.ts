/** The one shape of every answer, as structured content and as short text. */
import { z } from "zod";
import { CATALOGUE, type Failure } from "../errors/catalogue.ts";

export const SCHEMA_VERSION = "1";

/** A call that may come next. */
export interface Action {
  tool: string;
  args: Record<string, unknown>;
  reason: string;
}

/** What a tool has to say. */
export interface Outcome<Data> {
  headline: string;
  data: Data;
  warnings?: string[] | undefined;
  actions?: Action[] | undefined;
  /** It was done, and came to nothing. */
  failure?: Failure | undefined;
}

/** What else a failure names goes with it: `scope`, `scopes`, `role`, `candidates`, `usedBy`, `holder`, `errors`. */
const errorSchema = z.looseObject({
  code: z.string().describe("Stable; what a program should look at."),
  title: z.string(),
  detail: z.string().optional(),
  remedy: z.string().describe("What to do next."),
  retryAt: z.string().optional().describe("ISO 8601: not before then."),
});

type ToolError = Omit<Failure, "retryAfterSeconds"> & { title: string; remedy: string };

/** The answer of one tool. */
export function envelopeSchema<Data extends z.ZodObject>(tool: string, data: Data) {
  return z.object({
    schemaVersion: z.literal(SCHEMA_VERSION),
    tool: z.literal(tool),
    summary: z.object({ headline: z.string() }),
    data: data.nullable().describe("Null when the call was refused."),
    error: errorSchema.optional(),
    warnings: z.array(z.string()).describe("What somebody should know before going on."),
    actions: z
      .array(z.object({ tool: z.string(), args: z.record(z.string(), z.unknown()), reason: z.string() }))
      .describe("Calls that may come next."),
    generatedAt: z.string(),
  });
}

export interface Envelope {
  [part: string]: unknown;
  schemaVersion: typeof SCHEMA_VERSION;
  tool: string;
  summary: { headline: string };
  data: Record<string, unknown> | null;
  error?: ToolError;
  warnings: string[];
  actions: Action[];
  generatedAt: string;
}

/** The answer to a call that was done. */
export function wrap(tool: string, outcome: Outcome<Record<string, unknown>>, now: Date): Envelope {
  const { headline, data, warnings = [], actions = [], failure } = outcome;
  return {
    schemaVersion: SCHEMA_VERSION,
    tool,
    summary: { headline },
    data,
    ...(failure && { error: describe(failure, now) }),
    warnings,
    actions,
    generatedAt: now.toISOString(),
  };
}

/** The answer to a call that was refused: nothing was half-done. */
export function refuse(tool: string, failure: Failure, actions: Action[], now: Date): Envelope {
  const error = describe(failure, now);
  const until = error.retryAt === undefined ? "" : ` Not before ${error.retryAt}.`;
  return {
    schemaVersion: SCHEMA_VERSION,
    tool,
    summary: { headline: `Refused: ${error.title}.${until}` },
    data: null,
    error,
    warnings: [],
    actions,
    generatedAt: now.toISOString(),
  };
}

function describe({ retryAfterSeconds, ...failure }: Failure, now: Date): ToolError {
  const { title, remedy } = CATALOGUE[failure.code];
  const retryAt =
    retryAfterSeconds === undefined
      ? undefined
      : new Date(now.getTime() + retryAfterSeconds * 1_000).toISOString();
  return { title, remedy, ...(retryAt !== undefined && { retryAt }), ...failure };
}

/** The same for who reads no structured content. */
export function textOf({ summary, error, data, warnings, actions }: Envelope): string {
  return [
    summary.headline,
    ...(error ? [`error ${error.code}: ${[error.detail, error.remedy].filter(Boolean).join(" ")}`] : []),
    ...(error?.scope ? [`missing scope: ${error.scope}`] : []),
    ...(error?.scopes ? [`scopes: ${error.scopes.join(", ")}`] : []),
    ...(error?.role ? [`role: ${error.role}`] : []),
    ...(error?.holder ? [`held by: ${error.holder}`] : []),
    ...(error?.usedBy ? [`used by: ${error.usedBy.join(", ")}`] : []),
    ...(error?.candidates ? [`candidates: ${error.candidates.join(", ")}`] : []),
    ...(error?.errors ?? []).map(({ path, message }) => `${path || "arguments"}: ${message}`),
    ...warnings.map((warning) => `warning: ${warning}`),
    ...actions.map(({ tool, args, reason }) => `next: ${tool} ${JSON.stringify(args)} (${reason})`),
    ...(data ? [`data: ${JSON.stringify(data)}`] : []),
  ].join("\n");
}
