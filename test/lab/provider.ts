/**
 * The client of a lab service, as one for a real service must behave: what did not answer clearly is in doubt or indeterminate,
 * and nothing is taken for a refusal that is not one.
 */
import { z } from "zod";
import type { Outbound, OutboundAnswer } from "../../src/outbound/port.ts";
import { CALL_TIMEOUT_MS, type OutboundRequest } from "../../src/outbound/transport.ts";
import type {
  ListResult,
  MintResult,
  PreflightResult,
  Provider,
  RevokeResult,
  TestResult,
} from "../../src/providers/provider.ts";
import { type Abilities, canRevoke } from "./kinds.ts";
import { accountSchema, CONFLICT, listedSchema, mintedSchema, problemSchema, whoSchema } from "./wire.ts";

/**
 * @param baseUrl of the lab, without a slash at its end
 */
export function labProvider(name: string, abilities: Abilities, baseUrl: string): Provider {
  const { overlap, maxLive, propagationMs = 0, repeatsMint = false, test = true, find, list } = abilities;
  const origin = `${baseUrl}/${name}`;
  const ask = (outbound: Outbound, method: OutboundRequest["method"], path: string, headers = {}) =>
    outbound.send({ method, url: `${origin}${path}`, headers: { accept: "application/json", ...headers } });

  return {
    name,
    title: `The lab's ${name}`,
    overlap,
    ...(maxLive !== undefined && { maxLive }),
    local: false,
    timeoutMs: CALL_TIMEOUT_MS,
    propagationMs,
    repeatsMint,
    verifiedHere: false,
    opensApi: false,
    adopts: true,
    defaultCooldown: "0",

    preflight: async ({ outbound, prefix }) =>
      fromAccount(await ask(outbound, "GET", `/account?label=${prefix}`)),

    mint: async ({ outbound, prefix, old }, { marker, idempotencyKey, graceMs }) =>
      fromMint(
        await outbound.send({
          method: "POST",
          url: `${origin}/credentials`,
          headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
          body: JSON.stringify({ label: prefix, marker, keepOldMs: graceMs, replaces: old?.reference }),
        }),
      ),

    ...(test && {
      test: async ({ outbound }, { fields }) =>
        fields
          ? fromWho(await ask(outbound, "GET", "/whoami", { authorization: `Bearer ${fields.secret}` }))
          : { kind: "indeterminate", problem: "its value is not kept" },
    }),
    ...(canRevoke(abilities) && {
      revoke: async ({ outbound }, { reference }) =>
        fromRevoke(await ask(outbound, "DELETE", `/credentials/${encodeURIComponent(reference)}`)),
    }),
    ...(find && {
      find: async ({ outbound }, marker) =>
        fromList(await ask(outbound, "GET", `/credentials?marker=${encodeURIComponent(marker)}`)),
    }),
    ...(list && {
      list: async ({ outbound, prefix }) =>
        fromList(await ask(outbound, "GET", `/credentials?label=${prefix}`)),
    }),
  };
}

function fromAccount(answer: OutboundAnswer): PreflightResult {
  const account = readBody(accountSchema, answer);
  if (!account) return { kind: "red", ...later(answer) };
  const { report } = answer;
  return account.free === 0
    ? { kind: "red", problem: "the service has no free slot", report }
    : { kind: "green", report };
}

function fromMint(answer: OutboundAnswer): MintResult {
  const { report, status } = answer;
  const minted = readBody(mintedSchema, answer);
  if (minted) {
    const { reference, secret, oldEndsAt } = minted;
    return {
      kind: "minted",
      report,
      reference,
      fields: { secret },
      ...(oldEndsAt !== undefined && { oldEndsAt }),
    };
  }
  if (status === 429) return { kind: "postponed", ...later(answer) };
  const { problem } = later(answer);
  if (status === 409 && codeOf(answer) === CONFLICT) return { kind: "conflict", problem, report };
  // An address that may not be called was not called.
  const wasSent = !report.code.startsWith("refused-url:");
  const isRefusal = status !== undefined && status >= 400 && status < 500;
  return { kind: isRefusal || !wasSent ? "refused" : "in-doubt", problem, report };
}

/** Only 401 says that this value is not accepted; everything else says something about the call. */
function fromWho(answer: OutboundAnswer): TestResult {
  const { report, status } = answer;
  if (readBody(whoSchema, answer)) return { kind: "valid", report };
  if (status === 401) return { kind: "rejected", problem: "the service answered 401", report };
  return { kind: "indeterminate", ...later(answer) };
}

function fromRevoke(answer: OutboundAnswer): RevokeResult {
  const { report, status } = answer;
  return status === 204 || status === 404
    ? { kind: "revoked", report }
    : { kind: "failed", ...later(answer) };
}

function fromList(answer: OutboundAnswer): ListResult {
  const listed = readBody(listedSchema, answer);
  return listed
    ? { kind: "listed", references: listed.references, report: answer.report }
    : { kind: "failed", ...later(answer) };
}

/** The body of a success, when it is what was asked for. */
function readBody<Schema extends z.ZodType>(
  schema: Schema,
  { status, body = "" }: OutboundAnswer,
): z.output<Schema> | undefined {
  return status !== undefined && status >= 200 && status < 300 ? parse(schema, body) : undefined;
}

function codeOf({ body = "" }: OutboundAnswer): string | undefined {
  return parse(problemSchema, body)?.code;
}

function parse<Schema extends z.ZodType>(schema: Schema, text: string): z.output<Schema> | undefined {
  const json = z.string().transform((raw, check) => {
    try {
      return JSON.parse(raw) as unknown;
    } catch {
      check.addIssue({ code: "custom", message: "no JSON" });
      return z.NEVER;
    }
  });
  return json.pipe(schema).safeParse(text).data;
}

/** Why it did not work out, without a word of the body, and when to ask again. */
function later({ report, status, retryAfterMs }: OutboundAnswer) {
  const problem =
    status === undefined
      ? `no answer from ${report.host} (${report.code})`
      : `the service answered ${status}`;
  return { problem, report, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
