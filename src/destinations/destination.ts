/**
 * What a place that holds values must be able to do. Like a provider, a destination knows nothing of order, retries or the
 * database; its methods are safe to run twice and end as values.
 */
import type { z } from "zod";
import type { Outbound } from "../outbound/port.ts";
import type { Fields } from "../providers/provider.ts";
import type { CallReport } from "../store/work-table.ts";

export type SendResult =
  | { kind: "held"; report: CallReport }
  | { kind: "failed"; report: CallReport; problem: string; retryAfterMs?: number }
  /** It told us to stop: no more until somebody changes it. */
  | { kind: "gone"; report: CallReport; problem: string };

export interface DestinationContext {
  destinationId: string;
  config: unknown;
  /** `whsec_…`, for types that sign. */
  signingSecret: string | undefined;
  /** Name of the keyring. */
  keyring: string;
  outbound: Outbound;
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
  fields: Fields;
  /** What opens the value to this destination, for types and configs that `claims`. */
  claim?: { claim: string; url: string | undefined };
  /** By which its consumer says that it has switched. */
  acknowledgeToken: string;
  /** When the delivery was made, milliseconds since the epoch. */
  createdAt: number;
}

export interface Destination {
  readonly type: string;
  /** For people. */
  readonly title: string;
  /** Validates `config`. */
  readonly config: z.ZodType<Record<string, unknown>>;
  /** Gets a signing secret of its own. */
  readonly signs: boolean;
  /** Whether a message carries a claim instead of the value. */
  claims?(config: unknown): boolean;
  /** Waits after the first, second… failed attempt, when the protocol has its own; else the common backoff table. */
  readonly retryAfterMs?: readonly number[];
  /** How long until every reader there sees a new value. */
  propagationMs(config: unknown): number;
  /** What a key would write to; two keys never share one. */
  targetOf(place: {
    keyring: string;
    destinationId: string;
    keyId: string;
    name: string;
    config: unknown;
  }): string;
  /** Why a config may not be used, beyond its shape, or undefined. */
  problemOf(config: unknown, outbound: Outbound): string | undefined;
  /** Answers whether it can be reached, without sending a secret. */
  probe(context: DestinationContext): Promise<SendResult>;
  put(context: DestinationContext, message: DeliveryMessage): Promise<SendResult>;
}
