/** Which events a subscription is for. Pure. */
import { EVENT_TYPES } from "./catalogue.ts";

/** The part of a subscription that decides. */
export interface Filter {
  id: string;
  types: readonly string[];
  labels: Readonly<Record<string, string>>;
}

/** The part of an event that decides. */
export interface Filtered {
  type: string;
  keyId: string | null;
  /** JSON text. */
  data: string;
}

/**
 * Whether a subscription is told of an event. Never of what becomes of itself: telling that it cannot be told would go round in circles.
 * @param labels of the event's key, when it has one
 */
export function isWanted(filter: Filter, event: Filtered, labels: Record<string, string> = {}): boolean {
  if (filter.types.length > 0 && !filter.types.some((type) => fits(type, event.type))) return false;
  if (!Object.entries(filter.labels).every(([name, value]) => labels[name] === value)) return false;
  return !(event.type.startsWith("subscription.") && event.data.includes(`"${filter.id}"`));
}

/** Whether any event there is has this type, or a type with this prefix. */
export function isKnownType(pattern: string): boolean {
  return EVENT_TYPES.some((type) => fits(pattern, type));
}

function fits(pattern: string, type: string): boolean {
  return pattern.endsWith(".*") ? type.startsWith(pattern.slice(0, -1)) : pattern === type;
}
