/** A fresh database in an object of its own, without the keyring around it. */
import { runInDurableObject } from "cloudflare:test";
import type { KeyRow } from "../../src/store/keys.ts";
import { migrate } from "../../src/store/migrations.ts";
import type { RotationRow } from "../../src/store/rotations.ts";
import { durableObjectSql, type Sql } from "../../src/store/sql.ts";
import { Store } from "../../src/store/store.ts";
import type { VersionRow } from "../../src/store/versions.ts";
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
    id: "key_1",
    name: change.id ?? "key_1",
    provider: "issuer",
    prefix: "rekey",
    scopes: [],
    role: null,
    subject: null,
    expiresAt: null,
    labels: {},
    policy: {},
    paused: false,
    state: "active",
    revision: 1,
    lastNumber: 1,
    cooldownUntil: null,
    failures: 0,
    retryAt: null,
    dueAt: null,
    createdAt: 0,
    createdBy: "root",
    ...change,
  };
}

export function rotationRow(change: Partial<RotationRow> = {}): RotationRow {
  return {
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
    toVersion: null,
    attempt: 0,
    problem: null,
    lastCall: null,
    startedAt: 0,
    deadlineAt: 0,
    endedAt: null,
    mints: 0,
    doubts: 0,
    intentAt: null,
    settleAt: null,
    oldEndsAt: null,
    seen: null,
    ending: null,
    tally: null,
    claim: 0,
    leaseUntil: null,
    dueAt: null,
    ...change,
  };
}

export function versionRow(change: Partial<VersionRow> = {}): VersionRow {
  return {
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
    graceEndsAt: null,
    endReason: null,
    serviceRevokedAt: null,
    revokedAt: null,
    confirmed: false,
    attempt: 0,
    lastCall: null,
    claim: 0,
    leaseUntil: null,
    dueAt: null,
    ...change,
  };
}
