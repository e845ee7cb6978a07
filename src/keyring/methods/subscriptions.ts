/** Who is told of events, over RPC. */
import { err, ok } from "../../result.ts";
import { ping } from "../../rotation/steps/tell.ts";
import type { Answer, Call, Open } from "../host.ts";
import * as subscriptions from "../operations/subscriptions.ts";
import type { Page, PageRequest } from "../page.ts";
import type { SubscriptionView } from "../subscription-view.ts";
import { HistoryMethods } from "./history.ts";
import { hostOf } from "./hosted.ts";

export class SubscriptionMethods extends HistoryMethods {
  createSubscription(
    call: Call,
    input: subscriptions.CreateSubscriptionInput,
  ): Answer<subscriptions.CreatedSubscription> {
    return hostOf(this).write(
      call,
      "settings:write",
      ({ context }, caller) => subscriptions.createSubscription(context, caller, input),
      ({ subscription, signingSecret }) => ({
        resource: subscription.id,
        ...(signingSecret !== undefined && { secret: signingSecret }),
      }),
      ({ context }, { resource, secret }) => {
        const row = subscriptions.getSubscription(context, resource);
        return row.ok
          ? ok({ subscription: row.value, ...(secret !== undefined && { signingSecret: secret }) })
          : row;
      },
    );
  }

  listSubscriptions(call: Call, page: PageRequest): Answer<Page<SubscriptionView>> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      subscriptions.listSubscriptions(context, page),
    );
  }

  getSubscription(call: Call, idOrName: string): Answer<SubscriptionView> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      subscriptions.getSubscription(context, idOrName),
    );
  }

  patchSubscription(
    call: Call,
    idOrName: string,
    input: subscriptions.PatchSubscriptionInput,
  ): Answer<subscriptions.CreatedSubscription> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      subscriptions.patchSubscription(context, caller, idOrName, input),
    );
  }

  deleteSubscription(call: Call, idOrName: string): Answer<void> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      subscriptions.deleteSubscription(context, caller, idOrName),
    );
  }

  /** Sends a ping now and answers how it ended. The same request again sends none and answers how the subscription stands. */
  async testSubscription(call: Call, idOrName: string): Promise<Answer<subscriptions.TestedSubscription>> {
    let isRepeated = false;
    const find = ({ context, engine }: Open, id: string) => {
      const row = context.store.subscriptions.find(id);
      return row ? ok({ context, engine, row }) : err(subscriptions.subscriptionNotFound());
    };
    const found = hostOf(this).write(
      call,
      "settings:write",
      (open) => find(open, idOrName),
      ({ row }) => ({ resource: row.id }),
      (open, { resource }) => {
        isRepeated = true;
        return find(open, resource);
      },
    );
    if (!found.ok) return found;
    const { context, engine, row } = found.value;
    if (isRepeated) return ok(subscriptions.describeTested(context, row));
    const result = await ping(context, row);
    const noted = context.store.transaction(() => subscriptions.noteTest(context, row, result));
    engine.pump();
    return noted;
  }

  replaySubscription(
    call: Call,
    idOrName: string,
    since: { at: number } | { seq: number },
  ): Answer<SubscriptionView> {
    return hostOf(this).write(
      call,
      "settings:write",
      ({ context }, caller) => subscriptions.replaySubscription(context, caller, idOrName, since),
      ({ id }) => ({ resource: id }),
      ({ context }, { resource }) => subscriptions.getSubscription(context, resource),
    );
  }
}
