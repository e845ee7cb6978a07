/** What a credential is called at its service: the key's name for people, and the attempt's marker, by which it is found again. */
import type { MintIntent, ProviderContext } from "./provider.ts";

/** Shorter than every service's limit that is known. */
const MAX_LENGTH = 100;

/** A label for one attempt. */
export function labelOf({ name }: Pick<ProviderContext, "name">, { marker }: Pick<MintIntent, "marker">) {
  return `${name.slice(0, MAX_LENGTH - marker.length - 1)} ${marker}`;
}

/** Whether a label was made for an attempt. A marker may be the beginning of another. */
export function carries(label: string, marker: string): boolean {
  return label === marker || label.endsWith(` ${marker}`);
}
