/** The registry's schema. Append only, like the keyrings' own. */

export const REGISTRY_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE IF NOT EXISTS keyring (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    createdAt INTEGER NOT NULL,
    nextStartAt INTEGER,
    visitedAt INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS keyringStart ON keyring (nextStartAt, code) WHERE nextStartAt IS NOT NULL;
  CREATE INDEX IF NOT EXISTS keyringVisit ON keyring (visitedAt, code);
  CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY,
    bodyHash BLOB NOT NULL,
    code TEXT NOT NULL,
    createdAt INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE keyring ADD COLUMN anchorSeq INTEGER;
  ALTER TABLE keyring ADD COLUMN anchorHash BLOB;
  CREATE TABLE dead (
    at INTEGER NOT NULL,
    code TEXT NOT NULL,
    versionId TEXT NOT NULL,
    PRIMARY KEY (at, code, versionId)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE keyring ADD COLUMN masterKeyId TEXT;
  `,
];
