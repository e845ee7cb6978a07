/**
 * The one way out. Every call has a time-out, is never redirected, reads a bounded answer and ends as a value: nothing here
 * throws for what the other side does.
 */
import type { CallReport } from "../store/work-table.ts";
import { Gate } from "./gate.ts";
import { findUrlProblem, parseAllowlist } from "./url.ts";

export const CALL_TIMEOUT_MS = 15_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_CONNECTIONS = 6;
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
const USER_AGENT = "Rekey/0.1";

export interface OutboundRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  url: string;
  headers: Record<string, string>;
  body?: string;
}

/** `status` is absent when there was no answer. The body goes to who asked and into no error or log. */
export interface OutboundAnswer {
  report: CallReport;
  status?: number;
  body?: string;
  /** From Retry-After, at most a day. */
  retryAfterMs?: number;
}

/** The part of a KV namespace that is used. */
export interface ValueStore {
  get(name: string): Promise<string | null>;
  put(name: string, value: string): Promise<void>;
}

export interface Outbound {
  send(request: OutboundRequest): Promise<OutboundAnswer>;
  /** Reads a name from the namespace `KEYS`, under the same limits. */
  readValue(name: string): Promise<CallReport>;
  /** Writes a name in the namespace `KEYS`, under the same limits. */
  writeValue(name: string, value: string): Promise<CallReport>;
  /** Why an address may not be called, or undefined. */
  problemOf(url: string): string | undefined;
}

/** The port over `fetch` and the namespace `KEYS`. */
export function createOutbound(options: {
  allowlist: string | undefined;
  keys: ValueStore;
  now: () => number;
}): Outbound {
  const allowlist = parseAllowlist(options.allowlist);
  const gate = new Gate(MAX_CONNECTIONS);
  const { keys, now } = options;

  async function onKeys(method: string, call: () => Promise<unknown>): Promise<CallReport> {
    const report = (code: string): CallReport => ({ method, host: "KEYS", code, at: now() });
    return gate.run(async () => {
      try {
        await withTimeout(call());
        return report("ok");
      } catch (error) {
        return report(isTimeout(error) ? "timeout" : "network");
      }
    });
  }

  return {
    problemOf: (url) => findUrlProblem(url, allowlist),

    async send(request) {
      const problem = findUrlProblem(request.url, allowlist);
      const host = URL.canParse(request.url) ? new URL(request.url).host : "";
      const report = (code: string, status?: number): CallReport => ({
        method: request.method,
        host,
        code,
        at: now(),
        ...(status !== undefined && { status }),
      });
      if (problem) return { report: report(`refused-url:${problem}`) };
      return gate.run(async () => {
        // Not AbortSignal.timeout: its timer cannot be cleared and would keep the object in memory after the answer.
        const abort = new AbortController();
        const timer = setTimeout(() => abort.abort(timedOut()), CALL_TIMEOUT_MS);
        try {
          const response = await fetch(request.url, {
            method: request.method,
            headers: { "user-agent": USER_AGENT, ...request.headers },
            redirect: "manual",
            signal: abort.signal,
            ...(request.body !== undefined && { body: request.body }),
          });
          const body = await readAtMost(response, MAX_ANSWER_BYTES);
          const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), now());
          return {
            report: report(response.ok ? "ok" : "status", response.status),
            status: response.status,
            body,
            ...(retryAfterMs !== undefined && { retryAfterMs }),
          };
        } catch (error) {
          return { report: report(isTimeout(error) ? "timeout" : "network") };
        } finally {
          clearTimeout(timer);
        }
      });
    },

    readValue: (name) => onKeys("GET", () => keys.get(name)),
    writeValue: (name, value) => onKeys("PUT", () => keys.put(name, value)),
  };
}

/** Reads Retry-After: seconds or an HTTP date (RFC 9110, 10.2.3). */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const wait = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isFinite(wait) && wait > 0 ? Math.min(wait, MAX_RETRY_AFTER_MS) : undefined;
}

async function readAtMost(response: Response, limit: number): Promise<string> {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < limit) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.byteLength;
  }
  if (size >= limit) await reader.cancel();
  return Buffer.concat(chunks).subarray(0, limit).toString("utf8");
}

async function withTimeout<T>(call: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timedOut()), CALL_TIMEOUT_MS);
  });
  try {
    return await Promise.race([call, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function timedOut(): DOMException {
  return new DOMException("timed out", "TimeoutError");
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
}
