/**
 * A scripted service that issues keys, over HTTP, and keeps the truth of what lives there, so that an orphan shows. What goes wrong
 * at a call is decided by its plan. It needs a clock and nothing else, so it runs in a process, in an isolate, anywhere.
 */
import type { Abilities } from "./kinds.ts";
import { CONFLICT, mintRequestSchema } from "./wire.ts";

/** Each value begins with this, so that one which got somewhere it must not be is found. */
export const CANARY = "canary-of-the-lab";

export type CallName = "preflight" | "mint" | "test" | "revoke" | "find" | "list";

/** What goes wrong at one call. */
export type Fault =
  /** It takes its time, half of it before the effect. */
  | { kind: "delay"; ms: number }
  /** Nothing happens and this is answered. */
  | { kind: "status"; status: number; retryAfterSeconds?: number }
  /** The connection breaks, before or after the effect. */
  | { kind: "lost-before" }
  | { kind: "lost-after" }
  /** The connection breaks, and what was on its way arrives later. */
  | { kind: "lost-lands-late"; ms: number }
  /** It takes effect, and its answer cannot be read. */
  | { kind: "garbage" }
  /** What is made is accepted, or listed, only after this, whatever the manual says. */
  | { kind: "accepts-late"; ms: number }
  | { kind: "lists-late"; ms: number }
  /** There is no room for one more, whatever is really there. */
  | { kind: "no-slot" }
  /** Nothing is answered any more, until `revive`. */
  | { kind: "dies" };

/** Decides the fault of the n-th call, which is about a credential, a label or a marker. */
export type Plan = (index: number, call: CallName, about: string) => Fault | undefined;

/** The part of a request that is read. */
export interface Asked {
  method: string;
  url: string;
  headers: Pick<Headers, "get">;
  json(): Promise<unknown>;
}

export interface Credential {
  reference: string;
  secret: string;
  label: string;
  marker: string;
  madeAt: number;
  acceptedFrom: number;
  listedFrom: number;
  /** When it dies or died; null for never. */
  endsAt: number | null;
  endedBy: "revocation" | "replacement" | "clock" | null;
  /** A person made it by hand: it is nobody else's to touch. */
  byPerson: boolean;
}

/** The truth, as a test sees it. */
export interface Inspection {
  credentials: (Credential & { live: boolean })[];
  /** The calls that came, oldest first. */
  calls: { at: number; call: CallName; about: string }[];
  /** Every address that was asked for. */
  urls: string[];
  /** What was done to the service that must never happen, in words. */
  broken: string[];
}

export interface ServiceOptions {
  plan?: Plan;
  /** Milliseconds since the epoch. */
  now?: () => number;
  wait?: (ms: number) => Promise<void>;
  /** Hears of each call, as `mint k1`, before anything happens. */
  onCall?: (text: string) => void;
}

interface Call {
  name: CallName;
  about: string;
  /** Takes effect, at a time, and says what to answer. */
  effect: (now: number) => Response;
}

interface Hold {
  when: "before" | "after";
  released: Promise<void>;
}

export class Service {
  readonly name: string;
  readonly abilities: Abilities;
  readonly credentials: Credential[] = [];
  readonly broken: string[] = [];
  readonly urls: string[] = [];
  readonly calls: Inspection["calls"] = [];
  plan: Plan | undefined;
  readonly #now: () => number;
  readonly #wait: (ms: number) => Promise<void>;
  readonly #onCall: (text: string) => void;
  readonly #next = new Map<CallName, Fault[]>();
  readonly #held = new Map<CallName, Hold>();
  readonly #byIdempotencyKey = new Map<string, Credential>();
  #landing: { at: number; effect: (now: number) => Response }[] = [];
  #dead = false;
  #count = 0;

  constructor(name: string, abilities: Abilities, options: ServiceOptions = {}) {
    this.name = name;
    this.abilities = abilities;
    this.plan = options.plan;
    this.#now = options.now ?? (() => Date.now());
    this.#wait = options.wait ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    this.#onCall = options.onCall ?? (() => undefined);
  }

  /** The next calls of a name meet these, one each, before the plan is asked. */
  fail(call: CallName, ...faults: Fault[]): void {
    this.#next.set(call, [...(this.#next.get(call) ?? []), ...faults]);
  }

  /** Leaves calls of a name unanswered, before or after their effect, until the function it returns is called. */
  hold(name: CallName, when: Hold["when"]): () => void {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held.set(name, { when, released });
    return () => {
      this.#held.delete(name);
      release();
    };
  }

  /** Nothing goes wrong any more. */
  revive(): void {
    this.#dead = false;
    this.plan = undefined;
    this.#next.clear();
  }

  /** Makes a credential by hand: what is adopted later or, `byPerson`, what somebody else keeps here. */
  make(label: string, byPerson = false): Credential {
    return this.#create(label, "by hand", byPerson, this.#now());
  }

  /** Whether it lets a value in now. */
  accepts(secret: string): boolean {
    return this.#find(secret) !== undefined;
  }

  /** References of what lives now and is Rekey's, by label. */
  live(label?: string): string[] {
    this.#land();
    return this.credentials
      .filter((one) => this.#isLive(one) && !one.byPerson && (label === undefined || one.label === label))
      .map(({ reference }) => reference);
  }

  inspect(): Inspection {
    this.#land();
    const { calls, urls, broken } = this;
    const credentials = this.credentials.map((one) => ({ ...one, live: this.#isLive(one) }));
    return { credentials, calls, urls, broken };
  }

  /** Serves one request. A connection that breaks is `Response.error()`. */
  async handle(request: Asked): Promise<Response> {
    const url = new URL(request.url);
    this.urls.push(request.url);
    this.#land();
    const call = await this.#read(request, url);
    if (!call) return problem(404, "unknown-route");
    const index = this.calls.length;
    this.calls.push({ at: this.#now(), call: call.name, about: call.about });
    this.#onCall(`${call.name} ${call.about}`);
    const fault = this.#next.get(call.name)?.shift() ?? this.plan?.(index, call.name, call.about);
    const held = this.#held.get(call.name);
    if (held?.when === "before") await held.released;
    const answer = await this.#meet(call, fault);
    if (held?.when === "after") await held.released;
    return answer;
  }

  async #meet({ name, effect }: Call, fault: Fault | undefined): Promise<Response> {
    if (this.#dead) return Response.error();
    switch (fault?.kind) {
      case undefined:
        return effect(this.#now());
      case "delay": {
        await this.#wait(fault.ms / 2);
        const answer = effect(this.#now());
        await this.#wait(fault.ms / 2);
        return answer;
      }
      case "status": {
        const { status, retryAfterSeconds: wait } = fault;
        return problem(status, "scripted", wait === undefined ? {} : { "retry-after": String(wait) });
      }
      case "lost-before":
        return Response.error();
      case "lost-after":
        effect(this.#now());
        return Response.error();
      case "lost-lands-late":
        this.#landing.push({ at: this.#now() + fault.ms, effect });
        return Response.error();
      case "garbage":
        effect(this.#now());
        return new Response("<html>", { status: 200 });
      case "accepts-late":
      case "lists-late": {
        const known = this.credentials.length;
        const answer = effect(this.#now());
        for (const made of this.credentials.slice(known)) {
          if (fault.kind === "accepts-late") made.acceptedFrom = made.madeAt + fault.ms;
          else made.listedFrom = made.madeAt + fault.ms;
        }
        return answer;
      }
      case "no-slot":
        if (name === "preflight") return Response.json({ free: 0 });
        return name === "mint" ? noSlot() : effect(this.#now());
      case "dies":
        this.#dead = true;
        return Response.error();
    }
  }

  /** What a request asks for, and about which credential or label. */
  async #read(request: Asked, url: URL): Promise<Call | undefined> {
    const path = url.pathname.split("/").slice(2);
    const label = url.searchParams.get("label") ?? "";
    switch (`${request.method} ${path[0]}`) {
      case "GET account":
        return { name: "preflight", about: label, effect: () => Response.json({ free: this.#free(label) }) };
      case "POST credentials": {
        const asked = mintRequestSchema.parse(await request.json());
        const key = request.headers.get("idempotency-key") ?? "";
        return { name: "mint", about: asked.label, effect: (now) => this.#mint(asked, key, now) };
      }
      case "GET credentials": {
        const marker = url.searchParams.get("marker");
        if (marker === null) {
          return {
            name: "list",
            about: label,
            effect: (now) => this.#list((one) => one.label === label, now),
          };
        }
        const effect = (now: number) => this.#list((one) => one.marker === marker, now);
        return { name: "find", about: marker.replace(/rot_\w+/, "rotation"), effect };
      }
      case "GET whoami": {
        const secret = (request.headers.get("authorization") ?? "").replace(/^Bearer /, "");
        const about = this.credentials.find((one) => one.secret === secret)?.reference ?? "a stranger";
        const effect = () => {
          const found = this.#find(secret);
          return found ? Response.json({ reference: found.reference }) : problem(401, "unknown-credential");
        };
        return { name: "test", about, effect };
      }
      case "DELETE credentials": {
        const reference = decodeURIComponent(path[1] ?? "");
        return { name: "revoke", about: reference, effect: (now) => this.#revoke(reference, now) };
      }
      default:
        return undefined;
    }
  }

  #mint(asked: ReturnType<typeof mintRequestSchema.parse>, key: string, now: number): Response {
    const { overlap, repeatsMint, conflicts } = this.abilities;
    const earlier = repeatsMint ? this.#byIdempotencyKey.get(key) : undefined;
    if (earlier) return conflicts ? problem(409, CONFLICT) : this.#minted(earlier, asked.replaces);
    const replaced = this.credentials.find(({ reference }) => reference === asked.replaces);
    // Whoever asks must show a key that lives, where the new one takes the old one's place at once.
    if (overlap === "none" && replaced && !this.#isLive(replaced)) return problem(403, "dead-key");
    if (this.#free(asked.label) === 0) return noSlot();
    if (overlap === "none" && replaced) this.#end(replaced, now, "replacement");
    if (overlap === "provider" && replaced) this.#end(replaced, now + asked.keepOldMs, "clock");
    const made = this.#create(asked.label, asked.marker, false, now);
    this.#byIdempotencyKey.set(key, made);
    return this.#minted(made, asked.replaces);
  }

  #minted({ reference, secret }: Credential, replaces: string | undefined): Response {
    const old = this.credentials.find((one) => one.reference === replaces);
    const tells = this.abilities.overlap === "provider" && old?.endsAt != null;
    return Response.json({ reference, secret, ...(tells && { oldEndsAt: old.endsAt }) }, { status: 201 });
  }

  #revoke(reference: string, now: number): Response {
    const found = this.credentials.find((one) => one.reference === reference);
    if (!found) return problem(404, "unknown-credential");
    if (found.byPerson) this.broken.push(`${reference}, made by a person, was revoked`);
    if (found.endsAt !== null && found.endsAt <= now) return problem(404, "unknown-credential");
    this.#end(found, now, "revocation");
    return new Response(null, { status: 204 });
  }

  /** Ends a credential at a time, unless it ends earlier. */
  #end(one: Credential, at: number, by: Credential["endedBy"]): void {
    if (one.endsAt !== null && one.endsAt <= at) return;
    one.endsAt = at;
    one.endedBy = by;
  }

  #create(label: string, marker: string, byPerson: boolean, now: number): Credential {
    this.#count += 1;
    const { propagationMs = 0, acceptLagMs = propagationMs / 2, listLagMs = 0 } = this.abilities;
    const byHand = marker === "by hand";
    const made: Credential = {
      reference: `ref-${this.#count}`,
      secret: `${CANARY}-${label}-${hex(8)}-${this.#count.toString(36).padStart(4, "0")}`,
      label,
      marker,
      madeAt: now,
      acceptedFrom: byHand ? now : now + acceptLagMs,
      listedFrom: byHand ? now : now + listLagMs,
      endsAt: null,
      endedBy: null,
      byPerson,
    };
    this.credentials.push(made);
    return made;
  }

  #list(pick: (one: Credential) => boolean, now: number): Response {
    const listed = this.credentials.filter((one) => this.#isLive(one) && now >= one.listedFrom && pick(one));
    return Response.json({ references: listed.map(({ reference }) => reference) });
  }

  #find(secret: string): Credential | undefined {
    this.#land();
    const now = this.#now();
    const { forgetLagMs = 0 } = this.abilities;
    return this.credentials.find((one) => {
      const forgottenAt = (one.endsAt ?? Infinity) + (one.endedBy === "revocation" ? forgetLagMs : 0);
      return one.secret === secret && now >= one.acceptedFrom && now < forgottenAt;
    });
  }

  #free(label: string): number | null {
    const { maxLive } = this.abilities;
    if (maxLive === undefined) return null;
    const live = this.credentials.filter((one) => one.label === label && this.#isLive(one));
    return Math.max(0, maxLive - live.length);
  }

  #isLive({ endsAt }: Credential): boolean {
    return endsAt === null || this.#now() < endsAt;
  }

  /** What was on its way and has arrived by now took effect when it arrived. */
  #land(): void {
    const now = this.#now();
    const arrived = this.#landing.filter(({ at }) => at <= now).toSorted((a, b) => a.at - b.at);
    this.#landing = this.#landing.filter(({ at }) => at > now);
    for (const { at, effect } of arrived) effect(at);
  }
}

function noSlot(): Response {
  return problem(403, "no-free-slot");
}

function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  return Response.json({ code }, { status, headers });
}

function hex(length: number): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, length);
}
