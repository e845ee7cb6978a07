/** The one way out of a keyring. Nothing here throws for what the other side, or the way there, does. */
import type { CallReport } from "../store/work-table.ts";
import type { OutboundRequest, Sent, Transport } from "./transport.ts";
import { findUrlProblem, parseAllowlist } from "./url.ts";

/** `status` is absent when there was no answer. The body goes to who asked and into no error or log. */
export interface OutboundAnswer {
  report: CallReport;
  status?: number;
  body?: string;
  /** From Retry-After, at most a day. */
  retryAfterMs?: number;
}

export interface Outbound {
  send(request: OutboundRequest): Promise<OutboundAnswer>;
  /** Reads a name from the namespace `KEYS`. */
  readValue(name: string): Promise<CallReport>;
  /** Writes a name in the namespace `KEYS`. */
  writeValue(name: string, value: string): Promise<CallReport>;
  /** Why an address may not be called, or undefined. */
  problemOf(url: string): string | undefined;
}

/**
 * The port over a transport.
 * @param options.allowlist see `parseAllowlist`
 * @param options.now milliseconds since the epoch, for reports
 */
export function createOutbound(options: {
  allowlist: string | undefined;
  transport: Transport;
  now: () => number;
}): Outbound {
  const allowlist = parseAllowlist(options.allowlist);
  const { transport, now } = options;
  const report = (method: string, host: string, { code, status }: Sent): CallReport => ({
    method,
    host,
    code,
    at: now(),
    ...(status !== undefined && { status }),
  });
  return {
    problemOf: (url) => findUrlProblem(url, allowlist),

    async send(request) {
      const problem = findUrlProblem(request.url, allowlist);
      const host = URL.canParse(request.url) ? new URL(request.url).host : "";
      if (problem) return { report: report(request.method, host, { code: `refused-url:${problem}` }) };
      const sent = await heard(transport.send(request));
      const { code: _, ...answer } = sent;
      return { report: report(request.method, host, sent), ...answer };
    },

    readValue: async (name) => report("GET", "KEYS", await heard(transport.readValue(name))),
    writeValue: async (name, value) => report("PUT", "KEYS", await heard(transport.writeValue(name, value))),
  };
}

/** An invocation that died on the way tells nothing of whether its call took effect. */
export async function heard(sending: Promise<Sent>): Promise<Sent> {
  try {
    return await sending;
  } catch {
    return { code: "network" };
  }
}
