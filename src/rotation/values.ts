/** Sealed values in and out of their rows. */
import { sha256 } from "../crypto/hash.ts";
import { parseToken } from "../issuer/token.ts";
import type { Fields, Provider } from "../providers/provider.ts";
import type { VersionRow } from "../store/versions.ts";
import type { EngineContext } from "./context.ts";

const HINT_LENGTH = 4;

/** The columns that keep a value. Without `keep`, a key that Rekey verifies keeps only its SHA-256. */
export function valueColumns(
  { vault }: EngineContext,
  provider: Provider,
  id: string,
  fields: Fields,
  keep: boolean,
): Pick<VersionRow, "sealed" | "digest" | "fingerprint" | "hint"> {
  const { secret } = fields;
  const namesItself = provider.verifiedHere && parseToken(secret).kind === "token";
  return {
    sealed: keep || !provider.verifiedHere ? vault.seal(placeOf(id), JSON.stringify(fields)) : null,
    digest: provider.verifiedHere ? sha256(secret) : null,
    fingerprint: namesItself ? null : vault.fingerprint(secret),
    hint: secret.slice(-HINT_LENGTH),
  };
}

/** Opens a version's value, or undefined when only a hash of it is kept. */
export function openFields({ vault }: EngineContext, version: VersionRow): Fields | undefined {
  return version.sealed === null
    ? undefined
    : (JSON.parse(vault.open(placeOf(version.id), version.sealed)) as Fields);
}

function placeOf(id: string) {
  return { table: "version", id, revision: 0, purpose: "fields" };
}
