/**
 * What every fake service has: a journal, a list of what lives there, and faults that can be set for each call. Written from the
 * service's contract and not from its connector. It speaks `Request` and `Response`, so that a test and a real server serve the same one.
 */

export const LAB_FAULTS = [
  "latency",
  "rate-limited",
  "error-before",
  "error-after",
  "cut-before",
  "cut-after",
  "garbage",
  "slow-body",
  "expired",
] as const;

export type LabFault = (typeof LAB_FAULTS)[number];

/** One credential, as the service knows it. */
export interface FakeCredential {
  secret: string;
  /** How the service names it; for one that has no name, what it has instead. */
  reference: string;
  label: string;
  /** Milliseconds since the epoch. */
  madeAt: number;
  acceptedFrom: number;
  /** `Infinity` while nobody ended it. */
  endsAt: number;
  /** Made by a person, not by the connector. */
  byPerson: boolean;
}

/** A call that the service knows: what it is for, and what it does and answers. */
export interface Route {
  name: string;
  effect(): Response | Promise<Response>;
}

/** A request with its body read. */
export interface Incoming {
  method: string;
  /** Below the service's own address, with a slash at its beginning. */
  path: string;
  query: URLSearchParams;
  headers: Headers;
  text: string;
}

/** A request as it comes, from whichever server. */
export type Asked = Pick<Request, "url" | "method" | "headers"> & { arrayBuffer(): Promise<ArrayBuffer> };

/** A request's body. Not by `text()`: workerd warns of forms, which it takes for something else than text. */
export async function textOf(request: Pick<Asked, "arrayBuffer">): Promise<string> {
  return new TextDecoder().decode(await request.arrayBuffer());
}

const RETRY_AFTER_SECONDS = 7;
/** How late a slow service is unless it is told. */
const SLOW_MS = 30;

export abstract class FakeService {
  /** Calls as they came, with what they were for and what was answered: `mint POST /api-key/rotate 200`. */
  readonly journal: string[] = [];
  /** What was done to the service that must never happen, in words. */
  readonly broken: string[] = [];
  readonly credentials: FakeCredential[] = [];
  readonly #faults: { call: string; fault: LabFault; times: number; skip: number; ms: number }[] = [];
  #count = 0;

  /** Its name, as the provider's. */
  abstract readonly name: string;
  /** Where it is when nobody says otherwise, without a slash at its end. */
  abstract readonly origin: string;
  /** Where else it is, for a service that has several addresses. */
  readonly others: readonly string[] = [];
  /** Finds what a request is for. */
  protected abstract route(request: Incoming): Route | undefined;
  /** What it answers to who shows a credential that opens nothing. */
  protected abstract unauthorized(): Response;

  /**
   * Has the next calls go wrong, after `skip` of them went well.
   * @param ms how late a slow answer is, or the rest of it
   */
  fail(call: string, fault: LabFault, times = 1, skip = 0, ms = SLOW_MS): void {
    this.#faults.push({ call, fault, times, skip, ms });
  }

  /** Answers one request, below `base`: the address under which it is reached here. */
  async answer(request: Asked, base = this.#addressOf(request)): Promise<Response> {
    const url = new URL(request.url);
    const path = url.href.slice(base.length).replace(/[?#].*$/, "");
    const text = await textOf(request);
    const { method, headers } = request;
    const route = this.route({ method, path, query: url.searchParams, headers, text });
    const name = route?.name ?? "unknown";
    const response = route ? await this.#with(name, route) : new Response(null, { status: 404 });
    const said = response.type === "error" ? "cut" : response.status;
    this.journal.push(`${name} ${method} ${path} ${said}`);
    return response;
  }

  #addressOf({ url }: Asked): string {
    return this.others.find((address) => url.startsWith(address)) ?? this.origin;
  }

  async #with(name: string, { effect }: Route): Promise<Response> {
    const set = this.#faults.find(({ call, times }) => (call === name || call === "*") && times > 0);
    const isSpared = set !== undefined && set.skip > 0;
    if (set) set[isSpared ? "skip" : "times"] -= 1;
    switch (isSpared ? undefined : set?.fault) {
      case undefined:
        return effect();
      case "latency":
        await wait(set?.ms ?? SLOW_MS);
        return effect();
      case "rate-limited":
        return this.rateLimited(RETRY_AFTER_SECONDS);
      case "error-before":
        return new Response("upstream connect error", { status: 503 });
      case "error-after":
        await effect();
        return new Response("<html>Bad gateway</html>", { status: 502 });
      case "cut-before":
        return Response.error();
      case "cut-after":
        await effect();
        return Response.error();
      case "garbage":
        await effect();
        return new Response("<html>Welcome</html>", {
          status: 200,
          headers: { "content-type": "text/html" },
        });
      case "slow-body":
        return slowly(await effect(), set?.ms ?? SLOW_MS);
      case "expired":
        return this.unauthorized();
    }
  }

  /** What it answers to who asks too often. */
  protected rateLimited(seconds: number): Response {
    return new Response(null, { status: 429, headers: { "retry-after": String(seconds) } });
  }

  /** Makes a credential. */
  make(label: string, { byPerson = false, propagationMs = 0 } = {}): FakeCredential {
    this.#count += 1;
    const now = Date.now();
    const made: FakeCredential = {
      secret: this.newSecret(this.#count),
      reference: this.newReference(this.#count),
      label,
      madeAt: now,
      acceptedFrom: now + propagationMs,
      endsAt: Infinity,
      byPerson,
    };
    this.credentials.push(made);
    return made;
  }

  /** The form of its values: an obvious fake that ends in characters of its own. */
  protected newSecret(count: number): string {
    return `${this.name}-fake-value-${unique(count)}`;
  }

  protected newReference(count: number): string {
    return `${this.name}-${count}`;
  }

  isLive({ endsAt }: FakeCredential): boolean {
    return Date.now() < endsAt;
  }

  /** Whose a value is that opens something now. */
  holderOf(secret: string | null | undefined): FakeCredential | undefined {
    return this.credentials.find(
      (one) => one.secret === secret && this.isLive(one) && Date.now() >= one.acceptedFrom,
    );
  }

  byReference(reference: string): FakeCredential | undefined {
    return this.credentials.find((one) => one.reference === reference);
  }

  /** Ends a credential, now or at a time, unless it ends earlier. */
  end(one: FakeCredential, at = Date.now()): void {
    if (one.byPerson) this.broken.push(`${one.reference}, made by a person, was ended`);
    one.endsAt = Math.min(one.endsAt, at);
  }

  /** What lives there now and is not a person's. */
  live(): FakeCredential[] {
    return this.credentials.filter((one) => this.isLive(one) && !one.byPerson);
  }
}

function unique(count: number): string {
  return `${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}${count.toString(36).padStart(4, "0")}`;
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The same answer, its body in two parts. */
async function slowly(response: Response, ms: number): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const half = Math.ceil(bytes.length / 2);
  const write = async () => {
    await writer.write(bytes.slice(0, half));
    await wait(ms);
    await writer.write(bytes.slice(half));
    await writer.close();
  };
  // Who does not wait for the rest has cut it off.
  write().catch(() => undefined);
  const { status, headers } = response;
  return bytes.length === 0 ? response : new Response(readable, { status, headers });
}

/** A JSON body, or undefined. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
