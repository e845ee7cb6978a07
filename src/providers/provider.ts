/**
 * What a service that issues keys must be able to do. A provider knows nothing of order, retries or the database: each method
 * is one call whose result is a value. Differences between services are data and optional methods here, never an `if` elsewhere.
 */
import type { z } from "zod";
import type { Allowance } from "../outbound/budget.ts";
import type { Outbound } from "../outbound/port.ts";
import type { CallReport } from "../store/work-table.ts";
import type { LeakDesk } from "./leak-desk.ts";

/** The value of a key: `secret` is tested and fingerprinted; some services have more fields. */
export type Fields = { secret: string } & Record<string, string>;

/** Every result may say how its call went. */
interface Reported {
  report?: CallReport;
}

/** Not now: with how long to wait, when the service said so. */
interface Later extends Reported {
  problem: string;
  /** Milliseconds. */
  retryAfterMs?: number;
}

export type MintResult =
  | (Reported & {
      kind: "minted";
      fields: Fields;
      /** How the service names the new credential. */
      reference: string;
      /** For overlap `provider`: when the service ends the old one, milliseconds since the epoch. */
      oldEndsAt?: number;
      /** When the service ends the new one by itself, milliseconds since the epoch. */
      expiresAt?: number;
      /** Until when the service holds something back as its key was just replaced, milliseconds since the epoch. */
      cooldownUntil?: number;
    })
  /** Refused for good; nothing happened. */
  | (Reported & { kind: "refused"; problem: string })
  /** Known not to have taken effect. */
  | (Later & { kind: "postponed" })
  /** Nobody knows: no answer, or one that cannot be read. */
  | (Reported & { kind: "in-doubt"; problem: string })
  /** The service knows this idempotency key and will not give the value again. */
  | (Reported & { kind: "conflict"; problem: string });

/** Only an explicit rejection counts as `rejected`; whatever is not known is `indeterminate`. */
export type TestResult =
  | (Reported & { kind: "valid" })
  | (Reported & { kind: "rejected"; problem: string })
  | (Later & { kind: "indeterminate" });

/** `revoked` also when the service says that it was gone already. */
export type RevokeResult = (Reported & { kind: "revoked" }) | (Later & { kind: "failed" });

export type PreflightResult =
  /** `account`: whose it is, when the service says so. Two credentials with one account see the same keys. */
  | (Reported & { kind: "green"; account?: string })
  /** `noSlot`: the account is full, of what is not ours to delete. */
  | (Later & { kind: "red"; noSlot?: boolean });

/** References of credentials, as the service lists them. */
export type ListResult =
  | (Reported & {
      kind: "listed";
      references: string[];
      /** When each was made, where the service says so: milliseconds since the epoch, by reference. */
      madeAt?: Readonly<Record<string, number>>;
    })
  | (Later & { kind: "failed" });

/** What an alert of the service says that leaked. */
export type AlertResult =
  | (Reported & {
      kind: "read";
      secret: string;
      /** What kind of thing it is and where it was found, in the service's words. */
      source: string;
      url: string;
    })
  | (Later & { kind: "failed" });

/** When the service says that a credential was last used, milliseconds since the epoch; null for never. */
export type LastUsedResult = (Reported & { kind: "told"; at: number | null }) | (Later & { kind: "failed" });

/** Rekey's own issuer, as a provider sees it. */
export interface IssuerPort {
  /** Makes a value in the key's format. Nothing is stored yet. */
  issue(prefix: string): { secret: string; reference: string };
  /** Whether verification accepts the version that carries this reference, now. */
  accepts(reference: string): boolean;
}

/** A credential that Rekey knows of: its value, if that is kept, and the service's name for it. */
export interface Credential {
  fields: Fields | undefined;
  reference: string;
}

/** The account at the service: where it is and what opens it. */
export interface ProviderConnection {
  config: Record<string, unknown>;
  /** Empty where the key itself opens the account. */
  credential: Record<string, string>;
}

export interface ProviderContext {
  /** The key's name here. */
  name: string;
  prefix: string;
  /** The key's own settings; they fit the provider's `config`. */
  config: Record<string, unknown>;
  issuer: IssuerPort;
  /** Absent for providers that need none. */
  connection: ProviderConnection | undefined;
  outbound: Outbound;
  /** Takes one call from what the service allows the account: 0 to go ahead, else how long to wait, milliseconds. */
  spend(): number;
  /** Milliseconds since the epoch. */
  now: number;
  /** What the new one replaces. */
  old: Credential | undefined;
}

/** One attempt to mint. */
export interface MintIntent {
  /** Put where the service keeps it and shows it again; unique to this attempt. */
  marker: string;
  /** The same when this attempt is repeated. */
  idempotencyKey: string;
  /** How long the service should keep the old one alive, for overlap `provider`. Milliseconds. */
  graceMs: number;
  /** The old one's clock runs already: an earlier attempt took effect. */
  again: boolean;
}

/** What the service does with the old key: left to us, kept for a while by the service, or dead when the new one is minted. */
export type Overlap = "ours" | "provider" | "none";

/** What an account at the service takes, for providers that have any. */
export interface ConnectionShape {
  /** Whether a key can be without one. */
  readonly isOptional: boolean;
  /** Fields of what opens the account, each described. Absent where the key itself does, and a connection only holds settings. */
  readonly credential?: z.ZodType<Record<string, string>>;
  /** Those of its fields that are no secrets, but name one. */
  readonly names?: readonly string[];
  /** Settings, each described. */
  readonly config: z.ZodType<Record<string, unknown>>;
  /** Where values are sent, by settings that fit: absolute addresses. */
  addresses(config: Record<string, unknown>): string[];
  /** The settings decide in what form values go out, and not only where to: only root changes them under somebody else's credential. */
  readonly isProgram?: true;
}

/** What people want to know before they trust a provider; its page in docs/providers is made of it. */
export interface ProviderAbout {
  /** The service's own page on its keys. */
  readonly page: string;
  /** The least that its credential must be allowed to do, in the service's words. */
  readonly leastScope: string;
  /** Each call as it goes out, by what it is for. */
  readonly calls: Readonly<Record<string, string>>;
  /** What is special, in sentences. */
  readonly notes: readonly string[];
  /** What nobody has read in the service's own specification or client. Empty when all of it was. */
  readonly unverified: readonly string[];
  /** For overlap `none`: what the service offers instead of an outage at every rotation. */
  readonly instead?: string;
}

/** What a person does where no call can: in words, and where. */
export interface Runbook {
  text: string;
  url?: string | undefined;
}

export interface Provider {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Absent for Rekey's own. */
  readonly about?: ProviderAbout;
  readonly overlap: Overlap;
  /** Keys that may live at the service at once, for overlap `ours`. */
  readonly maxLive?: number;
  /** For overlap `provider`: how long the service keeps an old key, whatever it is asked for. Absent where it is as long as asked. Milliseconds. */
  readonly oldLastsMs?: number;
  /** Minting is a function of ours and cannot be in doubt. */
  readonly local: boolean;
  /** The longest that a call to mint may run. Milliseconds. */
  readonly timeoutMs: number;
  /** How long the service may refuse a new key, accept a revoked one, or leave either out of a list. Milliseconds. */
  readonly propagationMs: number;
  /** Minting twice with one idempotency key makes one credential. */
  readonly repeatsMint: boolean;
  /** Rekey verifies these keys itself, so it keeps a SHA-256 of each value. */
  readonly verifiedHere: boolean;
  /** The account at the service. Absent for those that have none. */
  readonly connection?: ConnectionShape;
  /** A key's own settings, each described. Absent when there are none. */
  readonly config?: z.ZodType<Record<string, unknown>>;
  /** The field of a value that is also the service's name for it: nobody gives another. */
  readonly referenceField?: string;
  /** What a value has besides `secret`, each described. Absent when there is nothing else; what is handed in must have it, too. */
  readonly fields?: z.ZodType<Record<string, string>>;
  /** Those of them that may change while the key lives: they say nothing of where and how values go. */
  readonly changeable?: readonly string[];
  /** Where values are sent by a key's own settings that fit: absolute addresses. */
  addresses?(config: Record<string, unknown>): string[];
  /**
   * For services where no call makes or ends a value: a person makes each one and hands it in, and ends the old one, as this says of a
   * key's settings. Present, nothing is minted: who is due is reminded.
   */
  runbook?(config: Record<string, unknown>): Runbook;
  /** Calls that the service allows an account, shared by all its keys. */
  readonly rateLimit?: Allowance;
  /** Cannot make a first value: a key begins with one that is handed in. */
  readonly needsFirst?: boolean;
  /** A value that is handed in comes with the service's name for it, although later ones are found by their marker. */
  readonly needsReference?: boolean;
  /** Opens Rekey's own API. */
  readonly opensApi: boolean;
  /** Takes existing values in another format. */
  readonly adopts: boolean;
  /**
   * How long the service holds something back after each mint, by a key's settings, for when its answer was lost. Milliseconds.
   */
  restsMs?(config: Record<string, unknown>): number;
  /** Cooldown after a rotation by hand, when the policy names none. */
  readonly defaultCooldown: string;
  /** Where settings decide what can be done, a connection's or, without one, a key's own: the provider as they make it. */
  configured?(config: Record<string, unknown>): Provider;
  preflight(context: ProviderContext): Promise<PreflightResult>;
  mint(context: ProviderContext, intent: MintIntent): Promise<MintResult>;
  /** Whether the service accepts a credential. */
  test?(context: ProviderContext, credential: Credential): Promise<TestResult>;
  revoke?(context: ProviderContext, credential: Credential): Promise<RevokeResult>;
  /** Has the service refuse a credential that it still keeps. Comes before `revoke`, whose failure then leaves nothing open. */
  disable?(context: ProviderContext, credential: Credential): Promise<RevokeResult>;
  /** Credentials that carry a marker. */
  find?(context: ProviderContext, marker: string): Promise<ListResult>;
  /** Credentials that look like this key's: same owner, label and scopes. */
  list?(context: ProviderContext): Promise<ListResult>;
  /** When a credential was last used, as the service saw it. */
  lastUsed?(context: ProviderContext, credential: Credential): Promise<LastUsedResult>;
  /** Where a value can be handed in that leaked, so that it is ended although `revoke` is absent. Undefined for one that nobody knows. */
  leakDesk?(fields: Fields): LeakDesk | undefined;
  /** What an alert says that leaked, for services that report leaks without the value. */
  readAlert?(context: ProviderContext, alert: { repository: string; number: number }): Promise<AlertResult>;
}
