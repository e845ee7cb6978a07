/** A fresh database in an object of its own, without the keyring around it. */
import { runInDurableObject } from "cloudflare:test";
import { type DeliveryRow, NEW_DELIVERY } from "../../src/store/deliveries.ts";
import { type KeyRow, NEW_KEY } from "../../src/store/keys.ts";
import { migrate } from "../../src/store/migrations.ts";
import { NEW_ROTATION, type RotationRow } from "../../src/store/rotations.ts";
import { durableObjectSql, type Sql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import { NEW_VERSION, type VersionRow } from "../../src/store/versions.ts";
import { stubOf } from "./inside.ts";

/** Runs `work` over an empty database without tables. */
export function onEmptyDatabase<T>(
  work: (sql: Sql, state: DurableObjectState) => T | Promise<T>,
): Promise<T> {
  const code = crypto.randomUUID();
  return runInDurableObject(stubOf({ code }), (_, state) => work(durableObjectSql(state.storage), state));
}

/** Runs `work` over an empty database with all tables. */
export function onFreshStore<T>(
  work: (store: Store, state: DurableObjectState) => T | Promise<T>,
): Promise<T> {
  return onEmptyDatabase((sql, state) => {
    migrate(sql);
    return work(new Store(sql), state);
  });
}

export function keyRow(change: Partial<KeyRow> = {}): KeyRow {
  return {
    ...NEW_KEY,
    id: "key_1",
    name: change.id ?? "key_1",
    provider: "issuer",
    connectionId: null,
    prefix: "rekey",
    scopes: [],
    role: null,
    subject: null,
    expiresAt: null,
    labels: {},
    policy: {},
    state: "active",
    revision: 1,
    lastNumber: 1,
    createdAt: 0,
    createdBy: "root",
    ...change,
  };
}

export function rotationRow(change: Partial<RotationRow> = {}): RotationRow {
  return {
    ...NEW_ROTATION,
    id: "rot_1",
    keyId: "key_1",
    trigger: "manual",
    reason: null,
    requestedBy: "root",
    grace: null,
    live: true,
    state: "running",
    step: "preflight",
    fromVersion: 1,
    attempt: 0,
    problem: null,
    startedAt: 0,
    deadlineAt: 0,
    ending: null,
    tally: null,
    connectionRevision: null,
    ...change,
  };
}

export function versionRow(change: Partial<VersionRow> = {}): VersionRow {
  return {
    ...NEW_VERSION,
    id: "v1",
    keyId: "key_1",
    number: 1,
    stage: "current",
    rotationId: null,
    reference: "v1",
    sealed: null,
    digest: null,
    fingerprint: null,
    hint: "abcd",
    issuedAt: 0,
    promotedAt: 0,
    ...change,
  };
}

export function deliveryRow(change: Partial<DeliveryRow> = {}): DeliveryRow {
  return {
    ...NEW_DELIVERY,
    id: "dlv_1",
    keyId: "key_1",
    versionId: "v1",
    number: 1,
    rotationId: null,
    destinationId: "dst_1",
    revision: 1,
    required: true,
    mustAcknowledge: false,
    name: "key_1",
    urgent: false,
    createdAt: 0,
    ...change,
  };
}

/** Inserts a row as an earlier schema knew it: columns that came later are left out. */
export function insertOld(sql: Sql, table: string, row: object): void {
  const known = sql.all<{ name: string }>("SELECT name FROM pragma_table_info(?)", table);
  const names = known.map(({ name }) => name).filter((name) => name in row);
  const values = names.map((name) => {
    const value: unknown = (row as Record<string, unknown>)[name];
    if (typeof value === "boolean") return value ? 1 : 0;
    return typeof value === "object" && value !== null
      ? JSON.stringify(value)
      : (value as string | number | null);
  });
  sql.all(
    `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
    ...values,
  );
}
