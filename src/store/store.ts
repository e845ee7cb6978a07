/** All tables of one keyring over one database. SQL and nothing else. */
import { ConnectionTable } from "./connections.ts";
import { DeliveryTable } from "./deliveries.ts";
import { DestinationTable } from "./destinations.ts";
import { DueQueue } from "./due.ts";
import { EventTable } from "./events.ts";
import { HeldSql } from "./held-sql.ts";
import { IdempotencyTable } from "./idempotency.ts";
import { KeyTable } from "./keys.ts";
import { PolicyTable } from "./policies.ts";
import { RotationTable } from "./rotations.ts";
import { RowCache } from "./row-cache.ts";
import { SettingTable } from "./settings.ts";
import type { Sql } from "./sql.ts";
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
  readonly policies: PolicyTable;
  readonly #sql: HeldSql;
  readonly #cache: RowCache;

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
    this.settings = new SettingTable(held);
    this.keys = new KeyTable(held, cache, this.due);
    this.versions = new VersionTable(held, cache, this.due);
    this.rotations = new RotationTable(held, cache, this.due);
    this.deliveries = new DeliveryTable(held, cache, this.due);
    this.connections = new ConnectionTable(held, cache);
    this.destinations = new DestinationTable(held, cache);
    this.events = new EventTable(held);
    this.idempotency = new IdempotencyTable(held, cache, this.due);
    this.policies = new PolicyTable(held, cache, this.due);
  }

  /** One commit: all of `body` is stored, or, when it throws, nothing. */
  transaction<T>(body: () => T): T {
    return this.#cache.during(() => this.#sql.transaction(body));
  }
}
