/**
 * What every method of a keyring's object goes through: the keyring opened and compared with its anchor, the caller authenticated,
 * one transaction, and the one alarm set again. Which methods there are is in keyring.ts and methods/.
 */
import { wrapDataKey } from "../crypto/master-keys.ts";
import { secureRandom } from "../crypto/random.ts";
import { readConfig } from "../env.ts";
import type { Failure } from "../errors/catalogue.ts";
import { registryOf } from "../registry/stub.ts";
import { err, ok, type Result } from "../result.ts";
import { type EngineContext, record } from "../rotation/context.ts";
import { Engine } from "../rotation/engine.ts";
import { answersFor } from "../rotation/kinship.ts";
import type { Outage } from "../rotation/policy.ts";
import { isAnchored } from "../rotation/witness.ts";
import { isMade, migrate } from "../store/migrations.ts";
import type { KeyringIdentity } from "../store/settings.ts";
import { durableObjectSql, type Sql } from "../store/sql.ts";
import { Store } from "../store/store.ts";
import { actingOf } from "./agent.ts";
import { Alarm } from "./alarm.ts";
import { logBug, runLogged } from "./bugs.ts";
import type { Answer, Call } from "./call.ts";
import { authenticate, type Caller, type Credential } from "./caller.ts";
import { listDead } from "./dead.ts";
import { HistoryGuard } from "./history-guard.ts";
import { type Earlier, recall, remember } from "./idempotency.ts";
import { openContext } from "./opening.ts";
import * as history from "./operations/history.ts";
import { Pace } from "./pace.ts";
import { Reports } from "./reports.ts";
import type { Scope } from "./scopes.ts";
import { TransferDesk } from "./transfer/desk.ts";
import { releaseSome } from "./transfer/hold.ts";
import { Uses } from "./uses.ts";
import type { KeyView } from "./views.ts";
import { type Visited, visit } from "./visit.ts";

export type { Answer, Call } from "./call.ts";

/** What lets a caller in: a scope of an access key, or a look at the credential of a route's own. */
export type Gate = Scope | ((context: EngineContext, credential: Credential) => Result<Caller, Failure>);

export interface Open {
  context: EngineContext;
  engine: Engine;
  uses: Uses;
}

/** What reconciling did: entries of the history that are gone, and versions that were revoked again. */
export interface Reconciled {
  lostEvents: number;
  revoked: number;
}

/** How long after a bug the alarm looks again. */
const ALARM_AFTER_BUG_MS = 60_000;

export class Host {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #sql: Sql;
  readonly #guard: HistoryGuard;
  readonly #alarm: Alarm;
  readonly #reports: Reports;
  /** Export and import of the whole keyring. */
  readonly transfers: TransferDesk;
  #open: Open | undefined;
  readonly #noted = new WeakSet<Call>();
  readonly #pace = new Pace();

  constructor(ctx: DurableObjectState, env: Env) {
    this.#ctx = ctx;
    this.#env = env;
    this.#sql = durableObjectSql(ctx.storage);
    this.#alarm = new Alarm(ctx.storage);
    this.#reports = new Reports(ctx, env, this.#sql);
    this.#guard = new HistoryGuard(async () => {
      const store = new Store(this.#sql);
      const { code = "" } = store.settings.identity() ?? {};
      const { anchor, nextStartAt } = await registryOf(env).standingOf(code);
      this.#reports.makeUpFor(store, code, nextStartAt);
      return anchor;
    });
    this.transfers = new TransferDesk({
      ctx,
      env,
      sql: this.#sql,
      opened: () => this.opened(),
      refusal: () => this.refusal(),
      wakeAt: (at) => this.#alarm.arm(at),
      replaced: () => this.#startOver(),
    });
    if (!isMade(this.#sql)) return;
    migrate(this.#sql);
    ctx.blockConcurrencyWhile(() => this.#compare());
  }

  /** See `Keyring.make`. */
  make(identity: KeyringIdentity): Answer<null> {
    if (isMade(this.#sql)) return ok(null);
    const config = readConfig(this.#env);
    if (!config.ok) return err({ code: "not-configured", detail: config.error.join("; ") });
    this.#ctx.storage.transactionSync(() => {
      migrate(this.#sql);
      const store = new Store(this.#sql);
      store.settings.setIdentity(identity);
      store.settings.setWrappedDataKey(
        wrapDataKey(config.value.masterKeys, identity.code, secureRandom(32), secureRandom),
      );
    });
    this.#guard.accept();
    const open = this.opened();
    if (!open.ok) return open;
    const { context } = open.value;
    this.#reports.reportMasterKey();
    context.store.transaction(() =>
      record(context, { type: "keyring.created", actor: "root", data: { ...identity } }),
    );
    return ok(null);
  }

  /** Answers from the database as it is. Root may look at a keyring that is closed. */
  read<T>(call: Call, gate: Gate, body: (open: Open, caller: Caller) => Answer<T>): Answer<T> {
    const open = this.opened();
    if (!open.ok) return open;
    const { context } = open.value;
    // An access key might be one that was revoked.
    const refusal = call.credential.kind === "root" ? undefined : this.refusal();
    if (refusal) return refusal;
    const caller = admit(context, call.credential, gate);
    if (!caller.ok) return caller;
    this.#noteCaller(open.value, caller.value, call);
    const answer = body(open.value, caller.value);
    // Somebody may be told of the use of a root token.
    if (caller.value.id === "root") this.arm();
    return answer;
  }

  /**
   * One change in one transaction. With an Idempotency-Key the same request is answered by `replay` from what `keep` kept.
   */
  write<T>(
    call: Call,
    gate: Gate,
    body: (open: Open, caller: Caller) => Answer<T>,
    keep?: (made: T) => { resource: string; secret?: string },
    replay?: (open: Open, earlier: Earlier, caller: Caller) => Answer<T>,
  ): Answer<T> {
    const open = this.opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    const refusal = this.refusal();
    if (refusal) return refusal;
    const caller = admit(context, call.credential, gate);
    if (!caller.ok) return caller;
    const isFirst = this.#noteCaller(open.value, caller.value, call);
    const { agent } = call;
    const tooFast = isFirst && agent?.isDestructive ? this.#findHaste(context, caller.value) : undefined;
    if (tooFast) return err(tooFast);
    const acting = agent && actingOf(context, caller.value, agent);
    const within = acting ? { ...open.value, context: { ...context, acting } } : open.value;
    const { idempotency } = call;
    if (idempotency && replay) {
      const earlier = recall(context, caller.value, idempotency);
      if (!earlier.ok) return earlier;
      if (earlier.value) return replay(open.value, earlier.value, caller.value);
    }
    const result = rollBackOnFailure(context.store, () => {
      const made = body(within, caller.value);
      if (made.ok && idempotency && keep) {
        const { resource, secret } = keep(made.value);
        remember(context, caller.value, idempotency, resource, secret);
      }
      return made;
    });
    if (result.ok) {
      engine.beginInvocation();
      engine.pump();
      engine.watchers.wake();
    } else if (caller.value.id === "root") this.arm();
    return result;
  }

  /**
   * What somebody without a credential of this keyring's brings, whom the Worker has checked: one transaction, answered before the engine
   * takes up what it made due. The alarm is set in the same turn, should the process end before that.
   */
  accept<T>(body: (open: Open) => Answer<T>): Answer<T> {
    const open = this.opened();
    if (!open.ok) return open;
    const refusal = this.refusal();
    if (refusal) return refusal;
    const { context, engine } = open.value;
    const result = rollBackOnFailure(context.store, () => body(open.value));
    if (result.ok) {
      engine.beginInvocation();
      engine.pumpSoon();
      this.arm();
    }
    return result;
  }

  /**
   * Each use of a root token is an event; that an access key is in use shows at its version. A call that writes twice is one use.
   * @returns whether this is the first that is heard of the call
   */
  #noteCaller({ context, uses }: Open, caller: Caller, call: Call): boolean {
    if (this.#noted.has(call)) return false;
    this.#noted.add(call);
    if (caller.id === "root") this.#recordRoot(context, call);
    else if (caller.versionId !== undefined) uses.see(caller.versionId, context.now());
    return true;
  }

  /** Refuses a caller who destroys too fast, or undefined. */
  #findHaste(context: EngineContext, { id }: Caller): Failure | undefined {
    const key = context.store.keys.get(id);
    const until = this.#pace.take(key ? answersFor(context, key).id : id, context.now());
    return until === undefined
      ? undefined
      : { code: "too-destructive", retryAt: new Date(until).toISOString() };
  }

  #recordRoot(context: EngineContext, { route }: Pick<Call, "route">): void {
    context.store.transaction(() => record(context, { type: "root.used", actor: "root", data: { route } }));
  }

  /** Compares the history with its anchor, and says so when it is behind. */
  async #compare(): Promise<void> {
    await this.#guard.compare(new Store(this.#sql));
    const { state } = this.#guard;
    const open = state.kind === "behind" ? this.opened() : undefined;
    if (state.kind === "behind" && open?.ok) history.reportBehind(open.value.context, state.anchor.seq);
  }

  /** Refuses what depends on the history, or undefined. While that could not be compared, it is tried again. */
  refusal(): { ok: false; error: Failure } | undefined {
    const error = this.#guard.refusal();
    if (!error) return undefined;
    if (this.#guard.state.kind === "unknown") this.#ctx.waitUntil(this.#compare());
    return { ok: false, error };
  }

  /**
   * The witness hears of the versions that a call ended before the caller does. When it does not answer, they are `revoking` until it
   * does: the engine goes on.
   * @param also number of a version that nothing goes on with
   */
  async anchorEnded(ended: Answer<KeyView>, also?: number): Promise<void> {
    if (ended.ok) await this.anchorKey(ended.value.id, also);
  }

  /** The same for whatever ended of a key. */
  async anchorKey(keyId: string, also?: number): Promise<void> {
    if (!this.#open) return;
    const { context } = this.#open;
    const versions = context.store.versions
      .ofKey(keyId)
      .filter(({ stage, number }) => stage === "revoking" || number === also);
    await isAnchored(context, versions);
  }

  /** The database was replaced by an import: whatever this instance knew of the one before is void. */
  #startOver(): void {
    this.#open = undefined;
    this.#reports.noteStart(undefined);
    this.#guard.accept();
    const open = this.opened();
    if (open.ok) open.value.engine.pump();
    this.#reports.reportMasterKey();
  }

  /** Lets some of what an import left on hold go on. */
  release(call: Call): Answer<{ released: number; left: number }> {
    return this.write(call, "settings:write", ({ context }) => ok(releaseSome(context, this.#sql)));
  }

  /** Everything that works on the database. Fails when the keyring was never made or cannot be opened. */
  opened(): Answer<Open> {
    if (this.#open) return ok(this.#open);
    const opened = openContext(this.#sql, this.#env, this.#ctx.exports.Outside, () =>
      this.#reports.reportMasterKey(),
    );
    if (!opened.ok) return opened;
    const context = opened.value;
    // After a while, in an object that is still there: nothing depends on it.
    const uses = new Uses(context.store, (run, delayMs) => void setTimeout(() => runLogged(run), delayMs));
    const engine = new Engine(context, {
      storeUses: () => uses.write(),
      keepAlive: (work) => this.#ctx.waitUntil(work),
      arm: (at) => {
        this.#alarm.arm(at);
        this.#reports.reportStart(context);
      },
      soon: (run) =>
        this.#ctx.waitUntil(
          new Promise<void>((resolve) => {
            setTimeout(() => {
              runLogged(run);
              resolve();
            }, 0);
          }),
        ),
      onBug: logBug,
    });
    this.#open = { context, engine, uses };
    return ok(this.#open);
  }

  /** Sets the alarm to the next work that is due, unless it rings before. */
  arm(): void {
    this.#alarm.arm(this.#open?.engine.nextAlarmAt() ?? null);
  }

  /** See `Keyring.reconcile`. */
  async reconcile(route: string): Promise<Answer<Reconciled>> {
    const open = this.opened();
    if (!open.ok) return open;
    const { context, engine } = open.value;
    if (this.#guard.state.kind === "unknown") await this.#compare();
    this.#recordRoot(context, { route });
    const { state } = this.#guard;
    if (state.kind === "unknown") return this.refusal() ?? err({ code: "registry-unreachable" });
    if (state.kind === "whole") return ok({ lostEvents: 0, revoked: 0 });
    const registry = registryOf(this.#env);
    const { code } = context.identity;
    const dead = await listDead(registry, code);
    const lostEvents = Math.max(0, state.anchor.seq - state.headSeq);
    const revoked = history.reconcile(context, dead, state.anchor.seq);
    const head = context.store.events.head();
    if (head) await registry.setAnchor(code, head);
    this.#guard.accept();
    engine.pump();
    return ok({ lostEvents, revoked });
  }

  /** See `Keyring.visit`. */
  visit(outage: Outage | null = null): Answer<Visited> {
    const open = this.opened();
    if (!open.ok) return open;
    const refusal = this.refusal();
    if (refusal) return refusal;
    this.transfers.tidy();
    this.#alarm.forget();
    return ok(visit(open.value, this.#reports, outage));
  }

  /** See `Keyring.masterKey`. */
  masterKey(): Answer<{ masterKeyId: string | null }> {
    const open = this.opened();
    if (!open.ok) return open;
    const { settings } = open.value.context.store;
    return ok({ masterKeyId: settings.wrappedDataKey()?.masterKeyId ?? null });
  }

  /** The alarm: serves what is under way. Never throws, as the platform drops an alarm that failed six times. */
  ring(): void {
    this.#alarm.forget();
    try {
      this.transfers.tidy();
      const open = this.opened();
      const isOpen = open.ok && !this.refusal();
      if (isOpen) {
        open.value.engine.beginInvocation();
        open.value.engine.pump();
      } else if (isMade(this.#sql)) this.#alarm.set(Date.now() + ALARM_AFTER_BUG_MS);
    } catch (error) {
      logBug(error);
      this.#alarm.set(Date.now() + ALARM_AFTER_BUG_MS);
    }
  }
}

function admit(context: EngineContext, credential: Credential, gate: Gate): Result<Caller, Failure> {
  return typeof gate === "function" ? gate(context, credential) : authenticate(context, credential, gate);
}

/** Where this deployment is reached, as far as that is known. */
export function originOf({ publicUrl }: EngineContext, { origin }: Call): string {
  return publicUrl ?? origin ?? "";
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
