/** Where a subscription's messages go and what signs them: sealed, as the address of a chat's webhook is a credential itself. */
import { z } from "zod";
import type { Recipient } from "../events/message.ts";
import type { SubscriptionRow } from "../store/subscriptions.ts";
import type { EngineContext } from "./context.ts";
import { endPassed, secretListSchema, secretsAt } from "./secret-list.ts";

const addressSchema = z.object({ url: z.string(), secrets: secretListSchema });

export type Address = z.infer<typeof addressSchema>;

/** Opens the address of a stored subscription. */
export function openAddress({ vault }: EngineContext, { id, revision, sealed }: SubscriptionRow): Address {
  if (!sealed) throw new Error("a subscription without an address");
  return addressSchema.parse(JSON.parse(vault.open(placeOf(id, revision), sealed)));
}

/** Seals an address for a revision of a subscription. */
export function sealAddress({ vault }: EngineContext, id: string, revision: number, address: Address) {
  return vault.seal(placeOf(id, revision), JSON.stringify(address));
}

/** Who is spoken to, with the secrets that sign at this time. */
export function recipientOf(context: EngineContext, row: SubscriptionRow): Recipient {
  const { url, secrets } = openAddress(context, row);
  return {
    format: row.format,
    url,
    secrets: secretsAt(secrets, context.now()),
    keyring: context.identity.name,
  };
}

/** Forgets secrets whose overlap is over, and has the next one forgotten when its own is. */
export function endOldSecrets(context: EngineContext, id: string): void {
  const { subscriptions, chores } = context.store;
  const row = subscriptions.get(id);
  if (!row) {
    chores.set(id, null);
    return;
  }
  const { url, secrets } = openAddress(context, row);
  const kept = endPassed(secrets, context.now());
  const revision = row.revision + 1;
  subscriptions.update(row, {
    revision,
    sealed: sealAddress(context, id, revision, { url, secrets: kept }),
  });
  chores.set(id, nextEnd(kept));
}

/** When the next old secret ends, or null. */
export function nextEnd(secrets: Address["secrets"]): number | null {
  const ends = secrets.flatMap(({ until }) => (until === null ? [] : [until]));
  return ends.length > 0 ? Math.min(...ends) : null;
}

function placeOf(id: string, revision: number) {
  return { table: "subscription", id, revision, purpose: "address" };
}
