/** Every type of destination, one line each. */
import type { Destination } from "./destination.ts";
import { kv } from "./kv.ts";
import { webhook } from "./webhook.ts";

export const DESTINATIONS = { kv, webhook } as const satisfies Record<string, Destination>;

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
