/** Destinations, deliveries to them and claims of what they were sent, over RPC. */
import { err, ok } from "../../result.ts";
import { probeDestination } from "../../rotation/probe.ts";
import { type ClaimedValue, redeemClaim } from "../../rotation/value-claims.ts";
import type { Answer, Call } from "../host.ts";
import * as deliveries from "../operations/deliveries.ts";
import * as destinations from "../operations/destinations.ts";
import type { Page, PageRequest } from "../page.ts";
import type { DeliveryView, DestinationView } from "../views.ts";
import { BatchMethods } from "./batches.ts";
import { hostOf } from "./hosted.ts";

export class DestinationMethods extends BatchMethods {
  createDestination(
    call: Call,
    input: destinations.CreateDestinationInput,
  ): Answer<destinations.CreatedDestination> {
    return hostOf(this).write(
      call,
      "settings:write",
      ({ context }, caller) => destinations.createDestination(context, caller, input, call.origin),
      ({ destination, ...secrets }) => ({
        resource: destination.id,
        ...(Object.keys(secrets).length > 0 && { secret: JSON.stringify(secrets) }),
      }),
      ({ context }, { resource, secret = "{}" }) => {
        const row = destinations.getDestination(context, resource);
        const secrets = JSON.parse(secret) as Omit<destinations.CreatedDestination, "destination">;
        return row.ok ? ok({ destination: row.value, ...secrets }) : row;
      },
    );
  }

  listDestinations(call: Call, page: PageRequest): Answer<Page<DestinationView>> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      destinations.listDestinations(context, page),
    );
  }

  getDestination(call: Call, idOrName: string): Answer<DestinationView> {
    return hostOf(this).read(call, "settings:read", ({ context }) =>
      destinations.getDestination(context, idOrName),
    );
  }

  patchDestination(
    call: Call,
    idOrName: string,
    input: destinations.PatchDestinationInput,
  ): Answer<destinations.CreatedDestination> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      destinations.patchDestination(context, caller, idOrName, input, call.origin),
    );
  }

  deleteDestination(call: Call, idOrName: string): Answer<void> {
    return hostOf(this).write(call, "settings:write", ({ context }, caller) =>
      destinations.deleteDestination(context, caller, idOrName),
    );
  }

  /** Sends a probe now and answers how it ended. The same request again sends none and answers how the destination stands. */
  async testDestination(call: Call, idOrName: string): Promise<Answer<destinations.TestedDestination>> {
    let isRepeated = false;
    const found = hostOf(this).write(
      call,
      "settings:write",
      ({ context, engine }) => {
        const row = context.store.destinations.find(idOrName);
        return row ? ok({ context, engine, row }) : err(destinations.destinationNotFound());
      },
      ({ row }) => ({ resource: row.id }),
      ({ context, engine }, { resource }) => {
        isRepeated = true;
        const row = context.store.destinations.get(resource);
        return row ? ok({ context, engine, row }) : err(destinations.destinationNotFound());
      },
    );
    if (!found.ok) return found;
    const { context, row } = found.value;
    if (isRepeated) return ok(destinations.describeTested(context, row));
    const probe = await probeDestination(context, row);
    const noted = context.store.transaction(() => destinations.noteTest(context, row.id, probe));
    found.value.engine.pump();
    return noted;
  }

  listDeliveries(call: Call, key: string | undefined, page: PageRequest): Answer<Page<DeliveryView>> {
    return hostOf(this).read(call, "keys:read", ({ context }) =>
      destinations.listDeliveries(context, key, page),
    );
  }

  /** The token in the delivery's message lets in just as well as a scope. */
  acknowledgeDelivery(call: Call, id: string): Answer<DeliveryView> {
    return hostOf(this).write(
      call,
      (context, credential) => deliveries.admitReceiver(context, credential, id),
      ({ context }, caller) => deliveries.acknowledgeDelivery(context, caller, id),
    );
  }

  replayDelivery(call: Call, id: string): Answer<DeliveryView> {
    return hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => deliveries.replayDelivery(context, caller, id),
      (delivery) => ({ resource: delivery.id }),
      ({ context }, { resource }) => deliveries.getDelivery(context, resource),
    );
  }

  replayDeliveries(call: Call, input: deliveries.ReplayInput): Answer<deliveries.Replayed> {
    return hostOf(this).write(
      call,
      "keys:rotate",
      ({ context }, caller) => deliveries.replayDeliveries(context, caller, input),
      ({ count, nextCursor }) => ({ resource: `${count} ${nextCursor ?? ""}` }),
      (_, { resource }) => {
        const [count, cursor = ""] = resource.split(" ");
        return ok({ count: Number(count), nextCursor: cursor === "" ? null : cursor });
      },
    );
  }

  /** Opens a claim to whom it was made for: a destination by its claim token, or an access key that asked to reveal. */
  claimValue(call: Call, claim: string): Answer<ClaimedValue> {
    return hostOf(this).write(call, deliveries.admitClaimant, ({ context }, caller) =>
      redeemClaim(context, caller.id, claim),
    );
  }
}
