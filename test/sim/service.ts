/**
 * A scripted service that issues keys: any overlap, any set of abilities, and the truth of what lives there, so that an orphan
 * shows. What goes wrong at a call is the simulator's plan.
 */
import type {
  Credential as Known,
  ListResult,
  MintIntent,
  MintResult,
  Overlap,
  Provider,
  ProviderConnection,
  ProviderContext,
  TestResult,
} from "../../src/providers/provider.ts";
import type { Reply, Simulator } from "./simulator.ts";

export interface Abilities {
  overlap: Overlap;
  find?: boolean;
  list?: boolean;
  repeatsMint?: boolean;
  /** A repeated mint is answered with a conflict instead of the value. */
  conflicts?: boolean;
  test?: boolean;
  maxLive?: number;
  /** What people made takes slots, too. */
  countsPersons?: boolean;
  propagationMs?: number;
  /** Calls need an admin's credential: its account is in the connection's config. */
  connects?: boolean;
  /** It says whose account a connection opens. */
  tellsAccount?: boolean;
  /** New credentials show in lists only after this. */
  listLagMs?: number;
}

interface Credential {
  reference: string;
  /** Where it was made. */
  account: string;
  secret: string;
  marker: string;
  /** For overlap `provider`: when the service ends what it replaced. */
  oldEndsAt?: number;
  acceptedFrom: number;
  listedFrom: number;
  /** When it dies by the service's own clock or died by revocation. */
  endsAt: number;
  revokedByUs: boolean;
}

const TIMEOUT_MS = 15_000;
/** Marks a key that a person made at the same service, with a label of their own. It is never ours to touch. */
export const PERSON = "person";

export class Service {
  readonly credentials: Credential[] = [];
  /** What the service saw done to it that must never happen, in words. */
  readonly broken: string[] = [];
  readonly abilities: Abilities;
  readonly name: string;
  /** What it mints is never accepted. */
  mintsDeadValues = false;
  #simulator: Simulator | undefined;
  /** What opens each account: admins' credentials. */
  readonly admins = new Map<string, Set<string>>();
  /** Whether a value that another service keeps opens it as well. */
  opensToo: (secret: string) => boolean = () => false;
  readonly #byIdempotencyKey = new Map<string, Credential>();
  #count = 0;

  /** @param name of its provider, and in all that it makes */
  constructor(abilities: Abilities, name = "scripted") {
    this.abilities = abilities;
    this.name = name;
  }

  attach(simulator: Simulator): void {
    this.#simulator = simulator;
  }

  /** Makes a credential outside any rotation: what is adopted, or what a person makes by hand. */
  make(marker: string, account = "main"): Credential {
    this.#count += 1;
    const credential: Credential = {
      reference: `ref-${this.#count}`,
      account,
      secret: `${this.name}-secret-${this.#count}`,
      marker,
      acceptedFrom: this.#now,
      listedFrom: this.#now + (this.abilities.listLagMs ?? 0),
      endsAt: Infinity,
      revokedByUs: false,
    };
    this.credentials.push(credential);
    return credential;
  }

  /** Whether it lets a value in: a new one only after a while. */
  accepts(secret: string): boolean {
    return this.credentials.some(
      (credential) =>
        credential.secret === secret && this.#isLive(credential) && this.#now >= credential.acceptedFrom,
    );
  }

  /** References of what lives now and was made for Rekey. */
  live(): string[] {
    return this.credentials
      .filter((credential) => this.#isLive(credential) && credential.marker !== PERSON)
      .map(({ reference }) => reference);
  }

  provider(): Provider {
    const {
      overlap,
      find,
      list,
      repeatsMint = false,
      test = true,
      maxLive,
      propagationMs = 0,
    } = this.abilities;
    const lists = async (
      name: string,
      { connection }: ProviderContext,
      pick: (credential: Credential) => boolean,
    ): Promise<ListResult> =>
      listOf(
        await this.#call(name, connection, () =>
          this.credentials
            .filter((one) => this.#isLive(one) && this.#now >= one.listedFrom && pick(one))
            .filter((one) => one.account === accountOf(connection))
            .map(({ reference }) => reference),
        ),
      );
    return {
      name: this.name,
      title: "Scripted service",
      overlap,
      ...(maxLive !== undefined && { maxLive }),
      local: false,
      timeoutMs: TIMEOUT_MS,
      propagationMs,
      repeatsMint,
      verifiedHere: false,
      connects: this.abilities.connects ?? false,
      opensApi: false,
      adopts: true,
      defaultCooldown: "0",
      preflight: async ({ connection }) => {
        const reply = await this.#call("preflight", connection, () => true);
        const account = this.abilities.tellsAccount ? { account: accountOf(connection) } : {};
        return reply.kind === "answered"
          ? { kind: "green", ...account }
          : { kind: "red", problem: "the service did not answer" };
      },
      mint: async ({ old, connection }, intent) =>
        mintOf(await this.#call("mint", connection, () => this.#mint(old, intent, accountOf(connection)))),
      ...(test && {
        test: async (_, { fields }) =>
          fields
            ? testOf(await this.#call("test", "anybody", () => this.accepts(fields.secret)))
            : { kind: "indeterminate", problem: "its value is not kept" },
      }),
      ...(overlap !== "none" && {
        revoke: async ({ connection }, { reference }) => {
          const reply = await this.#call("revoke", connection, () => this.#revoke(reference));
          return reply.kind === "answered"
            ? { kind: "revoked" }
            : { kind: "failed", problem: problemOf(reply) };
        },
      }),
      ...(find && {
        find: (context, marker) => lists("find", context, (credential) => credential.marker === marker),
      }),
      ...(list && {
        list: (context) => lists("list", context, (credential) => credential.marker !== PERSON),
      }),
    };
  }

  #mint(
    old: Known | undefined,
    { marker, idempotencyKey, graceMs }: MintIntent,
    account: string,
  ): Credential | "conflict" | "dead" | "full" {
    const earlier = this.abilities.repeatsMint ? this.#byIdempotencyKey.get(idempotencyKey) : undefined;
    if (earlier) return this.abilities.conflicts ? "conflict" : earlier;
    const taken = this.credentials.filter(
      (one) => this.#isLive(one) && (this.abilities.countsPersons || one.marker !== PERSON),
    );
    if (taken.length >= (this.abilities.maxLive ?? Infinity)) return "full";
    const replaced = this.credentials.find(({ reference }) => reference === old?.reference);
    if (this.abilities.overlap === "none") {
      if (!replaced || !this.#isLive(replaced)) return "dead";
      replaced.endsAt = this.#now;
    }
    if (this.abilities.overlap === "provider" && replaced) {
      replaced.endsAt = Math.min(replaced.endsAt, this.#now + graceMs);
    }
    const credential = this.make(marker, account);
    if (this.abilities.overlap === "provider" && replaced) credential.oldEndsAt = replaced.endsAt;
    if (this.mintsDeadValues) credential.acceptedFrom = Infinity;
    else credential.acceptedFrom = this.#now + (this.abilities.propagationMs ?? 0) / 2;
    this.#byIdempotencyKey.set(idempotencyKey, credential);
    return credential;
  }

  #revoke(reference: string): true {
    const credential = this.credentials.find((one) => one.reference === reference);
    if (!credential) return true;
    if (credential.marker === PERSON)
      this.broken.push(`promise 4: ${reference}, made by a person, was revoked`);
    if (this.#isLive(credential)) credential.revokedByUs = true;
    credential.endsAt = Math.min(credential.endsAt, this.#now);
    return true;
  }

  #isLive(credential: Credential): boolean {
    return this.#now < credential.endsAt;
  }

  get #now(): number {
    return this.#simulator?.now ?? 0;
  }

  /** One call. Without a credential that opens the account it has no effect and is answered 401. */
  async #call<T>(
    name: string,
    connection: ProviderConnection | "anybody" | undefined,
    effect: () => T,
  ): Promise<Reply<T>> {
    if (!this.#simulator) throw new Error("the service is attached to no simulator");
    const isOpen = () =>
      !this.abilities.connects ||
      connection === "anybody" ||
      this.admins.get(accountOf(connection))?.has(connection?.credential.secret ?? "") ||
      this.opensToo(connection?.credential.secret ?? "");
    const reply = await this.#simulator.outside(name, () => (isOpen() ? { value: effect() } : undefined));
    if (reply.kind !== "answered" && reply.kind !== "garbage") return reply;
    return reply.value ? { ...reply, value: reply.value.value } : { kind: "status", status: 401 };
  }
}

function accountOf(connection: ProviderConnection | undefined): string {
  return String(connection?.config.account ?? "main");
}

function mintOf(reply: Reply<Credential | "conflict" | "dead" | "full">): MintResult {
  if (reply.kind === "answered") {
    if (reply.value === "conflict") return { kind: "conflict", problem: "this request was made before" };
    if (reply.value === "full") return { kind: "refused", problem: "no slot is free" };
    if (reply.value === "dead") return { kind: "refused", problem: "the key that asks is dead" };
    const { reference, secret, oldEndsAt } = reply.value;
    return { kind: "minted", reference, fields: { secret }, ...(oldEndsAt !== undefined && { oldEndsAt }) };
  }
  if (reply.kind === "status" && reply.status === 429) {
    const { retryAfterMs } = reply;
    return { kind: "postponed", problem: "429", ...(retryAfterMs !== undefined && { retryAfterMs }) };
  }
  if (reply.kind === "status" && (reply.status === 403 || reply.status === 401)) {
    return { kind: "refused", problem: `answered ${reply.status}` };
  }
  return { kind: "in-doubt", problem: problemOf(reply) };
}

/** Only 401 is a refusal of the value itself; this service answers that as `false`. */
function testOf(reply: Reply<boolean>): TestResult {
  if (reply.kind !== "answered") return { kind: "indeterminate", problem: problemOf(reply) };
  return reply.value ? { kind: "valid" } : { kind: "rejected", problem: "401" };
}

function listOf(reply: Reply<string[]>): ListResult {
  return reply.kind === "answered"
    ? { kind: "listed", references: reply.value }
    : { kind: "failed", problem: problemOf(reply) };
}

function problemOf(reply: Reply<unknown>): string {
  switch (reply.kind) {
    case "status":
      return `answered ${reply.status}`;
    case "no-answer":
      return `no answer (${reply.code})`;
    default:
      return "an answer that cannot be read";
  }
}
