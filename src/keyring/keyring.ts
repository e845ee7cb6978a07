/**
 * The Durable Object of one keyring: RPC in, one alarm, one SQLite file. Every method authenticates and acts in one call.
 * What a method does to the database is in operations/; what goes on afterwards is the engine's.
 */
import { DurableObject } from "cloudflare:workers";
import type { Sealing } from "../crypto/file-key.ts";
import { type ChainReport, verifyChain } from "../events/chain.ts";
import { guessPublicId } from "../issuer/token.ts";
import { err, ok } from "../result.ts";
import {
  changeConnection,
  insertConnection,
  type NewConnection,
  testConnection,
  tryNewConnection,
} from "../rotation/connections.ts";
import type { EngineContext } from "../rotation/context.ts";
import type { Outage } from "../rotation/policy.ts";
import { probeDestination } from "../rotation/probe.ts";
import { ping } from "../rotation/steps/tell.ts";
import { type ClaimedValue, redeemClaim } from "../rotation/value-claims.ts";
import type { KeyFilter, Policy } from "../store/keys.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import type { Caller } from "./caller.ts";
import { type Answer, type Call, Host, type Open, type Reconciled, type Visited } from "./host.ts";
import { type Earlier, rememberSecret } from "./idempotency.ts";
import * as connections from "./operations/connections.ts";
import { type CreatedKey, type CreateKeyInput, createKey } from "./operations/create-key.ts";
import * as deliveries from "./operations/deliveries.ts";
import * as destinations from "./operations/destinations.ts";
import * as events from "./operations/events.ts";
import * as interventions from "./operations/interventions.ts";
import * as keys from "./operations/keys.ts";
import { type Metrics, readMetrics } from "./operations/metrics.ts";
import * as plan from "./operations/plan.ts";
import * as policies from "./operations/policies.ts";
import * as rotations from "./operations/rotations.ts";
import * as settings from "./operations/settings.ts";
import { askLastCron, describeStatus, type StatusView, withLastCron } from "./operations/status.ts";
import * as subscriptions from "./operations/subscriptions.ts";
import * as verification from "./operations/verify.ts";
import type { Page, PageRequest } from "./page.ts";
import type { SubscriptionView } from "./subscription-view.ts";
import type { Imported } from "./transfer/desk.ts";
import type { Slice } from "./transfer/export.ts";
import type { Header } from "./transfer/format.ts";
import type { VerifyAnswer } from "./verdict.ts";
import type {
  DeliveryView,
  DestinationView,
  EventView,
  KeySummaryView,
  KeyView,
  RotationView,
} from "./views.ts";

export class Keyring extends DurableObject<Env> {
  readonly #host: Host;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#host = new Host(ctx, env);
  }

  /** Makes the keyring, or finds it made already. Only the Worker calls this, for a name and code that the registry lists. */
  make(identity: KeyringIdentity): Answer<null> {
    return this.#host.make(identity);
  }

  createKey(call: Call, input: CreateKeyInput): Answer<CreatedKey> {
    return this.#host.write(
      call,
      "keys:write",
      ({ context }, caller) => createKey(context, caller, input),
      (made) => ({ resource: made.key.id, ...(made.secret !== undefined && { secret: made.secret }) }),
      ({ context }, { resource, secret }) => {
        const key = keys.getKey(context, resource);
        return key.ok ? ok({ key: key.value, ...(secret !== undefined && { secret }) }) : key;
      },
    );
  }

  listKeys(call: Call, filter: KeyFilter, page: PageRequest): Answer<Page<KeySummaryView>> {
    return this.#host.read(call, "keys:read", ({ context }) => keys.listKeys(context, filter, page));
  }

  getKey(call: Call, idOrName: string): Answer<KeyView> {
    return this.#host.read(call, "keys:read", ({ context }) => keys.getKey(context, idOrName));
  }

  patchKey(call: Call, idOrName: string, input: keys.PatchKeyInput, rotate: boolean): Answer<KeyView> {
    const patched = this.#host.write(call, "keys:write", ({ context, uses }, caller) => {
      const key = keys.patchKey(context, caller, idOrName, input, rotate);
      return key.ok ? ok({ key: key.value, uses }) : key;
    });
    if (!patched.ok) return patched;
    const { key, uses } = patched.value;
    if (input.verification?.usage !== undefined) uses.restart(key.id);
    return ok(key);
  }

  async deleteKey(call: Call, idOrName: string): Promise<Answer<KeyView>> {
    const ended = this.#host.write(call, "keys:write", ({ context }, caller) =>
      keys.deleteKey(context, caller, idOrName),
    );
    await this.#host.anchorEnded(ended);
    return ended;
  }

  async revokeKey(call: Call, idOrName: string, input: keys.RevokeInput): Promise<Answer<KeyView>> {
    const ended = this.#host.write(
      call,
      "keys:revoke",
      ({ context }, caller) => keys.revokeKey(context, caller, idOrName, input),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await this.#host.anchorEnded(ended);
    return ended;
  }

  /** Starts or joins a rotation, then waits as asked; see `awaitRotation`. */
  async rotateKey(
    call: Call,
    idOrName: string,
    input: rotations.RotateInput,
    waitMs: number,
  ): Promise<Answer<rotations.RotateAnswer>> {
    const reveal = input.reveal !== "none";
    let shows = reveal;
    let repeated: Earlier | undefined;
    const begun = this.#host.write<{ id: string; caller: Caller }>(
      call,
      "keys:rotate",
      ({ context, engine }, caller) => {
        const row = rotations.beginRotation(context, caller, idOrName, input);
        if (!row.ok) return row;
        if (reveal) engine.holdReveal(row.value.id);
        return ok({ id: row.value.id, caller });
      },
      ({ id }) => ({ resource: id }),
      ({ context, engine }, earlier, caller) => {
        repeated = earlier;
        // Sent again before the first one has its answer: it waits for the value, too.
        const row = context.store.rotations.get(earlier.resource);
        shows = reveal && earlier.secret === undefined && row?.live === true && row.toVersion === null;
        if (shows) engine.holdReveal(earlier.resource);
        return ok({ id: earlier.resource, caller });
      },
    );
    if (!begun.ok) return begun;
    const open = this.#host.opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    const { id, caller } = begun.value;
    if (input.reveal === "claim") {
      const claimant = {
        claimant: caller.id,
        isRepeated: repeated !== undefined,
        origin: originOf(context, call),
      };
      const claimed = await rotations.awaitClaim(context, engine, { id, waits: shows, waitMs }, claimant);
      this.#host.arm();
      return ok(claimed);
    }
    const answer = await rotations.awaitRotation(context, engine, id, shows, waitMs);
    if (repeated?.secret !== undefined) return ok({ ...answer, secret: repeated.secret });
    const { secret } = answer;
    if (call.idempotency && secret !== undefined) {
      const { idempotency } = call;
      context.store.transaction(() => rememberSecret(context, caller, idempotency, secret));
      this.#host.arm();
    }
    return ok(answer);
  }

  /** What a rotation would do and meet now. Destinations and the service are really asked; nothing is changed. */
  async planRotation(
    call: Call,
    idOrName: string,
    input: rotations.RotateInput,
  ): Promise<Answer<plan.PlanView>> {
    const found = this.#host.read(call, "keys:rotate", ({ context }, caller) => {
      const key = plan.findPlannable(context, caller, idOrName, input);
      return key.ok ? ok({ context, caller, key: key.value }) : key;
    });
    if (!found.ok) return found;
    const { context, caller, key } = found.value;
    return plan.dryRun(context, caller, key, input);
  }

  /** Takes a value by hand, then waits as asked; see `awaitRotation`. */
  async handInValue(
    call: Call,
    idOrName: string,
    input: keys.HandInInput,
    waitMs: number,
  ): Promise<Answer<rotations.RotateAnswer>> {
    const begun = this.#host.write(call, "keys:write", ({ context, engine }, caller) => {
      const row = keys.handInValue(context, caller, idOrName, input);
      return row.ok ? ok({ context, engine, id: row.value.id }) : row;
    });
    if (!begun.ok) return begun;
    const { context, engine, id } = begun.value;
    return ok(await rotations.awaitRotation(context, engine, id, false, waitMs));
  }

  getRotation(call: Call, id: string): Answer<RotationView> {
    return this.#host.read(call, "keys:read", ({ context }) => rotations.getRotation(context, id));
  }

  listRotations(call: Call, key: string | undefined, page: PageRequest): Answer<Page<RotationView>> {
    return this.#host.read(call, "keys:read", ({ context }) => rotations.listRotations(context, key, page));
  }

  /** Cancels, retries or abandons a rotation. */
  intervene(call: Call, id: string, what: interventions.Intervention): Answer<RotationView> {
    return this.#host.write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.intervene(context, caller, id, what),
      (rotation) => ({ resource: rotation.id }),
      ({ context }, { resource }) => rotations.getRotation(context, resource),
    );
  }

  /** Starts going back to an earlier version, then waits as asked. */
  async rollBackKey(
    call: Call,
    idOrName: string,
    input: interventions.RollbackInput,
    waitMs: number,
  ): Promise<Answer<{ rotation: RotationView }>> {
    const begun = this.#host.write(
      call,
      "keys:rotate",
      ({ context, engine }, caller) => {
        const row = interventions.rollBackKey(context, caller, idOrName, input);
        return row.ok ? ok({ context, engine, id: row.value.id }) : row;
      },
      ({ id }) => ({ resource: id }),
      (open, { resource }) => ok({ ...open, id: resource }),
    );
    if (!begun.ok) return begun;
    const { context, engine, id } = begun.value;
    return ok(await rotations.awaitRotation(context, engine, id, false, waitMs));
  }

  /** Moves the end of a version's grace on. */
  extendGrace(call: Call, idOrName: string, number: number, grace: string): Answer<KeyView> {
    return this.#host.write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.extendGrace(context, caller, idOrName, number, grace),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
  }

  /** Ends a version's grace now. */
  async finishGrace(call: Call, idOrName: string, number: number): Promise<Answer<KeyView>> {
    const ended = this.#host.write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.finishGrace(context, caller, idOrName, number),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await this.#host.anchorEnded(ended);
    return ended;
  }

  /** Gives up on a revocation that does not succeed. */
  async abandonVersion(call: Call, idOrName: string, number: number): Promise<Answer<KeyView>> {
    const ended = this.#host.write(
      call,
      "keys:rotate",
      ({ context }, caller) => interventions.abandonVersion(context, caller, idOrName, number),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await this.#host.anchorEnded(ended, number);
    return ended;
  }

  verify(call: Call, input: verification.VerifyInput): Answer<VerifyAnswer> {
    const { credential } = call;
    const presented = credential.kind === "access" ? [credential.token, input.key] : [input.key];
    const verify = () =>
      this.#host.read(
        call,
        "keys:verify",
        ({ context, uses }) => this.#host.refusal() ?? ok(verification.verifyKey(context, uses, input)),
      );
    const open = this.#host.opened();
    // What opens this API and what is asked about: one look into the database for both.
    return open.ok
      ? open.value.context.store.verifiables.during(presented.map(guessPublicId), verify)
      : verify();
  }

  createDestination(
    call: Call,
    input: destinations.CreateDestinationInput,
  ): Answer<destinations.CreatedDestination> {
    return this.#host.write(
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
    return this.#host.read(call, "settings:read", ({ context }) =>
      destinations.listDestinations(context, page),
    );
  }

  getDestination(call: Call, idOrName: string): Answer<DestinationView> {
    return this.#host.read(call, "settings:read", ({ context }) =>
      destinations.getDestination(context, idOrName),
    );
  }

  patchDestination(
    call: Call,
    idOrName: string,
    input: destinations.PatchDestinationInput,
  ): Answer<DestinationView> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      destinations.patchDestination(context, caller, idOrName, input, call.origin),
    );
  }

  deleteDestination(call: Call, idOrName: string): Answer<void> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      destinations.deleteDestination(context, caller, idOrName),
    );
  }

  /** Sends a probe now and answers how it ended. The same request again sends none and answers how the destination stands. */
  async testDestination(call: Call, idOrName: string): Promise<Answer<destinations.TestedDestination>> {
    let isRepeated = false;
    const found = this.#host.write(
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

  /** Makes a connection once its service has let it in. */
  async createConnection(
    call: Call,
    input: connections.CreateConnectionInput,
  ): Promise<Answer<connections.ConnectionView>> {
    type Checked = { wanted: NewConnection } | { made: connections.ConnectionView };
    const again = ({ context }: Open, { resource }: Earlier) => connections.getConnection(context, resource);
    const checked = this.#host.write<Checked & { context: EngineContext }>(
      call,
      "settings:write",
      ({ context }, caller) => {
        const wanted = connections.checkNewConnection(context, caller, input);
        return wanted.ok ? ok({ wanted: wanted.value, context }) : wanted;
      },
      undefined,
      (open, earlier) => {
        const made = again(open, earlier);
        return made.ok ? ok({ made: made.value, context: open.context }) : made;
      },
    );
    if (!checked.ok) return checked;
    if ("made" in checked.value) return ok(checked.value.made);
    const { wanted, context } = checked.value;
    const tried = await tryNewConnection(context, wanted);
    if (!tried.ok) return tried;
    return this.#host.write(
      call,
      "settings:write",
      (open, caller) => {
        const row = insertConnection(open.context, caller.id, wanted, tried.value);
        return row.ok ? ok(connections.viewConnection(open.context, row.value)) : row;
      },
      ({ id }) => ({ resource: id }),
      again,
    );
  }

  listConnections(call: Call, page: PageRequest): Answer<Page<connections.ConnectionView>> {
    return this.#host.read(call, "settings:read", ({ context }) =>
      connections.listConnections(context, page),
    );
  }

  getConnection(call: Call, idOrName: string): Answer<connections.ConnectionView> {
    return this.#host.read(call, "settings:read", ({ context }) =>
      connections.getConnection(context, idOrName),
    );
  }

  /** Changes a connection once its service has let the new one in; a name alone at once. */
  async patchConnection(
    call: Call,
    idOrName: string,
    input: connections.PatchConnectionInput,
  ): Promise<Answer<connections.ConnectionView>> {
    const checked = this.#host.write(call, "settings:write", ({ context }, caller) => {
      const change = connections.checkConnectionChange(context, caller, idOrName, input);
      return change.ok ? ok({ context, caller, change: change.value }) : change;
    });
    if (!checked.ok) return checked;
    const { context, caller, change } = checked.value;
    if (change) {
      const changed = await changeConnection(context, caller.id, idOrName, change, () => {
        const again = connections.checkConnectionChange(context, caller, idOrName, input);
        return again.ok ? undefined : again.error;
      });
      if (!changed.ok) return changed;
    }
    return this.#host.write(call, "settings:write", (open, by) => {
      if (change) connections.resumeThrough(open.context, idOrName);
      return connections.renameConnection(open.context, by, idOrName, input.name);
    });
  }

  deleteConnection(call: Call, idOrName: string): Answer<void> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      connections.removeConnection(context, caller, idOrName),
    );
  }

  /** Has the service say whether it lets a connection in. The same request again asks nobody. */
  async testConnection(call: Call, idOrName: string): Promise<Answer<connections.TestedConnection>> {
    let isRepeated = false;
    const find = ({ context }: Open, wanted: string) => {
      const row = context.store.connections.find(wanted);
      return row ? ok({ context, row }) : err(connections.connectionNotFound());
    };
    const found = this.#host.write(
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
    const { context, row } = found.value;
    const result = isRepeated ? undefined : await testConnection(context, row);
    return ok(connections.describeTry(context, row, result));
  }

  createPolicy(call: Call, input: { name: string; policy: Policy }): Answer<policies.PolicyView> {
    return this.#host.write(
      call,
      "settings:write",
      ({ context }, caller) => policies.createPolicy(context, caller, input),
      ({ id }) => ({ resource: id }),
      ({ context }, { resource }) => policies.getPolicy(context, resource),
    );
  }

  listPolicies(call: Call, page: PageRequest): Answer<Page<policies.PolicyView>> {
    return this.#host.read(call, "settings:read", ({ context }) => policies.listPolicies(context, page));
  }

  getPolicy(call: Call, idOrName: string): Answer<policies.PolicyView> {
    return this.#host.read(call, "settings:read", ({ context }) => policies.getPolicy(context, idOrName));
  }

  /** Changes a policy for all its keys. A dry run answers the effect and changes nothing. */
  patchPolicy(
    call: Call,
    idOrName: string,
    input: policies.PatchPolicyInput,
    dryRun: boolean,
  ): Answer<policies.ChangedPolicy> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      policies.patchPolicy(context, caller, idOrName, input, dryRun),
    );
  }

  deletePolicy(call: Call, idOrName: string): Answer<void> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      policies.deletePolicy(context, caller, idOrName),
    );
  }

  getSettings(call: Call): Answer<settings.SettingsView> {
    return this.#host.read(call, "settings:read", ({ context }) => ok(settings.getSettings(context)));
  }

  patchSettings(call: Call, input: settings.PatchSettingsInput): Answer<settings.SettingsView> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      settings.patchSettings(context, caller, input),
    );
  }

  holdRotations(call: Call, input: settings.HoldInput): Answer<settings.SettingsView> {
    return this.#host.write(
      call,
      "settings:write",
      ({ context }, caller) => settings.holdRotations(context, caller, input),
      () => ({ resource: "hold" }),
      ({ context }) => ok(settings.getSettings(context)),
    );
  }

  releaseRotations(call: Call): Answer<settings.SettingsView> {
    return this.#host.write(
      call,
      "settings:write",
      ({ context }, caller) => settings.releaseRotations(context, caller),
      () => ({ resource: "hold" }),
      ({ context }) => ok(settings.getSettings(context)),
    );
  }

  listDeliveries(call: Call, key: string | undefined, page: PageRequest): Answer<Page<DeliveryView>> {
    return this.#host.read(call, "keys:read", ({ context }) =>
      destinations.listDeliveries(context, key, page),
    );
  }

  /** The token in the delivery's message lets in just as well as a scope. */
  acknowledgeDelivery(call: Call, id: string): Answer<DeliveryView> {
    return this.#host.write(
      call,
      (context, credential) => deliveries.admitReceiver(context, credential, id),
      ({ context }, caller) => deliveries.acknowledgeDelivery(context, caller, id),
    );
  }

  replayDelivery(call: Call, id: string): Answer<DeliveryView> {
    return this.#host.write(
      call,
      "keys:rotate",
      ({ context }, caller) => deliveries.replayDelivery(context, caller, id),
      (delivery) => ({ resource: delivery.id }),
      ({ context }, { resource }) => deliveries.getDelivery(context, resource),
    );
  }

  replayDeliveries(call: Call, input: deliveries.ReplayInput): Answer<deliveries.Replayed> {
    return this.#host.write(
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
    return this.#host.write(call, deliveries.admitClaimant, ({ context }, caller) =>
      redeemClaim(context, caller.id, claim),
    );
  }

  /** The whole keyring at a glance. */
  async getStatus(call: Call): Promise<Answer<StatusView>> {
    const read = this.#host.read(call, "keys:read", ({ context }) =>
      ok({ context, status: describeStatus(context, this.#host.refusal()?.error) }),
    );
    if (!read.ok) return read;
    const { context, status } = read.value;
    return ok(withLastCron(context, status, await askLastCron(context)));
  }

  /** The same in numbers, for a monitoring system. */
  async readMetrics(call: Call): Promise<Answer<Metrics>> {
    const read = this.#host.read(call, "keys:read", ({ context }) =>
      ok({ context, metrics: readMetrics(context) }),
    );
    if (!read.ok) return read;
    const { context, metrics } = read.value;
    return ok({ ...metrics, lastCronAt: await askLastCron(context) });
  }

  listEvents(call: Call, query: events.EventQuery, page: PageRequest): Answer<Page<EventView>> {
    return this.#host.read(call, "events:read", ({ context }) => events.listEvents(context, query, page));
  }

  /** A slice of the history for a stream, oldest first; `from` is what the slice before gave. */
  readEvents(
    call: Call,
    query: events.EventQuery,
    from: events.EventSlice["next"],
  ): Answer<events.EventSlice> {
    return this.#host.read(call, "events:read", ({ context }) => ok(events.readEvents(context, query, from)));
  }

  verifyEvents(call: Call): Answer<ChainReport> {
    return this.#host.read(call, "events:read", ({ context }) => ok(verifyChain(context.store.events)));
  }

  createSubscription(
    call: Call,
    input: subscriptions.CreateSubscriptionInput,
  ): Answer<subscriptions.CreatedSubscription> {
    return this.#host.write(
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
    return this.#host.read(call, "settings:read", ({ context }) =>
      subscriptions.listSubscriptions(context, page),
    );
  }

  getSubscription(call: Call, idOrName: string): Answer<SubscriptionView> {
    return this.#host.read(call, "settings:read", ({ context }) =>
      subscriptions.getSubscription(context, idOrName),
    );
  }

  patchSubscription(
    call: Call,
    idOrName: string,
    input: subscriptions.PatchSubscriptionInput,
  ): Answer<subscriptions.CreatedSubscription> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
      subscriptions.patchSubscription(context, caller, idOrName, input),
    );
  }

  deleteSubscription(call: Call, idOrName: string): Answer<void> {
    return this.#host.write(call, "settings:write", ({ context }, caller) =>
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
    const found = this.#host.write(
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
    return this.#host.write(
      call,
      "settings:write",
      ({ context }, caller) => subscriptions.replaySubscription(context, caller, idOrName, since),
      ({ id }) => ({ resource: id }),
      ({ context }, { resource }) => subscriptions.getSubscription(context, resource),
    );
  }

  /**
   * Root accepts a history that is behind its anchor. What died since is revoked again first, so nothing comes back to life.
   * @returns how many entries of the history are gone, and how many versions were revoked again
   */
  reconcile(route: string): Promise<Answer<Reconciled>> {
    return this.#host.reconcile(route);
  }

  /**
   * The sweep's visit: starts what is past its age and sets the alarm again, should it have been lost.
   * @param outage when cron did not come, if it did not lately: what fell due then is spread over the hour after
   * @returns when the next scheduled start is due (milliseconds since the epoch), or null; `more` when some are due already
   */
  visit(outage: Outage | null = null): Answer<Visited> {
    return this.#host.visit(outage);
  }

  /**
   * Begins to read the keyring out into a file.
   * @param key the file's, 32 bytes
   * @returns the file's first line, and by which name to go on
   */
  beginExport(sealing: Sealing, key: Uint8Array, route: string): Answer<{ id: string; line: string }> {
    return this.#host.transfers.beginExport(sealing, key, route);
  }

  readExport(id: string): Answer<Slice> {
    return this.#host.transfers.readExport(id);
  }

  endExport(id: string): void {
    this.#host.transfers.endExport(id);
  }

  /**
   * Begins to take a file in under a name. Nothing is replaced before `endImport`.
   * @returns by which name to go on, or what the same file did before
   */
  beginImport(
    name: string,
    header: Header,
    headerLine: string,
    key: Uint8Array,
  ): Answer<{ id: string; done: Imported | null }> {
    return this.#host.transfers.beginImport(name, header, headerLine, key);
  }

  addImport(id: string, lines: readonly string[]): Answer<null> {
    return this.#host.transfers.addImport(id, lines);
  }

  endImport(id: string): Promise<Answer<Imported>> {
    return this.#host.transfers.endImport(id);
  }

  dropImport(id: string): void {
    this.#host.transfers.dropImport(id);
  }

  /** Lets some of what an import left on hold go on; `left` is still on hold. */
  release(call: Call): Answer<{ released: number; left: number }> {
    return this.#host.release(call);
  }

  /** Which master key wraps the data key. Opening the keyring has put the newest in place of an older one. */
  masterKey(): Answer<{ masterKeyId: string | null }> {
    return this.#host.masterKey();
  }

  override alarm(): void {
    this.#host.ring();
  }
}

function originOf({ publicUrl }: EngineContext, { origin }: Call): string {
  return publicUrl ?? origin ?? "";
}
