/**
 * Tokens that are no keys, in the shape of an issued key: the Worker finds their keyring by the code inside, and the one expression that
 * finds leaked keys finds them, too. None of them opens anything else.
 */
import { sameBytes, sha256 } from "../crypto/hash.ts";
import { formatToken, newPublicId } from "../issuer/token.ts";
import type { EngineContext } from "./context.ts";

/** Has the place of a version's id and names none. */
const NO_VERSION = "0".repeat(17);

/** Proves that somebody got the message of one delivery. The same each time, so that nothing is stored for it. */
export function acknowledgeTokenOf({ vault, identity }: EngineContext, deliveryId: string): string {
  return formatToken("rekey_ack", identity.code, NO_VERSION, () => vault.sign("acknowledge", deliveryId));
}

/** Whether a token is that of a delivery; takes the same time for any other. */
export function isAcknowledgeToken(context: EngineContext, deliveryId: string, token: string): boolean {
  return sameBytes(sha256(token), sha256(acknowledgeTokenOf(context, deliveryId)));
}

/** A fresh claim: whoever else it falls to gets nothing for it, as the claimant has to say who they are. */
export function newClaim({ identity, random }: EngineContext): string {
  return formatToken("rekey_claim", identity.code, newPublicId(random), random);
}

/** A fresh claim token, by which a destination says who it is. */
export function newClaimToken({ identity, random }: EngineContext): string {
  return formatToken("rekey_receiver", identity.code, newPublicId(random), random);
}
