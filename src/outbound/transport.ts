/** How a call is really made: with a time-out, never redirected, a bounded answer. Knows nothing of keyrings. */

export const CALL_TIMEOUT_MS = 15_000;
/** The longest that any call may run: where a lost answer costs a key, it is waited for longer. */
const MAX_TIMEOUT_MS = 60_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
const USER_AGENT = "Rekey/0.1";

export interface OutboundRequest {
  method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  url: string;
  headers: Record<string, string>;
  body?: string;
  /** Default 15 s, at most `MAX_TIMEOUT_MS`. */
  timeoutMs?: number;
}

/** How a call ended. `status` is absent when there was no answer; then `code` says `timeout` or `network`. */
export interface Sent {
  code: string;
  status?: number;
  body?: string;
  /** From Retry-After, at most a day. Milliseconds. */
  retryAfterMs?: number;
}

/** The part of a KV namespace that is used. */
export interface ValueStore {
  get(name: string): Promise<string | null>;
  put(name: string, value: string): Promise<void>;
}

/** Makes calls one by one; every end is a value. */
export interface Transport {
  send(request: OutboundRequest): Promise<Sent>;
  /** Reads a name from the namespace `KEYS`. */
  readValue(name: string): Promise<Sent>;
  /** Writes a name in the namespace `KEYS`. */
  writeValue(name: string, value: string): Promise<Sent>;
}

/** The transport over `fetch` and a KV namespace, in the invocation that uses it. */
export function createTransport(keys: ValueStore): Transport {
  return {
    send,
    readValue: (name) => bounded(() => keys.get(name)),
    writeValue: (name, value) => bounded(() => keys.put(name, value)),
  };
}

async function send(request: OutboundRequest): Promise<Sent> {
  // Not AbortSignal.timeout: its timer cannot be cleared and would keep the invocation alive after the answer.
  const abort = new AbortController();
  const timeoutMs = Math.min(request.timeoutMs ?? CALL_TIMEOUT_MS, MAX_TIMEOUT_MS);
  const timer = setTimeout(() => abort.abort(timedOut()), timeoutMs);
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: { "user-agent": USER_AGENT, ...request.headers },
      redirect: "manual",
      signal: abort.signal,
      ...(request.body !== undefined && { body: request.body }),
    });
    const body = await readAtMost(response, MAX_ANSWER_BYTES);
    const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), Date.now());
    return {
      code: response.ok ? "ok" : "status",
      status: response.status,
      body,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  } catch (error) {
    return { code: isTimeout(error) ? "timeout" : "network" };
  } finally {
    clearTimeout(timer);
  }
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

/** A call to a binding, which has no time-out of its own. */
export async function bounded(call: () => Promise<unknown>): Promise<Sent> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(timedOut()), CALL_TIMEOUT_MS);
  });
  try {
    await Promise.race([call(), timeout]);
    return { code: "ok" };
  } catch (error) {
    return { code: isTimeout(error) ? "timeout" : "network" };
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
