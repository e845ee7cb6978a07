/**
 * What leaked on its way to a service that ends it for whoever hands it in. Values that are to be ended in the same turn share a call, as
 * such services take many a call and few calls an hour.
 */
import type { LeakDesk } from "../providers/leak-desk.ts";
import type { RevokeResult } from "../providers/provider.ts";
import type { EngineContext } from "./context.ts";

interface Waiting {
  secret: string;
  settle(result: RevokeResult): void;
}

/** Of each instance, by desk. */
const queues = new WeakMap<EngineContext, Map<LeakDesk, Waiting[]>>();

/** Hands a value in, together with others of this turn. */
export function handIn(context: EngineContext, desk: LeakDesk, secret: string): Promise<RevokeResult> {
  return new Promise((resolve) => {
    const ofInstance = queues.get(context) ?? new Map<LeakDesk, Waiting[]>();
    queues.set(context, ofInstance);
    const queue = ofInstance.get(desk) ?? [];
    ofInstance.set(desk, queue);
    queue.push({ secret, settle: resolve });
    if (queue.length === 1) queueMicrotask(() => void flush(context, desk));
  });
}

async function flush(context: EngineContext, desk: LeakDesk): Promise<void> {
  const waiting = queues.get(context)?.get(desk)?.splice(0) ?? [];
  for (let from = 0; from < waiting.length; from += desk.atOnce) {
    const some = waiting.slice(from, from + desk.atOnce);
    const result = await send(
      context,
      desk,
      some.map(({ secret }) => secret),
    );
    for (const { settle } of some) settle(result);
  }
}

async function send(
  context: EngineContext,
  desk: LeakDesk,
  secrets: readonly string[],
): Promise<RevokeResult> {
  const waitMs = context.spend(`desk ${desk.name}`, desk.rateLimit, true);
  return waitMs > 0
    ? { kind: "failed", problem: `${desk.name} takes no more for now`, retryAfterMs: waitMs }
    : desk.revoke(context, secrets);
}
