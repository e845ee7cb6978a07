/** What signs the messages to a destination, sealed: a list, or the one secret alone, as older rows have it. */
import type { DestinationRow } from "../store/destinations.ts";
import type { EngineContext } from "./context.ts";
import { type SecretList, secretListSchema } from "./secret-list.ts";

/** The newest first; none for a type that does not sign. */
export function openSigningSecrets(
  { vault }: EngineContext,
  { id, revision, sealed }: Pick<DestinationRow, "id" | "revision" | "sealed">,
): SecretList {
  if (!sealed) return [];
  const text = vault.open(placeOf(id, revision), sealed);
  return text.startsWith("[") ? secretListSchema.parse(JSON.parse(text)) : [{ secret: text, until: null }];
}

/** Seals them for a revision; null when there are none. */
export function sealSigningSecrets(
  { vault }: EngineContext,
  id: string,
  revision: number,
  secrets: SecretList,
): Uint8Array | null {
  return secrets.length === 0 ? null : vault.seal(placeOf(id, revision), JSON.stringify(secrets));
}

function placeOf(id: string, revision: number) {
  return { table: "destination", id, revision, purpose: "signing-secret" };
}
