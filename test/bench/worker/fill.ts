/** Fills a keyring with as many keys as wanted: each is a copy of one that the store itself wrote, under an id of its own. */
import { newId } from "../../../src/ids.ts";
import { type DeliveryRow, NEW_DELIVERY } from "../../../src/store/deliveries.ts";
import { type KeyRow, NEW_KEY } from "../../../src/store/keys.ts";
import { NEW_ROTATION, type RotationRow } from "../../../src/store/rotations.ts";
import type { Sql, SqlValue } from "../../../src/store/sql.ts";
import type { Store } from "../../../src/store/store.ts";
import { NEW_VERSION, type VersionRow } from "../../../src/store/versions.ts";

const DAY_MS = 86_400_000;
/** Ids of copies: the same for each table, with a number of eight digits at the end. */
export const PREFIXES = {
  key: "key_01k0000000e00800000",
  version: "00000v",
  rotation: "rot_01k0000000e00800000",
  delivery: "dlv_01k0000000e00800000",
} as const;
/** Keys rotate in another order than that in which they were made. Prime, so that each key gets one. */
const SCATTER = 7_919;
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DESTINATION = "dst_01k0000000e0080000000000000";

type Copied = keyof typeof PREFIXES;

/** Writes the row that every other is a copy of. */
function insertTemplates({ keys, versions, rotations, deliveries, destinations }: Store, now: number): void {
  const key: KeyRow = {
    ...NEW_KEY,
    id: PREFIXES.key,
    name: "template",
    provider: "issuer",
    connectionId: null,
    prefix: "rekey",
    scopes: ["read", "write"],
    role: null,
    subject: null,
    expiresAt: null,
    labels: { team: "billing" },
    policy: { maxAge: "30d", grace: "24h" },
    state: "active",
    revision: 1,
    lastNumber: 1,
    createdAt: now,
    createdBy: "root",
  };
  const version: VersionRow = {
    ...NEW_VERSION,
    id: PREFIXES.version,
    keyId: PREFIXES.key,
    number: 1,
    stage: "current",
    rotationId: null,
    reference: PREFIXES.version,
    sealed: new Uint8Array(140),
    digest: new Uint8Array(32),
    fingerprint: null,
    hint: "abcd",
    issuedAt: now,
    promotedAt: now,
  };
  const rotation: RotationRow = {
    ...NEW_ROTATION,
    id: PREFIXES.rotation,
    keyId: PREFIXES.key,
    trigger: "schedule",
    reason: null,
    requestedBy: "cron",
    grace: null,
    live: false,
    state: "succeeded",
    step: "done",
    fromVersion: 1,
    attempt: 0,
    problem: null,
    startedAt: now,
    deadlineAt: now,
    ending: null,
    tally: null,
    connectionRevision: null,
  };
  const delivery: DeliveryRow = {
    ...NEW_DELIVERY,
    id: PREFIXES.delivery,
    keyId: PREFIXES.key,
    versionId: PREFIXES.version,
    number: 1,
    rotationId: PREFIXES.rotation,
    destinationId: DESTINATION,
    revision: 1,
    required: true,
    mustAcknowledge: false,
    name: "template",
    state: "delivered",
    urgent: false,
    createdAt: now,
  };
  destinations.insert({
    id: DESTINATION,
    name: "kv",
    type: "kv",
    config: {},
    sealed: null,
    claimDigest: null,
    state: "ready",
    revision: 1,
    provenAt: now,
    probeAttempt: 0,
    lastCall: null,
    opensAt: null,
    createdAt: now,
    createdBy: "root",
  });
  keys.insert(key);
  versions.insert(version);
  rotations.insert(rotation);
  deliveries.insert(delivery);
}

/** Adds keys `from` up to `to` of `total`: each with a current version, a rotation and a delivery of long ago, and a start ahead. */
export function fill(sql: Sql, store: Store, from: number, to: number, total: number): void {
  const now = Date.now();
  if (!store.keys.get(PREFIXES.key)) insertTemplates(store, now);
  // Each starts when its turn comes, from tomorrow on.
  const startAt = `${now + DAY_MS} + i * 2000`;
  const owner = numbered("key", `(i * ${SCATTER}) % ${total}`);
  const copy = (table: Copied, changes: Record<string, string>) => copyRows(sql, table, from, to, changes);
  sql.transaction(() => {
    copy("key", { id: numbered("key"), name: "printf('service-%08d', i)", dueAt: startAt });
    copy("version", {
      id: numbered("version"),
      reference: numbered("version"),
      keyId: owner,
      sealed: "randomblob(140)",
      digest: "randomblob(32)",
    });
    copy("rotation", { id: numbered("rotation"), keyId: numbered("key") });
    copy("delivery", {
      id: numbered("delivery"),
      keyId: numbered("key"),
      versionId: numbered("version"),
      rotationId: numbered("rotation"),
      name: "printf('service-%08d', i)",
    });
    sql.all(`${numbers(from, to)} INSERT INTO due SELECT 1, ${startAt}, 'start', ${numbered("key")} FROM n`);
  });
}

/** Adds as many rotations that ended today, each with a delivery that arrived within the hour. */
export function addRecent(sql: Sql, count: number): void {
  const at = Date.now() - 30 * 60_000;
  const id = (kind: "rot" | "dlv") => {
    const first = newId(kind, at, (length) => new Uint8Array(length));
    return `printf('${first.slice(0, -8)}%08d', i)`;
  };
  sql.transaction(() => {
    copyRows(sql, "rotation", 0, count, { id: id("rot"), keyId: numbered("key") });
    const times = { createdAt: `${at}`, deliveredAt: `${at} + i % 5000` };
    copyRows(sql, "delivery", 0, count, { id: id("dlv"), keyId: numbered("key"), ...times });
  });
}

/** Copies a table's template for each number, with some columns by expressions of their own. */
function copyRows(sql: Sql, table: Copied, from: number, to: number, changes: Record<string, string>): void {
  const [template] = sql.all<Record<string, SqlValue>>(
    `SELECT * FROM ${table} WHERE id = ?`,
    PREFIXES[table],
  );
  const columns = Object.keys(template ?? {});
  const values = columns.map((column) => changes[column] ?? `template.${column}`);
  sql.all(
    `${numbers(from, to)} INSERT INTO ${table} (${columns.join(", ")})
     SELECT ${values.join(", ")} FROM n CROSS JOIN ${table} AS template WHERE template.id = ?`,
    PREFIXES[table],
  );
}

/** A table `n` of the numbers `i` from `from` up to `to`, without it. */
export function numbers(from: number, to: number): string {
  return `WITH RECURSIVE n(i) AS (VALUES (${from}) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${to})`;
}

/** SQL of the id of a copy. */
export function numbered(table: Copied, number = "i"): string {
  const id = `printf('${PREFIXES[table]}%08d', ${number})`;
  // A version's id ends with a random digit: a sample goes by that.
  return table === "version" ? `${id} || '00' || substr('${DIGITS}', (${number}) % 62 + 1, 1)` : id;
}
