/**
 * The outside of a simulation: receivers and a KV namespace that keep the truth of what they were sent and what they hold, and say
 * when something comes to them that must not.
 */
import type { Outbound, OutboundAnswer } from "../../src/outbound/port.ts";
import type { OutboundRequest } from "../../src/outbound/transport.ts";
import { BODY_CANARY, canaryIn } from "./canaries.ts";
import type { Reply, Simulator } from "./simulator.ts";

interface Held {
  value: string;
  revision: number;
}

interface ReadyMessage {
  type: string;
  data: { deliveryId?: string; keyName: string; version: number; revision: number; fields?: Values };
}

/** How something answered when it was asked whether it is ready. */
export interface Answer {
  isGreen: boolean;
  /** Calls made before it was asked. */
  after: number;
  /** The same of the last answer that was green. */
  greenAfter: number;
}

/** The answer that follows an earlier one. */
export function answered(before: Answer | undefined, isGreen: boolean, after: number): Answer {
  return { isGreen, after, greenAfter: isGreen ? after : (before?.greenAfter ?? -1) };
}

type Values = { secret: string };

/** Hosts whose messages carry no value: their destination says `secretMode: "none"`. */
const TOLD_NOTHING = /^told-nothing\./;

export class World {
  /** What each webhook receiver holds, by its host and the key's name. It orders by revision, as the docs tell it to. */
  readonly received = new Map<string, Held>();
  /** What KV holds, by name: the last write wins. */
  readonly stored = new Map<string, string>();
  /** Hosts that answer 500 to everything, and KV under the name `KEYS`. */
  readonly down = new Set<string>();
  /** Hosts that answer pings but refuse deliveries. */
  readonly refusing = new Set<string>();
  /** What arrived: values by the id of the message that brought them, and by the name in KV. */
  readonly arrived = new Map<string, Set<string>>();
  /** How each host, and KV, answered its last probe, and how many calls had been made before that. */
  readonly probes = new Map<string, Answer>();
  /** What came that must never come, in words. */
  readonly broken: string[] = [];
  /** What each message said when it was first sent, by its id. */
  readonly #said = new Map<string, string>();
  /** The newest revision sent to each place so far. */
  readonly #newest = new Map<string, number>();

  outbound = (simulator: Simulator): Outbound => ({
    problemOf: () => undefined,
    send: async (request) => {
      const host = new URL(request.url).host;
      const message = JSON.parse(request.body ?? "{}") as ReadyMessage;
      const isPing = message.type === "ping";
      const id = request.headers["webhook-id"] ?? "";
      this.#judgeSecrets(host, request, message);
      this.#judgeOrder(host, id, message, isPing);
      const after = simulator.asked;
      const reply = await simulator.outside(`${host} ${message.type}`, () => {
        if (this.down.has(host) || (this.refusing.has(host) && !isPing)) return 500;
        if (!isPing) this.#receive(host, id, message);
        return 200;
      });
      if (isPing) this.#noteProbe(host, reply, after);
      return answerOf(reply, request.method, host, simulator.now);
    },
    readValue: async (name) => {
      this.#mustHoldNone("a name in KV", name);
      const after = simulator.asked;
      const reply = await simulator.outside("KEYS GET", () => (this.down.has("KEYS") ? 500 : 200));
      this.#noteProbe("KEYS", reply, after);
      return bindingReport(reply, "GET", simulator.now);
    },
    writeValue: async (name, value) => {
      this.#mustHoldNone("a name in KV", name);
      const reply = await simulator.outside("KEYS PUT", () => {
        if (this.down.has("KEYS")) return 500;
        this.stored.set(name, value);
        this.#noteArrived(name, value);
        return 200;
      });
      return bindingReport(reply, "PUT", simulator.now);
    },
  });

  #receive(host: string, id: string, { data }: ReadyMessage): void {
    this.#noteArrived(id, data.fields?.secret ?? "");
    const place = `${host}/${data.keyName}`;
    const before = this.received.get(place);
    if (before && before.revision > data.revision) return;
    if (data.fields) this.received.set(place, { value: data.fields.secret, revision: data.revision });
  }

  #noteArrived(name: string, value: string): void {
    const values = this.arrived.get(name) ?? new Set();
    this.arrived.set(name, values.add(value));
  }

  #noteProbe(place: string, reply: Reply<number>, after: number): void {
    // A body that cannot be read matters to nobody: the status says that somebody is there.
    const isGreen = (reply.kind === "answered" || reply.kind === "garbage") && reply.value === 200;
    this.probes.set(place, answered(this.probes.get(place), isGreen, after));
  }

  /** Promise 9: a value is in the body of a message that may carry it, in its place there, and nowhere else. */
  #judgeSecrets(host: string, { url, headers }: OutboundRequest, { type, data }: ReadyMessage): void {
    this.#mustHoldNone("an address", url);
    this.#mustHoldNone("a header", JSON.stringify(headers));
    const mayCarry = type === "key.version.ready" && !TOLD_NOTHING.test(host);
    this.#mustHoldNone("a message", JSON.stringify(mayCarry ? { ...data, fields: undefined } : data));
  }

  #mustHoldNone(where: string, text: string): void {
    const canary = canaryIn(text);
    if (canary) this.broken.push(`${canary} is in ${where}`);
  }

  /** Promise 6: an id means one send and no other, whatever the attempt, and what is sent later has a higher revision. */
  #judgeOrder(host: string, id: string, { type, data }: ReadyMessage, isPing: boolean): void {
    const says = JSON.stringify([host, type, data]);
    const before = this.#said.get(id);
    this.#said.set(id, says);
    if (before !== undefined && (isPing || before !== says))
      this.broken.push(`promise 6: ${id} means two messages`);
    if (isPing) return;
    if (id !== data.deliveryId) this.broken.push(`promise 6: ${id} is sent as ${data.deliveryId}`);
    const place = `${host}/${data.keyName}`;
    const newest = this.#newest.get(place) ?? 0;
    if (before === undefined && data.revision <= newest)
      this.broken.push(`promise 6: ${id} is new and its revision ${data.revision} is not`);
    this.#newest.set(place, Math.max(newest, data.revision));
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

/** What Rekey hears of a reply. */
export function answerOf(reply: Reply<number>, method: string, host: string, at: number): OutboundAnswer {
  const report = (code: string, status?: number) => ({
    method,
    host,
    code,
    at,
    ...(status !== undefined && { status }),
  });
  const body = BODY_CANARY;
  switch (reply.kind) {
    case "answered":
      return {
        report: report(reply.value === 200 ? "ok" : "status", reply.value),
        status: reply.value,
        body,
      };
    case "garbage": {
      const status = reply.value === 200 ? 299 : reply.value;
      return { report: report("status", status), status, body };
    }
    case "status":
      return {
        report: report("status", reply.status),
        status: reply.status,
        body,
        ...(reply.retryAfterMs !== undefined && { retryAfterMs: reply.retryAfterMs }),
      };
    case "no-answer":
      return { report: report(reply.code) };
  }
}
