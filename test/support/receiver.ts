/** A webhook receiver outside: keeps what it was sent, in order with all other outside calls, and answers as it is told. */
import { HttpResponse, http } from "msw";
import { network } from "./network.ts";

export interface Message {
  /** Header `webhook-id`. */
  id: string;
  /** Header `webhook-timestamp`, seconds. */
  timestamp: number;
  /** When it came, milliseconds since the epoch. */
  at: number;
  headers: Record<string, string>;
  raw: string;
  type: string;
  data: {
    deliveryId?: string;
    keyId?: string;
    keyName?: string;
    version?: number;
    revision?: number;
    fields?: Record<string, string>;
    claim?: string;
    claimUrl?: string;
    acknowledgeToken?: string;
  };
}

type Answerer = (message: Message) => Response | Promise<Response>;

export class Receiver {
  readonly name: string;
  readonly url: string;
  readonly messages: Message[] = [];
  readonly #accepted: Message[] = [];
  #answer: Answerer = accept;

  constructor(name: string, journal: string[], url = `https://hooks.acme.dev/${name}`) {
    this.name = name;
    this.url = url;
    network.use(
      http.post(url, async ({ request }) => {
        const raw = await request.text();
        const headers = Object.fromEntries(request.headers);
        const { type, data } = JSON.parse(raw) as Pick<Message, "type" | "data">;
        const message: Message = {
          id: headers["webhook-id"] ?? "",
          timestamp: Number(headers["webhook-timestamp"]),
          at: Date.now(),
          headers,
          raw,
          type,
          data,
        };
        this.messages.push(message);
        journal.push(`${name}: ${describe(message)}`);
        const response = await this.#answer(message);
        if (response.ok) this.#accepted.push(message);
        return response;
      }),
    );
  }

  /** Versions that it was sent, in order. */
  get versions(): (number | undefined)[] {
    return this.deliveries.map((message) => message.data.version);
  }

  get deliveries(): Message[] {
    return this.messages.filter((message) => message.type !== "ping");
  }

  get pings(): Message[] {
    return this.messages.filter((message) => message.type === "ping");
  }

  /** The value it holds: what came with the highest revision that it accepted. */
  get secret(): string | undefined {
    return this.secretSince(0);
  }

  /** The same, of what it accepted from a time on (milliseconds since the epoch). */
  secretSince(time: number): string | undefined {
    const kept = this.#accepted.filter(({ type, at }) => type !== "ping" && at >= time);
    return kept.toSorted((a, b) => (a.data.revision ?? 0) - (b.data.revision ?? 0)).at(-1)?.data.fields
      ?.secret;
  }

  answer(answerer: Answerer): void {
    this.#answer = answerer;
  }

  up(): void {
    this.#answer = accept;
  }

  /** Answers everything with this status. */
  fail(status: number, headers: Record<string, string> = {}): void {
    this.#answer = () => new HttpResponse(null, { status, headers });
  }

  /** Takes everything, but its answers get lost on the way. */
  loseAnswers(): void {
    this.#answer = (message) => {
      this.#accepted.push(message);
      return Response.error();
    };
  }

  /** Answers pings, refuses every delivery that `refused` picks. */
  refuseDeliveries(status = 503, refused: (message: Message) => boolean = () => true): void {
    this.#answer = (message) =>
      message.type !== "ping" && refused(message) ? new HttpResponse(null, { status }) : accept();
  }

  /** Leaves every call from now on unanswered until the function it returns is called; then it accepts them. */
  hold(held: (message: Message) => boolean = () => true): (status?: number) => void {
    let release: (status: number) => void = () => {};
    const released = new Promise<number>((resolve) => {
      release = resolve;
    });
    this.#answer = async (message) =>
      held(message) ? new HttpResponse(null, { status: await released }) : accept();
    return (status = 204) => {
      this.#answer = accept;
      release(status);
    };
  }
}

function accept(): Response {
  return new HttpResponse(null, { status: 204 });
}

function describe({ type, data }: Message): string {
  return type === "ping" ? "ping" : `${type} v${data.version} r${data.revision}`;
}
