/**
 * The one way in which providers speak HTTP. An answer is a success that fits its schema, a refusal with a status, or nothing that can be
 * relied on; the body of an answer is in no problem, report or log, and neither is any secret.
 */
import type { z } from "zod";
import type { OutboundAnswer } from "../outbound/port.ts";
import type { OutboundRequest } from "../outbound/transport.ts";
import type { CallReport } from "../store/work-table.ts";
import type {
  LastUsedResult,
  ListResult,
  MintResult,
  PreflightResult,
  ProviderContext,
  RevokeResult,
  TestResult,
} from "./provider.ts";

/** One call. Exactly one kind of body, or none. */
export interface ApiRequest {
  method: OutboundRequest["method"];
  url: string;
  headers?: Record<string, string>;
  /** Absent ones are left out. */
  query?: Record<string, string | number | undefined>;
  json?: unknown;
  form?: Record<string, string>;
  /** A body that was serialised already, with its own `content-type` in the headers. */
  text?: string;
  timeoutMs?: number;
}

/** How a call ended. */
export type ApiAnswer<T> =
  | { kind: "ok"; value: T; status: number; report: CallReport }
  /** The service answered that it did not do it. */
  | ({ kind: "status"; status: number; code: string | undefined } & Problem)
  /** It said yes, and what it said cannot be read. */
  | ({ kind: "unreadable" } & Problem)
  /** Nobody knows what became of it. */
  | ({ kind: "no-answer" } & Problem)
  /** It was not sent: the account's budget is used up, or the address may not be called. */
  | ({ kind: "not-sent"; isForGood: boolean } & Problem);

interface Problem {
  problem: string;
  report?: CallReport;
  retryAfterMs?: number;
}

export type Failed = Exclude<ApiAnswer<never>, { kind: "ok" }>;

/** How a service tells what is wrong. */
export interface Reading<Schema extends z.ZodType> {
  /** What a success looks like; a body that does not fit is unreadable. */
  schema: Schema;
  /** Statuses that are a success. Default 200 to 299. */
  ok?: readonly number[];
  /** The service's own code for a failure, from its body. Also called for a 2xx: a code there makes it a failure. */
  errorCode?: (body: unknown) => string | undefined;
  /** How long a failure asks to wait, from its body, milliseconds. */
  retryAfterMs?: (body: unknown) => number | undefined;
  /** Turns the text of a success into what the schema reads. Default JSON; an empty body is null. */
  parse?: (text: string) => unknown;
}

type Way = Pick<ProviderContext, "outbound" | "spend">;

/** Makes one call and reads its answer. */
export async function callApi<Schema extends z.ZodType>(
  { outbound, spend }: Way,
  request: ApiRequest,
  reading: Reading<Schema>,
): Promise<ApiAnswer<z.output<Schema>>> {
  const waitMs = spend();
  if (waitMs > 0) {
    const problem = "the calls that the service allows this account are used up for now";
    return { kind: "not-sent", isForGood: false, problem, retryAfterMs: waitMs };
  }
  return readAnswer(await outbound.send(outboundOf(request)), reading);
}

/** Reads what came back. */
function readAnswer<Schema extends z.ZodType>(
  answer: OutboundAnswer,
  { schema, ok, errorCode, retryAfterMs, parse = parseJson }: Reading<Schema>,
): ApiAnswer<z.output<Schema>> {
  const { report, status, body = "" } = answer;
  const wait = answer.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs };
  if (status === undefined) {
    const isForGood = report.code.startsWith("refused-url:");
    return isForGood
      ? { kind: "not-sent", isForGood, report, problem: `its address may not be called (${report.code})` }
      : { kind: "no-answer", report, problem: `no answer from ${report.host} (${report.code})` };
  }
  const read = tryTo(() => parse(body));
  const told = (parsed: unknown) => {
    const code = cleanCode(errorCode?.(parsed));
    const asked = retryAfterMs?.(parsed);
    const problem = `${report.host} answered ${status}${code === undefined ? "" : ` ${code}`}`;
    return {
      kind: "status" as const,
      status,
      code,
      report,
      problem,
      ...wait,
      ...(asked !== undefined && { retryAfterMs: asked }),
    };
  };
  const isSuccess = ok ? ok.includes(status) : status >= 200 && status < 300;
  if (!isSuccess) return told(read.value ?? tryTo(() => parseJson(body)).value);
  if (read.ok && errorCode?.(read.value) !== undefined) return told(read.value);
  const parsed = read.ok ? schema.safeParse(read.value) : undefined;
  return parsed?.success
    ? { kind: "ok", value: parsed.data, status, report }
    : {
        kind: "unreadable",
        report,
        problem: `${report.host} answered ${status} with something else than agreed`,
      };
}

function tryTo(parse: () => unknown): { ok: boolean; value: unknown } {
  try {
    return { ok: true, value: parse() };
  } catch {
    return { ok: false, value: undefined };
  }
}

function parseJson(text: string): unknown {
  return text.trim() === "" ? null : JSON.parse(text);
}

/** Letters only, so that no secret and no sentence passes for a code. */
function cleanCode(code: string | undefined): string | undefined {
  return code !== undefined && /^[A-Za-z][A-Za-z_.-]{1,47}$/.test(code) ? code : undefined;
}

function outboundOf({ method, url, headers = {}, query = {}, json, form, text, timeoutMs }: ApiRequest) {
  const pairs = Object.entries(query).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  const search = pairs.length > 0 ? `${url.includes("?") ? "&" : "?"}${new URLSearchParams(pairs)}` : "";
  const body = json !== undefined ? JSON.stringify(json) : form ? new URLSearchParams(form).toString() : text;
  const type =
    json !== undefined ? "application/json" : form ? "application/x-www-form-urlencoded" : undefined;
  return {
    method,
    url: `${url}${search}`,
    headers: { accept: "application/json", ...(type !== undefined && { "content-type": type }), ...headers },
    ...(body !== undefined && { body }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

/** A failure as the results that may come later have it. */
export function laterOf({ problem, report, retryAfterMs }: Failed) {
  return {
    problem,
    ...(report && { report }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

/**
 * What a call to mint that is not a success says: a 4xx is a refusal (429 and 408 but later), everything else is in doubt. A 5xx may
 * have taken effect.
 * @param conflicts the service's codes for an idempotency key that it knows already
 */
export function unminted(failed: Failed, conflicts: readonly string[] = []): MintResult {
  const { problem } = failed;
  const reported = failed.report ? { report: failed.report } : {};
  switch (failed.kind) {
    case "status": {
      const { status, code } = failed;
      if (code !== undefined && conflicts.includes(code)) return { kind: "conflict", problem, ...reported };
      if (status === 429) return { kind: "postponed", ...laterOf(failed) };
      // What answers an error in a 200 has said that it did nothing; a redirect has said nothing of the kind.
      const isRefusal = status !== 408 && (status < 300 || (status >= 400 && status < 500));
      return { kind: isRefusal ? "refused" : "in-doubt", problem, ...reported };
    }
    case "not-sent":
      return failed.isForGood
        ? { kind: "refused", problem, ...reported }
        : { kind: "postponed", ...laterOf(failed) };
    case "unreadable":
    case "no-answer":
      return { kind: "in-doubt", problem, ...reported };
  }
}

/** What a test says: only these statuses, or codes, are a refusal of the value itself. Default 401 and 403. */
export function testedBy(
  answer: ApiAnswer<unknown>,
  { statuses = [401, 403], codes = [] }: { statuses?: readonly number[]; codes?: readonly string[] } = {},
): TestResult {
  if (answer.kind === "ok") return { kind: "valid", report: answer.report };
  if (answer.kind !== "status") return { kind: "indeterminate", ...laterOf(answer) };
  const { status, code, problem, report } = answer;
  const isRejected = code !== undefined && codes.includes(code) ? true : statuses.includes(status);
  return isRejected
    ? { kind: "rejected", problem, ...(report && { report }) }
    : { kind: "indeterminate", ...laterOf(answer) };
}

/** What a revocation says: gone already is as good as gone now. */
export function revokedBy(
  answer: ApiAnswer<unknown>,
  { gone = [404], goneCodes = [] }: { gone?: readonly number[]; goneCodes?: readonly string[] } = {},
): RevokeResult {
  if (answer.kind === "ok") return { kind: "revoked", report: answer.report };
  const isGone =
    answer.kind === "status" &&
    (gone.includes(answer.status) || (answer.code !== undefined && goneCodes.includes(answer.code)));
  if (isGone) return { kind: "revoked", ...(answer.report && { report: answer.report }) };
  return { kind: "failed", ...laterOf(answer) };
}

/** What a look at whether all is ready says. */
export function readyBy(answer: ApiAnswer<unknown>, account?: string): PreflightResult {
  return answer.kind === "ok"
    ? { kind: "green", report: answer.report, ...(account !== undefined && { account }) }
    : { kind: "red", ...laterOf(answer) };
}

/** What a list says. */
export function listedBy<T>(answer: ApiAnswer<T>, references: (value: T) => string[]): ListResult {
  return answer.kind === "ok"
    ? { kind: "listed", references: references(answer.value), report: answer.report }
    : { kind: "failed", ...laterOf(answer) };
}

/** What a question for the last use says. */
export function lastUsedBy<T>(answer: ApiAnswer<T>, at: (value: T) => number | null): LastUsedResult {
  return answer.kind === "ok"
    ? { kind: "told", at: at(answer.value), report: answer.report }
    : { kind: "failed", ...laterOf(answer) };
}

/** A credential's value, where it is kept; a version whose value was lost has none. */
export const VALUE_UNKNOWN = { kind: "indeterminate", problem: "its value is not kept" } as const;
