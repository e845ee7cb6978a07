/**
 * A keyring under simulated time: the real store and engine over `node:sqlite`, with an outside whose every call can be made to
 * fail, to lose its answer or to kill the process around it. Nothing sleeps: time moves to the next event.
 */
import { setImmediate } from "node:timers/promises";
import { Vault } from "../../src/crypto/vault.ts";
import { Budgets } from "../../src/outbound/budget.ts";
import type { Outbound } from "../../src/outbound/port.ts";
import type { Records } from "../../src/outbound/records.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { providerOf } from "../../src/providers/registry.ts";
import { createClock } from "../../src/rotation/clock.ts";
import { ConfiguredProviders } from "../../src/rotation/configured.ts";
import type { EngineContext } from "../../src/rotation/context.ts";
import { Engine } from "../../src/rotation/engine.ts";
import { migrate } from "../../src/store/migrations.ts";
import type { Sql, SqlValue } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { findCanaries } from "./canaries.ts";
import { type NodeSql, openNodeSql } from "./node-sql.ts";

/** What may go wrong at one call to the outside. */
export const FAULTS = [
  "crash-before",
  "crash-after",
  "answer-lost",
  "answer-lost-lands-late",
  "rate-limited",
  "server-error",
  "timeout-took-effect",
  "timeout-no-effect",
  "garbage",
  "refused",
] as const;

export type Fault = (typeof FAULTS)[number];

export type Reply<T> =
  | { kind: "answered"; value: T }
  | { kind: "status"; status: number; retryAfterMs?: number }
  | { kind: "no-answer"; code: "timeout" | "network" }
  /** It did what it did, and its answer cannot be read. */
  | { kind: "garbage"; value: T };

/** Decides the fault of the n-th call of a run. */
export type Plan = (index: number, name: string) => Fault | undefined;

const LATENCY_MS = 50;
const TIMEOUT_MS = 15_000;
const LATE_MS = 20_000;
const RETRY_AFTER_MS = 7_000;
const RESTART_MS = 1_000;
const CRON_MS = 5 * 60_000;
/** A clock days ahead is asked about each minute, by each version that waits for its end. */
const MAX_EVENTS = 100_000;

interface Timer {
  at: number;
  order: number;
  run(): void;
}

interface Instance {
  alive: boolean;
  context: EngineContext;
  engine: Engine;
  /** Kept in memory, so a new instance begins with full ones. */
  budgets: Budgets;
}

export interface SimulatorOptions {
  plan?: Plan;
  /** A number in [0, 1) each time, so that a run can be repeated. */
  seed?: number;
  providers?: Record<string, Provider>;
  outbound: (simulator: Simulator) => Outbound;
  /** Where records for the edge go. Default: nowhere, at once. */
  records?: (simulator: Simulator) => Records;
  /** Looks at the database and the world after each commit; says what is broken. */
  inspect?: (simulator: Simulator) => string[];
}

class InstanceDied extends Error {}

export class Simulator {
  /** Milliseconds since the epoch. */
  now = Date.UTC(2026, 0, 1);
  /** How wrong the machine's clock is. The world keeps the right time. */
  skewMs = 0;
  /** Names of the calls made, in order. A test may begin it anew. */
  readonly calls: string[] = [];
  /** Calls made so far. */
  asked = 0;
  /** Promises that were broken, in words. */
  readonly broken: string[] = [];
  /** Bugs: steps that threw. */
  readonly bugs: unknown[] = [];
  /** The store for the test's own eyes. */
  readonly store: Store;
  /** How far the history had come when the registry last heard of it. */
  anchor: { seq: number; hash: Uint8Array } = { seq: 0, hash: new Uint8Array() };
  /** Ids of the versions that the registry knows to be dead. */
  readonly dead = new Set<string>();
  /** Runs every alarm twice, one right after the other. */
  doubleAlarms = false;
  readonly #sql: NodeSql;
  readonly #options: SimulatorOptions;
  readonly #dataKey: Uint8Array;
  #timers: Timer[] = [];
  #order = 0;
  #alarmAt: number | null = null;
  #nextCronAt: number;
  readonly #startedAt = this.now;
  #random: number;
  #inspecting = false;
  #instance: Instance;

  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.#random = options.seed ?? 1;
    this.#nextCronAt = this.now + CRON_MS;
    this.#sql = openNodeSql(
      () => this.#inspect(),
      (query, values) => this.broken.push(...findCanaries(query, values)),
    );
    this.#sql.begin(migrate);
    this.store = new Store(this.#sql);
    this.#dataKey = this.random(32);
    this.#instance = this.#open();
  }

  /** Rows by any query, for the test's own eyes. */
  rows<Row>(query: string, ...params: SqlValue[]): Row[] {
    return this.#sql.all<Row>(query, ...params);
  }

  get context(): EngineContext {
    return this.#instance.context;
  }

  get engine(): Engine {
    return this.#instance.engine;
  }

  /** Repeatable bytes; never use outside a simulation. */
  random = (size: number): Uint8Array => {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) {
      this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[i] = this.#random >>> 24;
    }
    return bytes;
  };

  /** Runs something at a later time. */
  after(delayMs: number, run: () => void): void {
    this.#order += 1;
    this.#timers.push({ at: this.now + delayMs, order: this.#order, run });
  }

  /**
   * One call to the outside. `effect` is what it does there; the plan decides whether it happens and what is heard of it.
   */
  outside<T>(name: string, effect: () => T): Promise<Reply<T>> {
    this.#mustLive();
    const index = this.calls.length;
    this.calls.push(name);
    this.asked += 1;
    const caller = this.#instance;
    const fault = this.#options.plan?.(index, name);
    return new Promise((resolve) => {
      const hear = (delayMs: number, reply: () => Reply<T>) =>
        this.after(delayMs, () => {
          const heard = reply();
          if (caller.alive) resolve(heard);
        });
      const noAnswer = (code: "timeout" | "network"): Reply<T> => ({ kind: "no-answer", code });
      switch (fault) {
        case undefined:
          return hear(LATENCY_MS, () => ({ kind: "answered", value: effect() }));
        case "crash-before":
          return this.crash();
        case "crash-after":
          return this.after(LATENCY_MS, () => {
            effect();
            if (caller.alive) this.crash();
          });
        case "answer-lost":
          return hear(LATENCY_MS, () => {
            effect();
            return noAnswer("network");
          });
        case "answer-lost-lands-late":
          // The connection broke, and what was on its way arrives although nobody waits for it any more.
          this.after(LATE_MS, effect);
          return hear(LATENCY_MS, () => noAnswer("network"));
        case "timeout-took-effect":
          this.after(TIMEOUT_MS - LATENCY_MS, effect);
          return hear(TIMEOUT_MS, () => noAnswer("timeout"));
        case "timeout-no-effect":
          return hear(TIMEOUT_MS, () => noAnswer("timeout"));
        case "rate-limited":
          return hear(LATENCY_MS, () => ({ kind: "status", status: 429, retryAfterMs: RETRY_AFTER_MS }));
        case "server-error":
          return hear(LATENCY_MS, () => ({ kind: "status", status: 503 }));
        case "refused":
          return hear(LATENCY_MS, () => ({ kind: "status", status: 403 }));
        case "garbage":
          return hear(LATENCY_MS, () => ({ kind: "garbage", value: effect() }));
      }
    });
  }

  /** Kills the process: nothing that it still had to say is heard, and a new one starts a second later on the same database. */
  crash(): void {
    this.#instance.alive = false;
    this.after(RESTART_MS, () => {
      if (!this.#instance.alive) this.#restart();
    });
  }

  /** The object is evicted between two events: memory is lost, storage and alarm stay. */
  evict(): void {
    this.#instance.alive = false;
    this.#restart();
  }

  /** A person or program acts: one transaction, then the engine goes on. A request to a dead object starts a new one. */
  act<T>(change: (context: EngineContext, engine: Engine) => T): T {
    // One that dies in its first breath is started again.
    while (!this.#instance.alive) this.#restart();
    const { context, engine } = this.#instance;
    const result = context.store.transaction(() => change(context, engine));
    engine.beginInvocation();
    this.#ignoreDeath(() => engine.pump());
    return result;
  }

  /** A person or program acts with calls to the outside between its commits; it dies with the object. */
  async perform<T>(change: (context: EngineContext) => Promise<T>): Promise<T | undefined> {
    // One that dies in its first breath is started again.
    while (!this.#instance.alive) this.#restart();
    const { context, engine } = this.#instance;
    try {
      const result = await change(context);
      this.#ignoreDeath(() => engine.pump());
      return result;
    } catch (error) {
      if (error instanceof InstanceDied) return undefined;
      throw error;
    }
  }

  /** Lets everything that is already decided happen. */
  async settle(): Promise<void> {
    await setImmediate();
    await setImmediate();
  }

  /** Moves to the next event and lets it happen. Returns false when there is none before `until`. */
  async step(until: number): Promise<boolean> {
    await this.settle();
    const timer = this.#timers.reduce<Timer | undefined>(
      (first, next) =>
        !first || next.at < first.at || (next.at === first.at && next.order < first.order) ? next : first,
      undefined,
    );
    const alarmAt =
      this.#instance.alive && this.#alarmAt !== null ? Math.max(this.now, this.#alarmAt - this.skewMs) : null;
    const cronAt = this.#nextUsefulCron();
    const at = Math.min(timer?.at ?? Infinity, alarmAt ?? Infinity, cronAt);
    if (at > until) {
      this.now = Math.max(this.now, until);
      return false;
    }
    this.now = Math.max(this.now, at);
    if (timer && timer.at === at) {
      this.#timers = this.#timers.filter((other) => other !== timer);
      this.#ignoreDeath(timer.run);
    } else if (alarmAt === at) {
      this.#alarmAt = null;
      this.#instance.engine.beginInvocation();
      this.#ignoreDeath(() => this.#instance.engine.pump());
      if (this.doubleAlarms) this.#ignoreDeath(() => this.#instance.engine.pump());
    } else {
      this.#nextCronAt = cronAt + CRON_MS;
      if (this.#instance.alive) this.#ignoreDeath(() => this.#instance.engine.startDue(100));
    }
    await this.settle();
    return true;
  }

  /** Runs until nothing is under way, or the time is over. */
  async runFor(durationMs: number, isDone: () => boolean = () => false): Promise<void> {
    const until = this.now + durationMs;
    for (let events = 0; events < MAX_EVENTS; events++) {
      if (isDone() || !(await this.step(until))) return;
    }
    throw new Error("the simulation does not come to rest");
  }

  /** The first cron that finds something to start; the ones before it do nothing and are skipped. */
  #nextUsefulCron(): number {
    const startAt = this.store.due.earliestStartAt();
    if (startAt === null) return Infinity;
    const wait = Math.max(0, Math.ceil((startAt - this.#nextCronAt) / CRON_MS));
    const missed = Math.max(0, Math.floor((this.now - this.#nextCronAt) / CRON_MS));
    return this.#nextCronAt + Math.max(wait, missed) * CRON_MS;
  }

  #open(): Instance {
    const identity = { name: "default", code: "SimCode1" };
    const instance: Instance = {
      alive: true,
      context: undefined as unknown as EngineContext,
      engine: undefined as unknown as Engine,
      budgets: new Budgets(),
    };
    const mustLive = () => {
      if (!instance.alive) throw new InstanceDied();
    };
    const sql: Sql = {
      all: (query, ...params) => {
        mustLive();
        return this.#sql.all(query, ...params);
      },
      transaction: (body) => {
        mustLive();
        return this.#sql.transaction(body);
      },
    };
    const store = new Store(sql, { isOnlyWriter: true });
    const providers = new ConfiguredProviders(
      store,
      (name) => this.#options.providers?.[name] ?? providerOf(name),
    );
    instance.context = {
      store,
      identity,
      vault: new Vault(identity.code, this.#dataKey, this.random),
      outbound: this.#options.outbound(this),
      records: this.#options.records?.(this) ?? { write: async () => true },
      witness: {
        anchor: (head, dead) =>
          this.#ask("registry anchor", () => {
            if (head.seq > this.anchor.seq) this.anchor = head;
            for (const id of dead) this.dead.add(id);
          }),
        lastCronAt: () =>
          this.#ask("registry time", () => {
            const passed = Math.floor((this.now - this.#startedAt) / CRON_MS);
            return passed > 0 ? this.#startedAt + passed * CRON_MS : null;
          }),
      },
      random: this.random,
      spend: (account, allowance, isUrgent) => instance.budgets.take(account, allowance, this.now, isUrgent),
      ordinaryLeft: (account, allowance) => instance.budgets.ordinaryLeft(account, allowance, this.now),
      providerOf: (key) => providers.of(key),
      now: createClock(() => this.now + this.skewMs, this.store.events.lastAt()),
    };
    instance.engine = new Engine(instance.context, {
      keepAlive: () => undefined,
      // After whatever else happens at this moment, so that one commit stores it all.
      soon: (run) =>
        this.after(0, () => {
          if (instance.alive) this.#ignoreDeath(run);
        }),
      arm: (at) => {
        if (!instance.alive) return;
        if (at !== null && (this.#alarmAt === null || at < this.#alarmAt)) this.#alarmAt = at;
      },
      onBug: (error) => {
        if (!(error instanceof InstanceDied)) this.bugs.push(error);
      },
    });
    return instance;
  }

  /** One call to the registry; it fails when no answer comes. */
  async #ask<T>(name: string, effect: () => T): Promise<T> {
    const reply = await this.outside(name, effect);
    if (reply.kind === "answered") return reply.value;
    throw new Error("the registry did not answer");
  }

  #restart(): void {
    this.#instance = this.#open();
    this.#ignoreDeath(() => this.#instance.engine.pump());
  }

  #mustLive(): void {
    if (!this.#instance.alive) throw new InstanceDied();
  }

  #ignoreDeath(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof InstanceDied)) throw error;
    }
  }

  #inspect(): void {
    if (this.#inspecting || !this.#options.inspect || !this.store) return;
    this.#inspecting = true;
    try {
      this.broken.push(...this.#options.inspect(this));
    } finally {
      this.#inspecting = false;
    }
  }
}
