/**
 * The Durable Object of one keyring: RPC in, one alarm, one SQLite file. Every method authenticates and acts in one call.
 * What a method does to the database is in operations/; what goes on afterwards is the engine's.
 */
import { DurableObject } from "cloudflare:workers";
import { wrapDataKey } from "../crypto/master-keys.ts";
import { secureRandom } from "../crypto/random.ts";
import { readConfig } from "../env.ts";
import type { Failure } from "../errors/catalogue.ts";
import type { ChainReport } from "../events/chain.ts";
import { verifyChain } from "../events/chain.ts";
import type { DeadVersion } from "../registry/registry.ts";
import { registryOf } from "../registry/stub.ts";
import { err, ok, type Result } from "../result.ts";
import { type EngineContext, record } from "../rotation/context.ts";
import { Engine } from "../rotation/engine.ts";
import { probeDestination } from "../rotation/probe.ts";
import { isAnchored } from "../rotation/steps/retire.ts";
import { EventTable } from "../store/events.ts";
import type { KeyFilter } from "../store/keys.ts";
import { isMade, migrate } from "../store/migrations.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import { durableObjectSql, type Sql } from "../store/sql.ts";
import { Store } from "../store/store.ts";
import { authenticate, type Caller, type Credential } from "./caller.ts";
import { HistoryGuard } from "./history-guard.ts";
import { type Earlier, type Repeatable, recall, remember, rememberSecret } from "./idempotency.ts";
import { openContext } from "./opening.ts";
import { type CreatedKey, type CreateKeyInput, createKey } from "./operations/create-key.ts";
import * as destinations from "./operations/destinations.ts";
import * as events from "./operations/events.ts";
import * as operations from "./operations/history.ts";
import * as keys from "./operations/keys.ts";
import * as rotations from "./operations/rotations.ts";
import * as verification from "./operations/verify.ts";
import type { Page, PageRequest } from "./page.ts";
import type { Scope } from "./scopes.ts";
import type {
  DeliveryView,
  DestinationView,
  EventView,
  KeySummaryView,
  KeyView,
  RotationView,
} from "./views.ts";

/** What comes with every request. */
export interface Call {
  credential: Credential;
  /** Method and path pattern, for the event that every use of a root token is. */
  route: string;
  idempotency?: Repeatable | undefined;
}

type Answer<T> = Result<T, Failure>;

interface Open {
  context: EngineContext;
  engine: Engine;
}

/** Scheduled rotations that one visit of the sweep starts; the rest follow at the next. */
const STARTS_PER_VISIT = 200;
/** Dead versions asked for at once, when a history is reconciled. */
const DEAD_PAGE = 1_000;
/** How long after a bug the alarm looks again. */
const ALARM_AFTER_BUG_MS = 60_000;

export class Keyring extends DurableObject<Env> {
  readonly #sql: Sql;
  #open: Open | undefined;
  /** When the alarm is set for, as far as this instance knows. */
  #alarmAt: number | null = null;
  readonly #guard = new HistoryGuard(() => {
    const { code = "" } = new Store(this.#sql).settings.identity() ?? {};
    return registryOf(this.env).anchorOf(code);
  });
  /** The earliest scheduled start that the registry was told of. */
  #reportedStartAt: number | null | undefined;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = durableObjectSql(ctx.storage);
    if (!isMade(this.#sql)) return;
    migrate(this.#sql);
    ctx.blockConcurrencyWhile(() => this.#compare());
  }

  /** Makes the keyring, or finds it made already. Only the Worker calls this, for a name and code that the registry lists. */
  make(identity: KeyringIdentity): Answer<null> {
    if (isMade(this.#sql)) return ok(null);
    const config = readConfig(this.env);
    if (!config.ok) return err({ code: "not-configured", detail: config.error.join("; ") });
    this.ctx.storage.transactionSync(() => {
      migrate(this.#sql);
      const store = new Store(this.#sql);
      store.settings.setIdentity(identity);
      store.settings.setWrappedDataKey(
        wrapDataKey(config.value.masterKeys, identity.code, secureRandom(32), secureRandom),
      );
    });
    this.#guard.accept();
    const open = this.#opened();
    if (!open.ok) return open;
    const { context } = open.value;
    context.store.transaction(() =>
      record(context, { type: "keyring.created", actor: "root", data: { ...identity } }),
    );
    return ok(null);
  }

  createKey(call: Call, input: CreateKeyInput): Answer<CreatedKey> {
    return this.#write(
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
    return this.#read(call, "keys:read", ({ context }) => keys.listKeys(context, filter, page));
  }

  getKey(call: Call, idOrName: string): Answer<KeyView> {
    return this.#read(call, "keys:read", ({ context }) => keys.getKey(context, idOrName));
  }

  patchKey(call: Call, idOrName: string, input: keys.PatchKeyInput, rotate: boolean): Answer<KeyView> {
    return this.#write(call, "keys:write", ({ context }, caller) =>
      keys.patchKey(context, caller, idOrName, input, rotate),
    );
  }

  async deleteKey(call: Call, idOrName: string): Promise<Answer<KeyView>> {
    const ended = this.#write(call, "keys:write", ({ context }, caller) =>
      keys.deleteKey(context, caller, idOrName),
    );
    await this.#anchorEnded(ended);
    return ended;
  }

  async revokeKey(call: Call, idOrName: string, input: keys.RevokeInput): Promise<Answer<KeyView>> {
    const ended = this.#write(
      call,
      "keys:revoke",
      ({ context }, caller) => keys.revokeKey(context, caller, idOrName, input),
      (key) => ({ resource: key.id }),
      ({ context }, { resource }) => keys.getKey(context, resource),
    );
    await this.#anchorEnded(ended);
    return ended;
  }

  /** Starts or joins a rotation, then waits as asked; see `awaitRotation`. */
  async rotateKey(
    call: Call,
    idOrName: string,
    input: rotations.RotateInput,
    waitMs: number,
  ): Promise<Answer<rotations.RotateAnswer>> {
    const reveal = input.reveal === "inline";
    let shows = reveal;
    let repeated: Earlier | undefined;
    const begun = this.#write<{ id: string; caller: Caller }>(
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
    const open = this.#opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    const { id, caller } = begun.value;
    const answer = await rotations.awaitRotation(context, engine, id, shows, waitMs);
    if (repeated?.secret !== undefined) return ok({ ...answer, secret: repeated.secret });
    const { secret } = answer;
    if (call.idempotency && secret !== undefined) {
      const { idempotency } = call;
      context.store.transaction(() => rememberSecret(context, caller, idempotency, secret));
      this.#arm();
    }
    return ok(answer);
  }

  /** Takes a value by hand, then waits as asked; see `awaitRotation`. */
  async handInValue(
    call: Call,
    idOrName: string,
    input: keys.HandInInput,
    waitMs: number,
  ): Promise<Answer<rotations.RotateAnswer>> {
    const begun = this.#write(call, "keys:write", ({ context, engine }, caller) => {
      const row = keys.handInValue(context, caller, idOrName, input);
      return row.ok ? ok({ context, engine, id: row.value.id }) : row;
    });
    if (!begun.ok) return begun;
    const { context, engine, id } = begun.value;
    return ok(await rotations.awaitRotation(context, engine, id, false, waitMs));
  }

  getRotation(call: Call, id: string): Answer<RotationView> {
    return this.#read(call, "keys:read", ({ context }) => rotations.getRotation(context, id));
  }

  listRotations(call: Call, key: string | undefined, page: PageRequest): Answer<Page<RotationView>> {
    return this.#read(call, "keys:read", ({ context }) => rotations.listRotations(context, key, page));
  }

  verify(call: Call, input: verification.VerifyInput): Answer<verification.VerifyAnswer> {
    return this.#read(call, "keys:verify", ({ context }) => {
      const refusal = this.#guard.refusal();
      return refusal ? this.#refuse(refusal) : ok(verification.verifyKey(context, input));
    });
  }

  createDestination(
    call: Call,
    input: destinations.CreateDestinationInput,
  ): Answer<destinations.CreatedDestination> {
    return this.#write(
      call,
      "settings:write",
      ({ context }, caller) => destinations.createDestination(context, caller, input),
      ({ destination, signingSecret }) => ({
        resource: destination.id,
        ...(signingSecret !== undefined && { secret: signingSecret }),
      }),
      ({ context }, { resource, secret }) => {
        const row = destinations.getDestination(context, resource);
        return row.ok
          ? ok({ destination: row.value, ...(secret !== undefined && { signingSecret: secret }) })
          : row;
      },
    );
  }

  listDestinations(call: Call, page: PageRequest): Answer<Page<DestinationView>> {
    return this.#read(call, "settings:read", ({ context }) => destinations.listDestinations(context, page));
  }

  getDestination(call: Call, idOrName: string): Answer<DestinationView> {
    return this.#read(call, "settings:read", ({ context }) => destinations.getDestination(context, idOrName));
  }

  patchDestination(
    call: Call,
    idOrName: string,
    input: destinations.PatchDestinationInput,
  ): Answer<DestinationView> {
    return this.#write(call, "settings:write", ({ context }, caller) =>
      destinations.patchDestination(context, caller, idOrName, input),
    );
  }

  deleteDestination(call: Call, idOrName: string): Answer<void> {
    return this.#write(call, "settings:write", ({ context }, caller) =>
      destinations.deleteDestination(context, caller, idOrName),
    );
  }

  /** Sends a probe now and answers how it ended. The same request again sends none and answers how the destination stands. */
  async testDestination(call: Call, idOrName: string): Promise<Answer<destinations.TestedDestination>> {
    let isRepeated = false;
    const found = this.#write(
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
    return this.#read(call, "keys:read", ({ context }) => destinations.listDeliveries(context, key, page));
  }

  listEvents(call: Call, query: events.EventQuery, page: PageRequest): Answer<Page<EventView>> {
    return this.#read(call, "events:read", ({ context }) => events.listEvents(context, query, page));
  }

  /** A slice of the history for a stream, oldest first; `from` is what the slice before gave. */
  readEvents(
    call: Call,
    query: events.EventQuery,
    from: events.EventSlice["next"],
  ): Answer<events.EventSlice> {
    return this.#read(call, "events:read", ({ context }) => ok(events.readEvents(context, query, from)));
  }

  verifyEvents(call: Call): Answer<ChainReport> {
    return this.#read(call, "events:read", ({ context }) => ok(verifyChain(context.store.events)));
  }

  /**
   * Root accepts a history that is behind its anchor. What died since is revoked again first, so nothing comes back to life.
   * @returns how many entries of the history are gone, and how many versions were revoked again
   */
  async reconcile(route: string): Promise<Answer<{ lostEvents: number; revoked: number }>> {
    const open = this.#opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    if (this.#guard.state.kind === "unknown") await this.#compare();
    this.#recordRoot(context, { route });
    const { state } = this.#guard;
    if (state.kind === "unknown") return this.#refuse({ code: "registry-unreachable", retryAfterSeconds: 1 });
    if (state.kind === "whole") return ok({ lostEvents: 0, revoked: 0 });
    const registry = registryOf(this.env);
    const { code } = context.identity;
    const dead: string[] = [];
    for (let after: DeadVersion = { at: 0, versionId: "" }; ; ) {
      const page = await registry.deadOf(code, after, DEAD_PAGE);
      dead.push(...page.map(({ versionId }) => versionId));
      const last = page.at(-1);
      if (!last || page.length < DEAD_PAGE) break;
      after = last;
    }
    const lostEvents = Math.max(0, state.anchor.seq - (context.store.events.head()?.seq ?? 0));
    const revoked = operations.reconcile(context, dead, state.anchor.seq);
    const head = context.store.events.head();
    if (head) await registry.setAnchor(code, head);
    this.#guard.accept();
    engine.pump();
    return ok({ lostEvents, revoked });
  }

  /**
   * The sweep's visit: starts what is past its age and sets the alarm again, should it have been lost.
   * @returns when the next scheduled start is due (milliseconds since the epoch), or null; `more` when some are due already
   */
  visit(): Answer<{ nextStartAt: number | null; started: number; more: boolean }> {
    const open = this.#opened();
    if (!open.ok) return open;
    const refusal = this.#guard.refusal();
    if (refusal) return this.#refuse(refusal);
    const { context, engine } = open.value;
    const { due } = context.store;
    this.#alarmAt = null;
    // What is due when this returns goes back with the answer and needs no report of its own.
    let nextStartAt = due.earliestStartAt();
    this.#reportedStartAt = nextStartAt;
    let started = 0;
    if (nextStartAt !== null && nextStartAt <= context.now()) {
      started = engine.startDue(STARTS_PER_VISIT);
      nextStartAt = due.earliestStartAt();
      this.#reportedStartAt = nextStartAt;
    } else {
      engine.pump();
    }
    return ok({ nextStartAt, started, more: nextStartAt !== null && nextStartAt <= context.now() });
  }

  /** Serves what is under way. Never throws: the platform drops an alarm that failed six times. */
  override alarm(): void {
    this.#alarmAt = null;
    try {
      const open = this.#opened();
      const refusal = this.#guard.refusal();
      if (refusal) this.#refuse(refusal);
      if (open.ok && !refusal) open.value.engine.pump();
      else if (isMade(this.#sql)) this.#setAlarm(Date.now() + ALARM_AFTER_BUG_MS);
    } catch (error) {
      logBug(error);
      this.#setAlarm(Date.now() + ALARM_AFTER_BUG_MS);
    }
  }

  #read<T>(call: Call, scope: Scope, body: (open: Open, caller: Caller) => Answer<T>): Answer<T> {
    const open = this.#opened();
    if (!open.ok) return open;
    const { context } = open.value;
    // Root may look at a keyring that is closed; an access key might be one that was revoked.
    const refusal = call.credential.kind === "root" ? undefined : this.#guard.refusal();
    if (refusal) return this.#refuse(refusal);
    const caller = authenticate(context, call.credential, scope);
    if (!caller.ok) return caller;
    if (caller.value.id === "root") this.#recordRoot(context, call);
    return body(open.value, caller.value);
  }

  /**
   * One change in one transaction. With an Idempotency-Key the same request is answered by `replay` from what `keep` kept.
   */
  #write<T>(
    call: Call,
    scope: Scope,
    body: (open: Open, caller: Caller) => Answer<T>,
    keep?: (made: T) => { resource: string; secret?: string },
    replay?: (open: Open, earlier: Earlier, caller: Caller) => Answer<T>,
  ): Answer<T> {
    const open = this.#opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    const refusal = this.#guard.refusal();
    if (refusal) return this.#refuse(refusal);
    const caller = authenticate(context, call.credential, scope);
    if (!caller.ok) return caller;
    if (caller.value.id === "root") this.#recordRoot(context, call);
    const { idempotency } = call;
    if (idempotency && replay) {
      const earlier = recall(context, caller.value, idempotency);
      if (!earlier.ok) return earlier;
      if (earlier.value) return replay(open.value, earlier.value, caller.value);
    }
    const result = rollBackOnFailure(context.store, () => {
      const made = body(open.value, caller.value);
      if (made.ok && idempotency && keep) {
        const { resource, secret } = keep(made.value);
        remember(context, caller.value, idempotency, resource, secret);
      }
      return made;
    });
    if (result.ok) {
      engine.pump();
      engine.wake();
    }
    return result;
  }

  #recordRoot(context: EngineContext, { route }: Pick<Call, "route">): void {
    context.store.transaction(() => record(context, { type: "root.used", actor: "root", data: { route } }));
  }

  /** Compares the history with its anchor, and says so when it is behind. */
  async #compare(): Promise<void> {
    await this.#guard.compare(new EventTable(this.#sql));
    const { state } = this.#guard;
    const open = state.kind === "behind" ? this.#opened() : undefined;
    if (state.kind === "behind" && open?.ok) operations.reportBehind(open.value.context, state.anchor.seq);
  }

  /** Refuses because of the history. While that could not be compared, it is tried again. */
  #refuse(refusal: Failure): { ok: false; error: Failure } {
    if (this.#guard.state.kind === "unknown") this.ctx.waitUntil(this.#compare());
    return { ok: false, error: refusal };
  }

  /**
   * The witness hears of the versions that a call ended before the caller does. When it does not answer, they are `revoking` until it
   * does: the engine goes on.
   */
  async #anchorEnded(ended: Answer<KeyView>): Promise<void> {
    if (!ended.ok || !this.#open) return;
    const { context } = this.#open;
    const versions = context.store.versions.alive(ended.value.id).filter(({ stage }) => stage === "revoking");
    await isAnchored(context, versions);
  }

  /** Tells the registry when a scheduled start came nearer, which may be at the end of a rotation just as well as in a call. */
  #reportStart({ store, identity }: EngineContext): void {
    const at = store.due.earliestStartAt();
    const known = this.#reportedStartAt;
    if (at === null || (known !== undefined && known !== null && known <= at)) return;
    this.#reportedStartAt = at;
    this.ctx.waitUntil(
      registryOf(this.env)
        .noteStart(identity.code, at)
        .catch((error: unknown) => {
          this.#reportedStartAt = undefined;
          logBug(error);
        }),
    );
  }

  #opened(): Answer<Open> {
    if (this.#open) return ok(this.#open);
    const opened = openContext(this.#sql, this.env, this.ctx.exports.Outside);
    if (!opened.ok) return opened;
    const context = opened.value;
    const engine = new Engine(context, {
      keepAlive: (work) => this.ctx.waitUntil(work),
      arm: () => {
        this.#arm();
        this.#reportStart(context);
      },
      onBug: logBug,
    });
    this.#open = { context, engine };
    return ok(this.#open);
  }

  #arm(): void {
    const at = this.#open?.engine.nextAlarmAt() ?? null;
    if (at !== null && (this.#alarmAt === null || at < this.#alarmAt)) this.#setAlarm(at);
  }

  #setAlarm(at: number): void {
    this.#alarmAt = at;
    this.ctx.storage.setAlarm(at).catch(logBug);
  }
}

/** A failure leaves nothing behind: the transaction is rolled back before it is answered. */
function rollBackOnFailure<T>(store: Store, body: () => Answer<T>): Answer<T> {
  let failed: Answer<T> | undefined;
  try {
    return store.transaction(() => {
      const result = body();
      if (result.ok) return result;
      failed = result;
      throw new Error("rolled back");
    });
  } catch (error) {
    if (failed) return failed;
    throw error;
  }
}

/** A bug in our own code. Only its kind and place are logged: a message might quote what it worked on. */
function logBug(error: unknown): void {
  const name = error instanceof Error ? error.name : typeof error;
  const at = error instanceof Error ? (error.stack?.split("\n")[1]?.trim() ?? "") : "";
  console.error(JSON.stringify({ level: "error", code: "internal", name, at }));
}
