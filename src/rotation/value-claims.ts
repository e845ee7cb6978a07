/**
 * Claims: instead of a value somebody gets a token for it, which opens it once, within minutes, and only to them. Inside the caller's
 * transaction.
 */
import { sha256 } from "../crypto/hash.ts";
import type { Failure } from "../errors/catalogue.ts";
import type { Fields } from "../providers/provider.ts";
import { err, ok, type Result } from "../result.ts";
import type { ValueClaimRow } from "../store/value-claims.ts";
import type { VersionRow } from "../store/versions.ts";
import { CLAIM_LASTS_MS } from "./backoff.ts";
import { type EngineContext, record } from "./context.ts";
import { newClaim } from "./message-tokens.ts";
import { noteClaimed } from "./outcomes.ts";
import { isPresent } from "./replay.ts";
import { openFields } from "./values.ts";

/** For an answer that was lost on the way, the same claimant may ask again this long. */
const CLAIM_AGAIN_MS = 60_000;

export interface OpenedClaim {
  claim: string;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

/**
 * Makes a claim. One that was made before for the same origin and claimant, and that nobody used, is void from now on.
 * @param fields the value, where only a hash of it is kept
 */
export function openClaim(
  context: EngineContext,
  version: VersionRow,
  origin: string,
  claimant: string,
  fields?: Fields,
): OpenedClaim {
  const { store, vault } = context;
  for (const earlier of store.valueClaims.of(origin, claimant)) {
    if (earlier.claimedAt === null) store.valueClaims.remove(earlier);
  }
  const claim = newClaim(context);
  const id = idOf(claim);
  const createdAt = context.now();
  const expiresAt = createdAt + CLAIM_LASTS_MS;
  const keeps = version.sealed === null && fields !== undefined;
  store.valueClaims.insert({
    id,
    versionId: version.id,
    origin,
    claimant,
    sealed: keeps ? vault.seal(placeOf(id), JSON.stringify(fields)) : null,
    createdAt,
    claimedAt: null,
    expiresAt,
    dueAt: expiresAt,
  });
  return { claim, expiresAt };
}

export interface ClaimedValue {
  fields: Fields;
  keyId: string;
  keyName: string;
  version: number;
  revision: number;
}

/** Opens a claim to its claimant; a delivery that brought it is delivered by that. Whatever is wrong with it, the failure is the same. */
export function redeemClaim(
  context: EngineContext,
  claimant: string,
  claim: string,
): Result<ClaimedValue, Failure> {
  const { store } = context;
  const now = context.now();
  const row = store.valueClaims.get(idOf(claim));
  const isOpen = row !== undefined && row.claimant === claimant && now < lastUseOf(row);
  const found = isOpen ? standsFor(context, row) : undefined;
  if (!row || !found) return err({ code: "claim-unknown" });
  if (row.claimedAt === null) {
    const againUntil = now + CLAIM_AGAIN_MS;
    store.valueClaims.update(row, {
      claimedAt: now,
      dueAt: row.sealed ? againUntil : Math.max(row.expiresAt, againUntil),
    });
    record(context, {
      type: "key.value.claimed",
      actor: claimant,
      keyId: found.keyId,
      data: { version: found.version, origin: row.origin },
    });
    const delivery = store.deliveries.get(row.origin);
    if (delivery) noteClaimed(context, delivery);
  }
  return ok(found);
}

/** The value that an unused claim keeps because nothing else does, or undefined. */
export function keptBy(
  { vault }: EngineContext,
  { id, sealed, claimedAt }: ValueClaimRow,
): Fields | undefined {
  return sealed && claimedAt === null ? (JSON.parse(vault.open(placeOf(id), sealed)) as Fields) : undefined;
}

/** Where claims are opened in a deployment that is reached there. */
export function claimUrlAt(origin: string): string {
  return `${origin}/v1/claims`;
}

/** Due: the value it keeps is wiped once it was claimed, the row itself goes when a copy of it can be of no more use. */
export function sweepClaim({ store, now }: EngineContext, row: ValueClaimRow): void {
  const goesAt = Math.max(row.expiresAt, lastUseOf(row));
  if (row.sealed && now() < goesAt) store.valueClaims.update(row, { sealed: null, dueAt: goesAt });
  else store.valueClaims.remove(row);
}

function lastUseOf({ claimedAt, expiresAt }: ValueClaimRow): number {
  return claimedAt === null ? expiresAt : claimedAt + CLAIM_AGAIN_MS;
}

/** What a claim stands for, if its version is still what its place should hold. */
function standsFor(context: EngineContext, row: ValueClaimRow): ClaimedValue | undefined {
  const { store, vault } = context;
  const version = store.versions.get(row.versionId);
  const key = version && store.keys.get(version.keyId);
  if (!version || !key || (version.stage !== "pending" && version.stage !== "current")) return undefined;
  const delivery = store.deliveries.get(row.origin);
  if (delivery && !isPresent(context, delivery)) return undefined;
  const kept = row.sealed ? (JSON.parse(vault.open(placeOf(row.id), row.sealed)) as Fields) : undefined;
  const fields = openFields(context, version) ?? kept;
  return (
    fields && {
      fields,
      keyId: key.id,
      keyName: delivery?.name ?? key.name,
      version: version.number,
      revision: delivery?.revision ?? key.revision,
    }
  );
}

function idOf(claim: string): string {
  return Buffer.from(sha256(claim)).toString("base64url");
}

function placeOf(id: string) {
  return { table: "claim", id, revision: 0, purpose: "fields" };
}
