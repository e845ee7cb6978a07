/** All tables of one keyring over one database. SQL and nothing else. */
import { BatchTable } from "./batches.ts";
import { ChoreTable } from "./chores.ts";
import { CompromiseTable, LeakTable } from "./compromises.ts";
import { ConnectionTable } from "./connections.ts";
import { DeliveryTable } from "./deliveries.ts";
import { DestinationTable } from "./destinations.ts";
import { DueQueue } from "./due.ts";
import { EdgeRecordTable } from "./edge-records.ts";
import { type EventRow, EventTable } from "./events.ts";
import { HeldSql } from "./held-sql.ts";
import { IdempotencyTable } from "./idempotency.ts";
import { KeyUseTable } from "./key-uses.ts";
import { KeyTable } from "./keys.ts";
import { Overview } from "./overview.ts";
import { PolicyTable } from "./policies.ts";
import { RotationTable } from "./rotations.ts";
import { RowCache } from "./row-cache.ts";
import { SettingTable } from "./settings.ts";
import { SignalTable } from "./signals.ts";
import type { Sql } from "./sql.ts";
import { SubscriptionTable } from "./subscriptions.ts";
import { ValueClaimTable } from "./value-claims.ts";
import { Verifiables } from "./verifiables.ts";
import { VersionTable } from "./versions.ts";

export class Store {
  readonly due: DueQueue;
  readonly settings: SettingTable;
  readonly keys: KeyTable;
  readonly versions: VersionTable;
  readonly rotations: RotationTable;
  readonly deliveries: DeliveryTable;
  readonly destinations: DestinationTable;
  readonly connections: ConnectionTable;
  readonly events: EventTable;
  readonly idempotency: IdempotencyTable;
  readonly subscriptions: SubscriptionTable;
  readonly chores: ChoreTable;
  readonly valueClaims: ValueClaimTable;
  readonly policies: PolicyTable;
  readonly compromises: CompromiseTable;
  readonly leaks: LeakTable;
  readonly signals: SignalTable;
  readonly batches: BatchTable;
  readonly keyUses: KeyUseTable;
  readonly edgeRecords: EdgeRecordTable;
  readonly verifiables: Verifiables;
  readonly overview: Overview;
  readonly #sql: HeldSql;
  readonly #cache: RowCache;
  /** Events of the transaction under way. */
  readonly #appended: EventRow[] = [];
  #depth = 0;
  #onCommitted: (events: readonly EventRow[]) => void = () => undefined;

  /**
   * @param options.isOnlyWriter whether nothing else writes this database for as long as the store is used: what was read once is then
   * remembered from one transaction to the next
   */
  constructor(sql: Sql, { isOnlyWriter = false } = {}) {
    const held = new HeldSql(sql);
    const cache = new RowCache(isOnlyWriter);
    held.register(cache);
    this.#sql = held;
    this.#cache = cache;
    this.due = new DueQueue(held, isOnlyWriter);
    this.settings = new SettingTable(held, cache);
    this.edgeRecords = new EdgeRecordTable(held, cache, this.due);
    this.verifiables = new Verifiables(held, cache, isOnlyWriter);
    this.keyUses = new KeyUseTable(held, cache);
    this.keys = new KeyTable(held, cache, this.due, this.edgeRecords);
    this.versions = new VersionTable(held, cache, this.due, this.edgeRecords);
    this.rotations = new RotationTable(held, cache, this.due);
    this.deliveries = new DeliveryTable(held, cache, this.due);
    this.connections = new ConnectionTable(held, cache);
    this.destinations = new DestinationTable(held, cache);
    this.events = new EventTable(held, cache, (row) => this.#appended.push(row));
    this.idempotency = new IdempotencyTable(held, cache, this.due);
    this.valueClaims = new ValueClaimTable(held, cache, this.due);
    this.subscriptions = new SubscriptionTable(held, cache, this.due);
    this.chores = new ChoreTable(held, cache, this.due);
    this.policies = new PolicyTable(held, cache, this.due);
    this.compromises = new CompromiseTable(held, cache, this.due);
    this.leaks = new LeakTable(held, cache);
    this.signals = new SignalTable(held, cache);
    this.batches = new BatchTable(held, cache, this.due);
    this.overview = new Overview(held);
  }

  /** Has somebody told of the events of each commit, once it is made. One that was rolled back is never told of. */
  onCommitted(listener: (events: readonly EventRow[]) => void): void {
    this.#onCommitted = listener;
  }

  /**
   * Has somebody hear of each row that is written through its table, as `table:id`, whether it is kept or rolled back. Tables that write
   * past their class have to say so by `forget`. Returns how to stop that.
   */
  watchWrites(watcher: (row: string) => void): () => void {
    return this.#cache.watch(watcher);
  }

  /** Whether this keyring was imported and waits for its release. */
  isOnHold(): boolean {
    return this.#sql.now("SELECT 1 FROM held LIMIT 1").length > 0;
  }

  /** One commit: all of `body` is stored, or, when it throws, nothing. */
  transaction<T>(body: () => T): T {
    const before = this.#appended.length;
    this.#depth += 1;
    try {
      return this.#cache.during(() => this.#sql.transaction(body));
    } catch (error) {
      this.#appended.length = before;
      throw error;
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0 && this.#appended.length > 0) this.#onCommitted(this.#appended.splice(0));
    }
  }
}
