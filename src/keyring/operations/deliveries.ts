/** Deliveries after they went out: the consumer's acknowledgement, sending again, and who may claim a value. */
import { sha256 } from "../../crypto/hash.ts";
import type { Failure } from "../../errors/catalogue.ts";
import { err, ok, type Result } from "../../result.ts";
import * as engine from "../../rotation/acknowledge.ts";
import { type EngineContext, record } from "../../rotation/context.ts";
import { isAcknowledgeToken } from "../../rotation/message-tokens.ts";
import * as replay from "../../rotation/replay.ts";
import { authenticate, type Caller, type Credential } from "../caller.ts";
import { decodeCursor, encodeCursor } from "../page.ts";
import { findActable, findCallerCooldown } from "../power.ts";
import { type DeliveryView, viewDelivery } from "../views.ts";
import { destinationNotFound } from "./destinations.ts";
import { badCursor } from "./keys.ts";

/** Lets in who holds the token of a delivery's message, in the name of its destination, or an access key that may rotate. */
export function admitReceiver(
  context: EngineContext,
  credential: Credential,
  id: string,
): Result<Caller, Failure> {
  const holdsToken = credential.kind === "access" && isAcknowledgeToken(context, id, credential.token);
  const delivery = holdsToken ? context.store.deliveries.get(id) : undefined;
  return delivery
    ? ok({ id: delivery.destinationId, scopes: [] })
    : authenticate(context, credential, "keys:rotate");
}

/** Lets in a destination by its claim token, or an access key that may reveal. */
export function admitClaimant(context: EngineContext, credential: Credential): Result<Caller, Failure> {
  const destination =
    credential.kind === "access"
      ? context.store.destinations.byClaimDigest(sha256(credential.token))
      : undefined;
  return destination
    ? ok({ id: destination.id, scopes: [] })
    : authenticate(context, credential, "keys:reveal");
}

export function getDelivery({ store }: EngineContext, id: string): Result<DeliveryView, Failure> {
  const row = store.deliveries.get(id);
  return row ? ok(viewDelivery(row)) : err(deliveryNotFound());
}

export function acknowledgeDelivery(
  context: EngineContext,
  caller: Caller,
  id: string,
): Result<DeliveryView, Failure> {
  const row = context.store.deliveries.get(id);
  if (!row) return err(deliveryNotFound());
  const key = findActable(context, caller, row.keyId);
  if (!key.ok) return key;
  // Where old versions live until this, saying it ends one.
  const cooldown = findCallerCooldown(context, caller);
  if (cooldown) return err(cooldown);
  const done = engine.acknowledgeDelivery(context, row, caller.id);
  return done.ok ? ok(viewDelivery(done.value)) : done;
}

/** Sends a delivery again, if it is still what its place should hold. */
export function replayDelivery(
  context: EngineContext,
  caller: Caller,
  id: string,
): Result<DeliveryView, Failure> {
  const row = context.store.deliveries.get(id);
  if (!row) return err(deliveryNotFound());
  const key = findActable(context, caller, row.keyId);
  if (!key.ok) return key;
  const refusal = replay.findReplayRefusal(context, row);
  if (refusal) return err(refusal);
  const { keyId, destinationId, number, revision } = row;
  record(context, {
    type: "delivery.replayed",
    actor: caller.id,
    keyId,
    data: { deliveryId: id, destinationId, version: number, revision },
  });
  return ok(viewDelivery(replay.replayDelivery(context, row)));
}

export interface ReplayInput {
  /** Milliseconds since the epoch. */
  since: number;
  /** Id or name. */
  destination?: string | undefined;
  cursor?: string | undefined;
}

export interface Replayed {
  count: number;
  nextCursor: string | null;
}

/** Sends again all that was last tried at a time or later and is still what its place should hold, a bounded number a call. */
export function replayDeliveries(
  context: EngineContext,
  caller: Caller,
  { since, destination, cursor }: ReplayInput,
): Result<Replayed, Failure> {
  const after = decodeCursor(cursor, "dlv");
  if (after === undefined) return err(badCursor());
  const to = destination === undefined ? undefined : context.store.destinations.find(destination);
  if (destination !== undefined && !to) return err(destinationNotFound());
  const mayReplay = (keyId: string) => findActable(context, caller, keyId).ok;
  const { count, last } = replay.replayMany(context, since, to?.id, after, mayReplay);
  record(context, {
    type: "delivery.replayed",
    actor: caller.id,
    data: { count, since: new Date(since).toISOString(), destinationId: to?.id ?? null },
  });
  return ok({ count, nextCursor: last === null ? null : encodeCursor(last) });
}

function deliveryNotFound(): Failure {
  return { code: "not-found", detail: "no delivery has this id" };
}
