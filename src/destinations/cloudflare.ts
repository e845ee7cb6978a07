/**
 * What the places in Cloudflare share: the account that a connection of the provider `cloudflare` opens, its budget, and what an answer
 * of the API means (https://developers.cloudflare.com/api/).
 */
import { z } from "zod";
import { type ApiAnswer, type ApiRequest, callApi, type Failed, laterOf } from "../providers/http-client.ts";
import type { CallReport } from "../store/work-table.ts";
import type { DestinationContext, Route, SendResult } from "./destination.ts";

const accountSchema = z.looseObject({
  accountId: z.string(),
  baseUrl: z.string().default("https://api.cloudflare.com/client/v4"),
});

function placeOf(config: Record<string, unknown>): string | undefined {
  const { success, data } = accountSchema.safeParse(config);
  if (!success) return undefined;
  const { accountId, baseUrl } = data;
  return `${baseUrl.replace(/\/+$/, "")}/accounts/${encodeURIComponent(accountId)}`;
}

export const CLOUDFLARE: Route = { provider: "cloudflare", placeOf };

export const connectionSchema = z
  .string()
  .min(1)
  .max(100)
  .describe("Id or name of a connection of the provider `cloudflare`: its account is where values go.");

/** An id or name as the API has it in a path. */
export const pathPartSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$/);

type Request = Pick<ApiRequest, "method" | "json" | "headers" | "query"> & {
  /** Below the account. */
  path: string;
};

/** Its own codes that say more than the status does, in words. */
const CODES: Record<number, string> = {
  10000: "authentication-error",
  10007: "no-such-worker",
  10013: "no-such-namespace",
};

const problemSchema = z.object({
  success: z.literal(false),
  errors: z.array(z.object({ code: z.number() })).catch([]),
});

function readCode(body: unknown): string | undefined {
  const { success, data } = problemSchema.safeParse(body);
  return success ? (CODES[data.errors[0]?.code ?? 0] ?? "unsuccessful") : undefined;
}

/** Makes one call to the account's API. `value` is what stands in `result`. */
export async function callAccount<Schema extends z.ZodType>(
  context: DestinationContext,
  { path, headers, ...request }: Request,
  schema: Schema,
): Promise<ApiAnswer<z.output<Schema>>> {
  const { connection } = context;
  const place = connection && placeOf(connection.config);
  if (!connection || place === undefined) {
    return { kind: "not-sent", isForGood: false, problem: "its connection has no credential that is kept" };
  }
  const authorization = `Bearer ${connection.credential.secret ?? ""}`;
  const envelope = z.object({ success: z.literal(true), result: z.unknown() });
  return callApi(
    context,
    { ...request, url: `${place}${path}`, headers: { ...headers, authorization } },
    { schema: envelope.transform(({ result }) => result).pipe(schema), errorCode: readCode },
  );
}

/** A call that did not succeed, as a delivery or a probe has it. */
export function failedBy({ now, connection }: DestinationContext, failed: Failed): SendResult {
  const place = connection && placeOf(connection.config);
  const host = place === undefined ? "" : new URL(place).host;
  const report: CallReport = failed.report ?? { method: "GET", host, code: "not-sent", at: now };
  const isUnsent = failed.kind === "not-sent";
  return { kind: "failed", ...laterOf(failed), report, ...(isUnsent && { isUnsent }) };
}

/** A value that no call can bring there. */
export function unfit(context: DestinationContext, problem: string): SendResult {
  return failedBy(context, { kind: "not-sent", isForGood: true, problem });
}

/** A call whose success is all that there is to know. */
export function settledBy(context: DestinationContext, answer: ApiAnswer<unknown>): SendResult {
  return answer.kind === "ok" ? { kind: "held", report: answer.report } : failedBy(context, answer);
}
