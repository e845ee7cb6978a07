/**
 * Tells one subscriber what it has not been told yet, in order. It is sent nothing but a ping until it has answered one. The cursor is
 * kept once for all that was told in one go: a crash before that tells it again, under the same ids.
 */
import type { SendResult } from "../../destinations/destination.ts";
import { judgeAnswer } from "../../destinations/webhook.ts";
import { type Message, messageOf, requestOf } from "../../events/message.ts";
import type { SubscriptionRow } from "../../store/subscriptions.ts";
import { recipientOf } from "../addresses.ts";
import { leaseToGoOn } from "../claims.ts";
import { type EngineContext, newMessageId } from "../context.ts";
import { findNext, release, settlePing, settleRefusal, welcome } from "../subscriptions.ts";

/** Calls of one claim, about as many as other work makes of it twice; the limits of an invocation count on it. */
const EVENTS_PER_CLAIM = 10;

/** Works off a claim: a ping if need be, then events until there are no more, one is not taken, or it has had its share. */
export async function tellSubscriber(context: EngineContext, claimed: SubscriptionRow): Promise<void> {
  const { store } = context;
  let row = claimed.state === "ready" ? claimed : await introduce(context, claimed);
  let toldUntil = claimed.sentSeq;
  let last: SendResult | undefined;
  for (let told = 0; row && told < EVENTS_PER_CLAIM; told++) {
    const { event, seen } = findNext(context, row, toldUntil);
    toldUntil = seen;
    if (!event) break;
    const key = event.keyId === null ? undefined : store.keys.get(event.keyId);
    const result = await send(context, row, messageOf(event, key));
    if (result.kind !== "held") {
      commit(context, row, (fresh) => settleRefusal(context, fresh, event, result));
      return;
    }
    toldUntil = event.seq;
    last = result;
    row = keepHold(context, row, toldUntil);
  }
  if (!row) return;
  const proof = last && { provenAt: context.now(), lastCall: last.report };
  commit(context, row, (fresh) => release(context, fresh, toldUntil, proof));
}

/** Sends a ping, which carries nothing. */
export function ping(context: EngineContext, row: SubscriptionRow): Promise<SendResult> {
  const data = { subscriptionId: row.id };
  return send(context, row, { id: newMessageId(context), type: "ping", at: context.now(), data });
}

async function introduce(context: EngineContext, row: SubscriptionRow): Promise<SubscriptionRow | undefined> {
  const result = await ping(context, row);
  return commit(context, row, (fresh) => {
    if (result.kind === "held") return welcome(context, fresh, result);
    settlePing(context, fresh, result);
    return undefined;
  });
}

/** Goes on with a row that is still ours, as it is now. What was told is kept on the way when the lease has to be made longer. */
function keepHold(
  context: EngineContext,
  row: SubscriptionRow,
  toldUntil: number,
): SubscriptionRow | undefined {
  return commit(context, row, (fresh) => {
    const lease = leaseToGoOn(fresh, context.now());
    if (lease === fresh.leaseUntil) return fresh;
    return context.store.subscriptions.update(fresh, {
      sentSeq: toldUntil,
      attempt: 0,
      leaseUntil: lease,
      dueAt: lease,
    });
  });
}

async function send(context: EngineContext, row: SubscriptionRow, message: Message): Promise<SendResult> {
  const request = requestOf(message, recipientOf(context, row), context.now());
  return judgeAnswer(await context.outbound.send(request));
}

/** One transaction over a row that is still ours: not deleted, not changed so that somebody else has taken it up. */
function commit<T>(
  { store }: EngineContext,
  row: SubscriptionRow,
  body: (fresh: SubscriptionRow) => T,
): T | undefined {
  return store.transaction(() => {
    const fresh = store.subscriptions.get(row.id);
    return fresh && fresh.claim === row.claim && fresh.leaseUntil !== null ? body(fresh) : undefined;
  });
}
