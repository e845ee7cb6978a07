/**
 * The keyring's schema. Append only: a migration that has shipped is never edited.
 * docs/storage.md says what each table and column holds and for how long.
 */
import { BATCH_SCHEMA } from "./batch-schema.ts";
import { LEAK_SCHEMA } from "./leak-schema.ts";
import { applyMigrations, isMigrated } from "./migrate.ts";
import type { Sql } from "./sql.ts";

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE key (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    prefix TEXT NOT NULL,
    scopes TEXT NOT NULL,
    role TEXT,
    subject TEXT,
    expiresAt INTEGER,
    labels TEXT NOT NULL,
    policy TEXT NOT NULL,
    paused INTEGER NOT NULL,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    lastNumber INTEGER NOT NULL,
    cooldownUntil INTEGER,
    failures INTEGER NOT NULL,
    retryAt INTEGER,
    dueAt INTEGER,
    createdAt INTEGER NOT NULL,
    createdBy TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX keyName ON key (name) WHERE state <> 'deleted';

  CREATE TABLE version (
    id TEXT PRIMARY KEY,
    keyId TEXT NOT NULL,
    number INTEGER NOT NULL,
    stage TEXT NOT NULL,
    rotationId TEXT,
    sealed BLOB,
    digest BLOB,
    fingerprint BLOB,
    hint TEXT NOT NULL,
    issuedAt INTEGER NOT NULL,
    promotedAt INTEGER,
    graceEndsAt INTEGER,
    endReason TEXT,
    serviceRevokedAt INTEGER,
    revokedAt INTEGER,
    confirmed INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    lastCall TEXT,
    claim INTEGER NOT NULL,
    leaseUntil INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX versionNumber ON version (keyId, number);
  CREATE INDEX versionFingerprint ON version (fingerprint) WHERE fingerprint IS NOT NULL;

  CREATE TABLE rotation (
    id TEXT PRIMARY KEY,
    keyId TEXT NOT NULL,
    trigger TEXT NOT NULL,
    reason TEXT,
    requestedBy TEXT NOT NULL,
    grace TEXT,
    live INTEGER NOT NULL,
    state TEXT NOT NULL,
    step TEXT NOT NULL,
    fromVersion INTEGER,
    toVersion INTEGER,
    attempt INTEGER NOT NULL,
    problem TEXT,
    lastCall TEXT,
    startedAt INTEGER NOT NULL,
    deadlineAt INTEGER NOT NULL,
    endedAt INTEGER,
    claim INTEGER NOT NULL,
    leaseUntil INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX rotationLive ON rotation (keyId) WHERE live = 1;
  CREATE INDEX rotationKey ON rotation (keyId, id);

  CREATE TABLE destination (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    config TEXT NOT NULL,
    sealed BLOB,
    state TEXT NOT NULL,
    revision INTEGER NOT NULL,
    provenAt INTEGER,
    probeAttempt INTEGER NOT NULL,
    lastCall TEXT,
    createdAt INTEGER NOT NULL,
    createdBy TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE keyDestination (
    keyId TEXT NOT NULL,
    destinationId TEXT NOT NULL,
    required INTEGER NOT NULL,
    mustAcknowledge INTEGER NOT NULL,
    name TEXT NOT NULL,
    target TEXT NOT NULL UNIQUE,
    PRIMARY KEY (keyId, destinationId)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX keyDestinationUse ON keyDestination (destinationId);

  CREATE TABLE delivery (
    id TEXT PRIMARY KEY,
    keyId TEXT NOT NULL,
    versionId TEXT NOT NULL,
    number INTEGER NOT NULL,
    rotationId TEXT,
    destinationId TEXT NOT NULL,
    revision INTEGER NOT NULL,
    required INTEGER NOT NULL,
    mustAcknowledge INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    attemptedAt INTEGER,
    deliveredAt INTEGER,
    lastCall TEXT,
    createdAt INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    leaseUntil INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX deliveryKey ON delivery (keyId, revision);

  CREATE TABLE due (
    lane INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (lane, at, kind, id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    keyId TEXT,
    data TEXT NOT NULL,
    hash BLOB NOT NULL
  ) STRICT;

  CREATE TABLE idempotency (
    id TEXT PRIMARY KEY,
    bodyHash BLOB NOT NULL,
    resource TEXT NOT NULL,
    sealed BLOB,
    createdAt INTEGER NOT NULL,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE delivery ADD COLUMN landsUntil INTEGER;
  ALTER TABLE version ADD COLUMN reference TEXT;
  ALTER TABLE rotation ADD COLUMN mints INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE rotation ADD COLUMN doubts INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE rotation ADD COLUMN intentAt INTEGER;
  ALTER TABLE rotation ADD COLUMN settleAt INTEGER;
  ALTER TABLE rotation ADD COLUMN oldEndsAt INTEGER;
  ALTER TABLE rotation ADD COLUMN seen TEXT;
  ALTER TABLE rotation ADD COLUMN ending TEXT;
  ALTER TABLE rotation ADD COLUMN tally TEXT;
  `,
  `
  CREATE TABLE connection (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    revision INTEGER NOT NULL,
    createdAt INTEGER NOT NULL,
    createdBy TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE connectionRevision (
    connectionId TEXT NOT NULL,
    revision INTEGER NOT NULL,
    config TEXT NOT NULL,
    account TEXT,
    sealed BLOB,
    credentialKey TEXT,
    PRIMARY KEY (connectionId, revision)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX connectionRevisionKey ON connectionRevision (credentialKey) WHERE credentialKey IS NOT NULL;

  ALTER TABLE key ADD COLUMN connectionId TEXT;
  CREATE INDEX keyConnection ON key (connectionId) WHERE connectionId IS NOT NULL;

  ALTER TABLE version ADD COLUMN compromisedAt INTEGER;
  ALTER TABLE version ADD COLUMN connectionRevision INTEGER;
  ALTER TABLE version ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE delivery ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE rotation ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE rotation ADD COLUMN byHand INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE rotation ADD COLUMN sought TEXT;
  ALTER TABLE rotation ADD COLUMN connectionRevision INTEGER;

  UPDATE due SET lane = 3 WHERE lane = 0 AND kind = 'version';
  UPDATE due SET lane = 4 WHERE lane = 0 AND kind = 'delivery';
  `,
  `
  CREATE TABLE policy (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    policy TEXT NOT NULL,
    createdAt INTEGER NOT NULL,
    createdBy TEXT NOT NULL,
    appliedTo TEXT,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  ALTER TABLE key ADD COLUMN policyId TEXT;
  ALTER TABLE destination ADD COLUMN opensAt INTEGER;
  CREATE INDEX keySubject ON key (subject) WHERE subject IS NOT NULL;
  CREATE INDEX keyPolicy ON key (policyId, id) WHERE policyId IS NOT NULL;
  `,
  `
  CREATE INDEX deliveryLanding ON delivery (keyId, destinationId)
    WHERE landsUntil IS NOT NULL OR (state = 'superseded' AND leaseUntil IS NOT NULL);
  `,
  `
  CREATE TABLE held (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE key ADD COLUMN verification TEXT NOT NULL DEFAULT '{}';
  ALTER TABLE version ADD COLUMN lastSeenAt INTEGER;

  CREATE TABLE keyUse (
    id TEXT PRIMARY KEY,
    uses INTEGER NOT NULL,
    windowAt INTEGER NOT NULL,
    windowUses INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE edgeRecord (
    id TEXT PRIMARY KEY,
    wanted INTEGER NOT NULL,
    putAt INTEGER,
    claim INTEGER NOT NULL,
    leaseUntil INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE rotation ADD COLUMN rollbackGraceEndsAt INTEGER;
  ALTER TABLE version ADD COLUMN retiredAt INTEGER;

  ALTER TABLE delivery ADD COLUMN acknowledgedAt INTEGER;
  ALTER TABLE destination ADD COLUMN claimDigest BLOB;
  CREATE TABLE claim (
    id TEXT PRIMARY KEY,
    versionId TEXT NOT NULL,
    origin TEXT NOT NULL,
    claimant TEXT NOT NULL,
    sealed BLOB,
    createdAt INTEGER NOT NULL,
    claimedAt INTEGER,
    expiresAt INTEGER NOT NULL,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX claimOrigin ON claim (origin);
  `,
  `
  CREATE TABLE subscription (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    format TEXT NOT NULL,
    host TEXT NOT NULL,
    hint TEXT NOT NULL,
    types TEXT NOT NULL,
    labels TEXT NOT NULL,
    sealed BLOB,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    sentSeq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failedSeq INTEGER NOT NULL,
    skipped TEXT NOT NULL,
    provenAt INTEGER,
    lastCall TEXT,
    createdAt INTEGER NOT NULL,
    createdBy TEXT NOT NULL,
    claim INTEGER NOT NULL,
    leaseUntil INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE chore (id TEXT PRIMARY KEY, dueAt INTEGER) STRICT, WITHOUT ROWID;

  ALTER TABLE event ADD COLUMN revision INTEGER;

  CREATE INDEX keyLost ON key (id) WHERE state = 'lost';
  CREATE INDEX keyFailures ON key (failures) WHERE failures > 0;
  CREATE INDEX rotationHeld ON rotation (state, deadlineAt) WHERE live = 1 AND state <> 'running';
  CREATE INDEX versionStuck ON version (keyId) WHERE stage = 'revoking' AND attempt >= 7;
  CREATE INDEX deliveryFailing ON delivery (keyId) WHERE state = 'failing';
  `,
  `
  ALTER TABLE version ADD COLUMN heldAt INTEGER;
  `,
  `
  CREATE TABLE keyCount (what TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO keyCount VALUES
    ('pending', 0), ('active', 0), ('lost', 0), ('revoked', 0), ('deleting', 0), ('deleted', 0), ('paused', 0);
  INSERT OR REPLACE INTO keyCount SELECT state, count(*) FROM key GROUP BY state;
  INSERT OR REPLACE INTO keyCount SELECT 'paused', count(*) FROM key
    WHERE state IN ('pending', 'active') AND (paused = 1 OR json_extract(policy, '$.paused') = 1);

  CREATE TRIGGER keyCountInsert AFTER INSERT ON key BEGIN
    UPDATE keyCount SET count = count + 1 WHERE what IN (NEW.state,
      CASE WHEN NEW.state IN ('pending', 'active') AND (NEW.paused = 1 OR json_extract(NEW.policy, '$.paused') = 1)
      THEN 'paused' END);
  END;
  CREATE TRIGGER keyCountDelete AFTER DELETE ON key BEGIN
    UPDATE keyCount SET count = count - 1 WHERE what IN (OLD.state,
      CASE WHEN OLD.state IN ('pending', 'active') AND (OLD.paused = 1 OR json_extract(OLD.policy, '$.paused') = 1)
      THEN 'paused' END);
  END;
  CREATE TRIGGER keyCountUpdate AFTER UPDATE OF state, paused, policy ON key
    WHEN OLD.state <> NEW.state OR OLD.paused <> NEW.paused
      OR json_extract(OLD.policy, '$.paused') IS NOT json_extract(NEW.policy, '$.paused')
  BEGIN
    UPDATE keyCount SET count = count - 1 WHERE what IN (OLD.state,
      CASE WHEN OLD.state IN ('pending', 'active') AND (OLD.paused = 1 OR json_extract(OLD.policy, '$.paused') = 1)
      THEN 'paused' END);
    UPDATE keyCount SET count = count + 1 WHERE what IN (NEW.state,
      CASE WHEN NEW.state IN ('pending', 'active') AND (NEW.paused = 1 OR json_extract(NEW.policy, '$.paused') = 1)
      THEN 'paused' END);
  END;
  `,
  `
  ALTER TABLE subscription ADD COLUMN unwellSince INTEGER;
  ALTER TABLE subscription ADD COLUMN missedSeq INTEGER NOT NULL DEFAULT 0;
  UPDATE subscription SET unwellSince = coalesce(provenAt, createdAt) WHERE state IN ('failing', 'disabled');
  `,
  `
  ALTER TABLE key ADD COLUMN config TEXT NOT NULL DEFAULT '{}';
  ALTER TABLE key ADD COLUMN heldUntil INTEGER;
  ALTER TABLE version ADD COLUMN expiresAt INTEGER;
  `,
  `
  ALTER TABLE key ADD COLUMN askedAt INTEGER;
  ALTER TABLE key ADD COLUMN remindedAt INTEGER;
  CREATE INDEX keyAsked ON key (askedAt) WHERE askedAt IS NOT NULL;
  ALTER TABLE version ADD COLUMN askedAt INTEGER;
  ALTER TABLE version ADD COLUMN remindedAt INTEGER;
  CREATE INDEX versionAsked ON version (askedAt) WHERE askedAt IS NOT NULL;
  `,
  `
  CREATE INDEX versionSample ON version (substr(id, 8), issuedAt) WHERE stage = 'current' AND substr(id, 17) < 'A';
  `,
  LEAK_SCHEMA,
  BATCH_SCHEMA,
  `
  CREATE INDEX versionReference ON version (reference) WHERE digest IS NULL AND reference IS NOT NULL;
  CREATE INDEX keyAgent ON key (CAST(json_extract(config, '$.agentId') AS TEXT))
    WHERE json_extract(config, '$.agentId') IS NOT NULL;
  `,
];

/** True once the keyring was made. Reads only: opening a keyring that was never made writes nothing. */
export const isMade = isMigrated;

/** Brings a keyring's schema up to date. */
export function migrate(sql: Sql): void {
  applyMigrations(sql, MIGRATIONS);
}

/** How many migrations this code has. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** Makes the tables as they were after some of the migrations, for rows of that time. */
export function migrateTo(sql: Sql, version: number): void {
  applyMigrations(sql, MIGRATIONS.slice(0, version));
}
