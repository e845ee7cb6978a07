/**
 * What a place that holds values must be able to do. Like a provider, a destination knows nothing of order, retries or the
 * database; its methods are safe to run twice and end as values.
 */
import type { z } from "zod";
import type { Outbound } from "../outbound/port.ts";
import type { Fields, ProviderConnection } from "../providers/provider.ts";
import type { CallReport } from "../store/work-table.ts";

export type SendResult =
  | { kind: "held"; report: CallReport }
  | {
      kind: "failed";
      report: CallReport;
      problem: string;
      retryAfterMs?: number;
      /** No call went out, so nothing is on its way. */
      isUnsent?: true;
    }
  /** It told us to stop: no more until somebody changes it. */
  | { kind: "gone"; report: CallReport; problem: string };

export interface DestinationContext {
  destinationId: string;
  config: unknown;
  /** `whsec_…`, the newest first, for types that sign: each signs while they overlap. */
  signingSecrets: readonly string[];
  /** Name of the keyring. */
  keyring: string;
  outbound: Outbound;
  /** The account that it goes through, opened; for types that have one. Absent when nothing opens it. */
  connection?: ProviderConnection | undefined;
  /** Takes one call from what the service allows the account: 0 to go ahead, else how long to wait, milliseconds. */
  spend(): number;
  /** Milliseconds since the epoch. */
  now: number;
  /** A fresh message id. */
  newId(): string;
}

/** One version on its way. */
export interface DeliveryMessage {
  deliveryId: string;
  keyId: string;
  /** The key's name at this destination. */
  name: string;
  version: number;
  revision: number;
  /** Attempts of this delivery that failed before. */
  attempt: number;
  fields: Fields;
  /** What opens the value to this destination, for types and configs that `claims`. */
  claim?: { claim: string; url: string | undefined };
  /** By which its consumer says that it has switched. */
  acknowledgeToken: string;
  /** When the delivery was made, milliseconds since the epoch. */
  createdAt: number;
}

/** What a key would write to. */
export interface Target {
  keyring: string;
  destinationId: string;
  keyId: string;
  /** The key's name at the destination. */
  name: string;
  config: unknown;
  /** Where its connection leads; see `Route`. */
  account: string | undefined;
}

/** The way through an account at a service. `config.connection` of the destination names it. */
export interface Route {
  /** Whose connection it has to be. */
  readonly provider: string;
  /** Where values go, by the settings of a connection: whoever changes that sees them. Undefined for one that leads to no such place. */
  placeOf(config: Record<string, unknown>): string | undefined;
}

/** What people want to know before they use a type; its page in docs/destinations is made of it. */
export interface DestinationAbout {
  /** In a sentence or two. */
  readonly summary: string;
  /** A page to read on. */
  readonly page: string;
  /** The least that the connection's credential must be allowed to do, in the service's words. */
  readonly leastScope?: string;
  /** Each call as it goes out, by what it is for. */
  readonly calls: Readonly<Record<string, string>>;
  /** What is special, in sentences. */
  readonly notes: readonly string[];
  /** What nobody has read in the service's own specification. Absent when all of it was. */
  readonly unverified?: readonly string[];
  /** Settings for the page's example. */
  readonly example: Readonly<Record<string, unknown>>;
}

export interface Destination {
  readonly type: string;
  /** For people. */
  readonly title: string;
  readonly about: DestinationAbout;
  /** Validates `config`; each setting is described. */
  readonly config: z.ZodType<Record<string, unknown>>;
  /** Absent for types that need no account. */
  readonly through?: Route;
  /** `held` means that the place itself said that it holds the value, and not only that the message came. */
  readonly confirms: boolean;
  /** Gets a signing secret of its own. */
  readonly signs: boolean;
  /** Whether a message carries a claim instead of the value. */
  claims?(config: unknown): boolean;
  /** Waits after the first, second… failed attempt, when the protocol has its own; else the common backoff table. */
  readonly retryAfterMs?: readonly number[];
  /** How long until every reader there sees a new value. */
  propagationMs(config: unknown): number;
  /** What a key would write to; two keys never share one. An end of `{field}` stands for any letters and digits. */
  targetOf(target: Target): string;
  /** What else a delivery does there that people should know of before, as a verb with its object. */
  effectOf?(config: unknown): string;
  /** Why a config may not be used, beyond its shape, or undefined. */
  problemOf(config: unknown, outbound: Outbound): string | undefined;
  /** Answers whether it can be reached, without sending a secret. */
  probe(context: DestinationContext): Promise<SendResult>;
  put(context: DestinationContext, message: DeliveryMessage): Promise<SendResult>;
}
