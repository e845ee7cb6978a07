/**
 * A scripted service that issues keys: any overlap, any set of abilities, and the truth of what lives there, so that an orphan
 * shows. What goes wrong at a call is the simulator's plan.
 */
import { z } from "zod";
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
import { BODY_CANARY, canaryIn } from "./canaries.ts";
import type { Reply, Simulator } from "./simulator.ts";
import { type Answer, answered } from "./world.ts";

export interface Abilities {
  overlap: Overlap;
  find?: boolean;
  list?: boolean;
  /** Lists show every key of the account, as all of them are called the same. */
  sharesLabel?: boolean;
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
  /** For overlap `provider`: how long it keeps an old key, whatever it is asked for. */
  oldLastsMs?: number;
  /** Until then it answers that they are gone to who revokes them, and does nothing. */
  overlooksYoung?: boolean;
  /** It can be told to revoke although a mint ends the old value; where there is overlap, it always can. */
  revokes?: boolean;
  /** It refuses a credential that it still keeps, when it is told to. */
  disables?: boolean;
  /** It says when a credential was last used. */
  tellsUse?: boolean;
}

export interface Credential {
  reference: string;
  /** Where it was made. */
  account: string;
  /** What it is called there: lists show those with the label of the key in question. */
  label: string;
  secret: string;
  marker: string;
  madeAt: number;
  /** For overlap `provider`: when the service ends what it replaced. */
  oldEndsAt?: number;
  acceptedFrom: number;
  listedFrom: number;
  /** It is kept, and refused. */
  isDisabled?: boolean;
  /** When somebody used it last. */
  usedAt?: number;
  /** When it dies by the service's own clock or died by revocation. */
  endsAt: number;
}

const TIMEOUT_MS = 15_000;
/** Marks a key that a person made at the same service. It is not ours to touch. */
export const PERSON = "person";
/** What Rekey's first key is called at its service. */
export const OUR_LABEL = "billing";

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
  /** References of what it was heard to accept. */
  readonly seenValid = new Set<string>();
  /** References of what it was heard to reject, or to list no longer, when that was true. */
  readonly seenDead = { rejected: new Set<string>(), unlisted: new Set<string>() };
  /** How it answered the last time that it was asked whether it is ready, by the name of the key in question. */
  readonly readiness = new Map<string, Answer>();
  /** Whether it was heard to answer the last question for who uses what. */
  toldOfUses = false;
  /** Called before each call to mint. */
  beforeMint: (intent: MintIntent) => void = () => undefined;
  /** Called when something is revoked that the service would have let live on. */
  beforeRevoke: (credential: Credential) => void = () => undefined;
  /** Whether a value that another service keeps opens it as well. */
  opensToo: (secret: string) => boolean = () => false;
  readonly #byAttempt = new Map<string, Credential>();
  /** By label: when the last list that was heard was read, and since when what is new in one may be what a mint made whose answer nobody has. */
  readonly #listedAt = new Map<string, number>();
  readonly #inDoubtSince = new Map<string, number>();
  /** What people made, and nobody who had heard the lists could tell from what such a mint may have made: it counts as ours. */
  readonly #passesForOurs = new Set<string>();
  #count = 0;

  /** @param name of its provider, and in all that it makes */
  constructor(abilities: Abilities, name = "scripted") {
    this.abilities = abilities;
    this.name = name;
  }

  attach(simulator: Simulator): void {
    this.#simulator = simulator;
  }

  /** Makes a credential outside any rotation: what is adopted, or what a person makes by hand, with a label of their own or ours. */
  make(marker: string, label = marker === PERSON ? PERSON : OUR_LABEL, account = "main"): Credential {
    this.#count += 1;
    const credential: Credential = {
      reference: `ref-${this.#count}`,
      account,
      label,
      secret: `${this.name}-secret-${this.#count}`,
      marker,
      madeAt: this.#now,
      acceptedFrom: this.#now,
      listedFrom: this.#now + (this.abilities.listLagMs ?? 0),
      endsAt: Infinity,
    };
    this.credentials.push(credential);
    return credential;
  }

  /** Whether it lets a value in: a new one only after a while. */
  accepts(secret: string): boolean {
    return this.credentials.some(
      (credential) =>
        credential.secret === secret &&
        !credential.isDisabled &&
        this.#isLive(credential) &&
        this.#now >= credential.acceptedFrom,
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
      { connection, old }: ProviderContext,
      pick: (credential: Credential) => boolean,
    ): Promise<ListResult> => {
      const account = accountOf(connection);
      const reply = await this.#call(name, connection, () => {
        const here = this.credentials.filter((one) => one.account === account);
        const listed = here.filter((one) => this.#isLive(one) && this.#now >= one.listedFrom && pick(one));
        return {
          listed,
          dead: here.filter((one) => !this.#isLive(one)).map(({ reference }) => reference),
          at: this.#now,
        };
      });
      if (reply.kind !== "answered") return { kind: "failed", ...laterOf(reply) };
      const { listed, dead, at } = reply.value;
      if (name === "list") {
        for (const reference of dead) this.seenDead.unlisted.add(reference);
        this.#judgeList(this.#labelOf(old), listed);
        this.#listedAt.set(this.#labelOf(old), at);
      }
      return { kind: "listed", references: listed.map(({ reference }) => reference) };
    };
    return {
      name: this.name,
      title: "Scripted service",
      overlap,
      ...(maxLive !== undefined && { maxLive }),
      ...(this.abilities.oldLastsMs !== undefined && { oldLastsMs: this.abilities.oldLastsMs }),
      local: false,
      timeoutMs: TIMEOUT_MS,
      propagationMs,
      repeatsMint,
      verifiedHere: false,
      ...(this.abilities.connects && {
        connection: {
          isOptional: false,
          credential: z.record(z.string(), z.string()),
          config: z.record(z.string(), z.unknown()),
          addresses: () => [],
        },
      }),
      needsFirst: overlap === "none",
      opensApi: false,
      adopts: true,
      defaultCooldown: "0",
      preflight: async ({ connection, name }) => {
        const after = this.#simulator?.asked ?? 0;
        const reply = await this.#call("preflight", connection, () => true);
        // A connection that is tried out asks the same, and replaces nothing.
        const isGreen = reply.kind === "answered";
        if (name !== "") this.readiness.set(name, answered(this.readiness.get(name), isGreen, after));
        const account = this.abilities.tellsAccount ? { account: accountOf(connection) } : {};
        return reply.kind === "answered"
          ? { kind: "green", ...account }
          : { kind: "red", ...laterOf(reply), problem: "the service did not answer" };
      },
      mint: async ({ old, connection }, intent) => {
        if (canaryIn(JSON.stringify(intent)))
          this.broken.push("promise 9: a secret is in what a mint asks for");
        this.beforeMint(intent);
        const label = this.#labelOf(old);
        this.#inDoubtSince.set(label, this.#listedAt.get(label) ?? Infinity);
        const result = mintOf(
          await this.#call("mint", connection, () => this.#mint(old, intent, accountOf(connection))),
        );
        if (result.kind !== "in-doubt") this.#inDoubtSince.delete(label);
        return result;
      },
      ...(test && {
        test: async (_, { fields, reference }) =>
          fields
            ? this.#test(fields.secret, reference)
            : { kind: "indeterminate", problem: "its value is not kept" },
      }),
      ...((overlap !== "none" || this.abilities.revokes) && {
        revoke: async ({ connection }, { reference }) => {
          const reply = await this.#call("revoke", connection, () =>
            this.#revoke(reference, accountOf(connection)),
          );
          return reply.kind === "answered" ? { kind: "revoked" } : { kind: "failed", ...laterOf(reply) };
        },
      }),
      ...(this.abilities.disables && {
        disable: async ({ connection }, { reference }) => {
          const reply = await this.#call("disable", connection, () =>
            this.#disable(reference, accountOf(connection)),
          );
          return reply.kind === "answered" ? { kind: "revoked" } : { kind: "failed", ...laterOf(reply) };
        },
      }),
      ...(this.abilities.tellsUse && {
        lastUsed: async ({ connection }, { reference }) => {
          const used = () => this.credentials.find((one) => one.reference === reference)?.usedAt;
          const reply = await this.#call("last-used", connection, () => used() ?? null);
          this.toldOfUses = reply.kind === "answered";
          return reply.kind === "answered"
            ? { kind: "told", at: reply.value }
            : { kind: "failed", ...laterOf(reply) };
        },
      }),
      ...(find && {
        find: (context, marker) => lists("find", context, (credential) => credential.marker === marker),
      }),
      ...(list && {
        // Whatever looks like the key in question, whoever made it.
        list: (context) =>
          lists(
            "list",
            context,
            ({ label }) => this.abilities.sharesLabel || label === this.#labelOf(context.old),
          ),
      }),
    };
  }

  /** Only 401 is a refusal of the value itself; this service answers that as `false`. */
  async #test(secret: string, reference: string): Promise<TestResult> {
    const reply = await this.#call("test", "anybody", () => ({
      isAccepted: this.accepts(secret),
      isDead: !this.credentials.some((one) => one.secret === secret && !one.isDisabled && this.#isLive(one)),
    }));
    if (reply.kind !== "answered") return { kind: "indeterminate", ...laterOf(reply) };
    const { isAccepted, isDead } = reply.value;
    if (isDead) this.seenDead.rejected.add(reference);
    if (isAccepted) {
      this.seenValid.add(reference);
      // Rekey's own test is a use as any other.
      this.#use(secret);
    }
    return isAccepted ? { kind: "valid" } : { kind: "rejected", problem: "401" };
  }

  #mint(
    old: Known | undefined,
    { marker, idempotencyKey, graceMs, again }: MintIntent,
    account: string,
  ): Credential | "conflict" | "dead" | "full" {
    const attempt = `${account}/${idempotencyKey}`;
    const earlier = this.abilities.repeatsMint ? this.#byAttempt.get(attempt) : undefined;
    if (earlier) return this.abilities.conflicts ? "conflict" : earlier;
    const label = this.#labelOf(old);
    const taken = this.credentials.filter(
      (one) =>
        this.#isLive(one) &&
        (one.marker === PERSON ? (this.abilities.countsPersons ?? false) : one.label === label),
    );
    if (taken.length >= (this.abilities.maxLive ?? Infinity)) return "full";
    const replaced = this.credentials.find(
      (one) => one.reference === old?.reference && one.account === account,
    );
    if (this.abilities.overlap === "none") {
      if (!replaced || !this.#isLive(replaced)) return "dead";
      replaced.endsAt = this.#now;
    }
    if (this.abilities.overlap === "provider" && replaced) {
      replaced.endsAt = Math.min(replaced.endsAt, this.#now + (this.abilities.oldLastsMs ?? graceMs));
    }
    const credential = this.make(marker, label, account);
    // One whose time is always the same does not say when it ends: what was begun before is known from then.
    const tells = this.abilities.oldLastsMs === undefined || !again;
    if (this.abilities.overlap === "provider" && replaced && tells) credential.oldEndsAt = replaced.endsAt;
    if (this.mintsDeadValues) credential.acceptedFrom = Infinity;
    else credential.acceptedFrom = this.#now + (this.abilities.propagationMs ?? 0) / 2;
    this.#byAttempt.set(attempt, credential);
    return credential;
  }

  /** Ends a credential, if it is in this account; one that is not there counts as gone already. */
  #revoke(reference: string, account: string): true {
    const credential = this.credentials.find((one) => one.reference === reference && one.account === account);
    if (!credential) return true;
    if (this.abilities.overlooksYoung && this.#now < credential.listedFrom) return true;
    if (credential.marker === PERSON && !this.#passesForOurs.has(reference))
      this.broken.push(`promise 4: ${reference}, made by a person, was revoked`);
    if (this.#isLive(credential) && !credential.isDisabled) this.beforeRevoke(credential);
    credential.endsAt = Math.min(credential.endsAt, this.#now);
    return true;
  }

  /** Has a credential refused that is kept still; one that is not there is refused already. */
  #disable(reference: string, account: string): true {
    const credential = this.credentials.find((one) => one.reference === reference && one.account === account);
    if (credential?.marker === PERSON && !this.#passesForOurs.has(reference))
      this.broken.push(`promise 4: ${reference}, made by a person, was disabled`);
    if (credential && this.#isLive(credential) && !credential.isDisabled) {
      this.beforeRevoke(credential);
      credential.isDisabled = true;
    }
    return true;
  }

  /** Somebody uses a value now. */
  use(reference: string): void {
    this.#use(this.credentials.find((one) => one.reference === reference)?.secret ?? "");
  }

  #use(secret: string): void {
    const used = this.credentials.find((one) => one.secret === secret);
    if (used) used.usedAt = this.#now;
  }

  /**
   * Hears a list while a mint is in doubt. If what a person made is the only one with the key's label that has appeared since the
   * list before that mint, nobody can tell it from what that mint may have made.
   */
  #judgeList(label: string, listed: readonly Credential[]): void {
    const since = this.#inDoubtSince.get(label) ?? Infinity;
    const [only, ...more] = listed.filter((one) => one.label === label && one.madeAt >= since);
    if (only && more.length === 0) this.#passesForOurs.add(only.reference);
  }

  #labelOf(known: Known | undefined): string {
    const { reference } = known ?? {};
    return this.credentials.find((one) => one.reference === reference)?.label ?? OUR_LABEL;
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
    return { kind: "postponed", ...laterOf(reply) };
  }
  if (reply.kind === "status" && (reply.status === 403 || reply.status === 401)) {
    return { kind: "refused", problem: `answered ${reply.status}` };
  }
  return { kind: "in-doubt", ...laterOf(reply) };
}

/** Why it did not work, how long to wait when it said so, and its body for whoever keeps more than he should. */
function laterOf(reply: Reply<unknown>): { problem: string; retryAfterMs?: number } {
  const retryAfterMs = reply.kind === "status" ? reply.retryAfterMs : undefined;
  const body = { body: BODY_CANARY };
  return { problem: problemOf(reply), ...body, ...(retryAfterMs !== undefined && { retryAfterMs }) };
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
