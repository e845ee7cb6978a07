/** What signs the leak reports of a source, sealed. */
import type { SignalRow, SignalSource } from "../store/signals.ts";
import type { EngineContext } from "./context.ts";
import { type SecretList, secretListSchema } from "./secret-list.ts";

/** The secrets of a source, the newest first. */
export function openSignalSecrets({ vault }: EngineContext, { id, revision, sealed }: SignalRow): SecretList {
  return sealed ? secretListSchema.parse(JSON.parse(vault.open(placeOf(id, revision), sealed))) : [];
}

/** Seals them for a revision. */
export function sealSignalSecrets(
  { vault }: EngineContext,
  id: SignalSource,
  revision: number,
  secrets: SecretList,
): Uint8Array {
  return vault.seal(placeOf(id, revision), JSON.stringify(secrets));
}

function placeOf(id: string, revision: number) {
  return { table: "signal", id, revision, purpose: "secrets" };
}
