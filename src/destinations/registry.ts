/** Every type of destination, one line each. */
import type { Destination } from "./destination.ts";
import { kv } from "./kv.ts";
import { kvRest } from "./kv-rest.ts";
import { secretsStore } from "./secrets-store.ts";
import { webhook } from "./webhook.ts";
import { workerSecret } from "./worker-secret.ts";

export const DESTINATIONS = {
  kv,
  webhook,
  "secrets-store": secretsStore,
  "worker-secret": workerSecret,
  "kv-rest": kvRest,
} as const satisfies Record<string, Destination>;

export type DestinationType = keyof typeof DESTINATIONS;

export const DESTINATION_TYPES = Object.keys(DESTINATIONS) as [DestinationType, ...DestinationType[]];

/**
 * The type of a stored destination.
 * @throws when it is unknown: it was checked when the destination was made
 */
export function destinationOf(type: string): Destination {
  const destination: Destination | undefined = (DESTINATIONS as Record<string, Destination>)[type];
  if (!destination) throw new Error(`unknown destination type ${type}`);
  return destination;
}
