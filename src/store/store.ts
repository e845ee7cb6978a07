/** All tables of one keyring over one database. SQL and nothing else. */
import { ConnectionTable } from "./connections.ts";
import { DeliveryTable } from "./deliveries.ts";
import { DestinationTable } from "./destinations.ts";
import { DueQueue } from "./due.ts";
import { EventTable } from "./events.ts";
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
  readonly #sql: Sql;
  readonly #cache = new RowCache();

  constructor(sql: Sql) {
    this.#sql = sql;
    this.due = new DueQueue(sql);
    this.settings = new SettingTable(sql);
    this.keys = new KeyTable(sql, this.#cache, this.due);
    this.versions = new VersionTable(sql, this.#cache, this.due);
    this.rotations = new RotationTable(sql, this.#cache, this.due);
    this.deliveries = new DeliveryTable(sql, this.#cache, this.due);
    this.connections = new ConnectionTable(sql, this.#cache);
    this.destinations = new DestinationTable(sql, this.#cache);
    this.events = new EventTable(sql);
    this.idempotency = new IdempotencyTable(sql, this.#cache, this.due);
    this.policies = new PolicyTable(sql, this.#cache, this.due);
  }

  /** One commit: all of `body` is stored, or, when it throws, nothing. */
  transaction<T>(body: () => T): T {
    return this.#cache.during(() => this.#sql.transaction(body));
  }
}
