/** The outside of a simulation: receivers and a KV namespace that keep the truth of what they hold. */
import type { Outbound, OutboundAnswer } from "../../src/outbound/port.ts";
import type { Reply, Simulator } from "./simulator.ts";

interface Held {
  value: string;
  revision: number;
}

interface ReadyMessage {
  type: string;
  data: { keyName: string; revision: number; fields?: { secret: string } };
}

export class World {
  /** What each webhook receiver holds, by its host and the key's name. It orders by revision, as the docs tell it to. */
  readonly received = new Map<string, Held>();
  /** What KV holds, by name: the last write wins. */
  readonly stored = new Map<string, string>();
  /** Hosts that answer 500 to everything, and KV under the name `KEYS`. */
  readonly down = new Set<string>();
  /** Hosts that answer pings but refuse deliveries. */
  readonly refusing = new Set<string>();

  outbound = (simulator: Simulator): Outbound => ({
    problemOf: () => undefined,
    send: async (request) => {
      const host = new URL(request.url).host;
      const message = JSON.parse(request.body ?? "{}") as ReadyMessage;
      const isPing = message.type === "ping";
      const reply = await simulator.outside(`${host} ${message.type}`, () => {
        if (this.down.has(host) || (this.refusing.has(host) && !isPing)) return 500;
        if (!isPing) this.#receive(host, message);
        return 200;
      });
      return answerOf(reply, request.method, host, simulator.now);
    },
    readValue: async () => {
      const reply = await simulator.outside("KEYS GET", () => (this.down.has("KEYS") ? 500 : 200));
      return bindingReport(reply, "GET", simulator.now);
    },
    writeValue: async (name, value) => {
      const reply = await simulator.outside("KEYS PUT", () => {
        if (this.down.has("KEYS")) return 500;
        this.stored.set(name, value);
        return 200;
      });
      return bindingReport(reply, "PUT", simulator.now);
    },
  });

  #receive(host: string, { data }: ReadyMessage): void {
    const place = `${host}/${data.keyName}`;
    const before = this.received.get(place);
    if (before && before.revision > data.revision) return;
    if (data.fields) this.received.set(place, { value: data.fields.secret, revision: data.revision });
  }
}

/** A binding has no status: it answers or it throws. */
function bindingReport(reply: Reply<number>, method: string, at: number) {
  const { report, status } = answerOf(reply, method, "KEYS", at);
  return {
    ...report,
    code: status === 200 || status === 299 ? "ok" : report.code === "status" ? "network" : report.code,
  };
}

function answerOf(reply: Reply<number>, method: string, host: string, at: number): OutboundAnswer {
  const report = (code: string, status?: number) => ({
    method,
    host,
    code,
    at,
    ...(status !== undefined && { status }),
  });
  switch (reply.kind) {
    case "answered":
      return { report: report(reply.value === 200 ? "ok" : "status", reply.value), status: reply.value };
    case "garbage": {
      const status = reply.value === 200 ? 299 : reply.value;
      return { report: report("status", status), status, body: "<html>" };
    }
    case "status":
      return {
        report: report("status", reply.status),
        status: reply.status,
        ...(reply.retryAfterMs !== undefined && { retryAfterMs: reply.retryAfterMs }),
      };
    case "no-answer":
      return { report: report(reply.code) };
  }
}
