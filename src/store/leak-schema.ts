/** The tables of leak reports. One entry of the migrations: once it has shipped it is never edited. */
export const LEAK_SCHEMA = `
  CREATE TABLE signal (
    id TEXT PRIMARY KEY,
    sealed BLOB,
    revision INTEGER NOT NULL,
    connectionId TEXT,
    hint TEXT NOT NULL,
    heardAt INTEGER,
    createdAt INTEGER NOT NULL,
    createdBy TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE compromise (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    reporter TEXT NOT NULL,
    receivedAt INTEGER NOT NULL,
    digest BLOB,
    reports INTEGER NOT NULL,
    leaks INTEGER NOT NULL,
    actedTo INTEGER NOT NULL,
    alert TEXT,
    attempt INTEGER NOT NULL,
    problem TEXT,
    lastCall TEXT,
    claim INTEGER NOT NULL,
    leaseUntil INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX compromiseDigest ON compromise (digest) WHERE digest IS NOT NULL;
  CREATE INDEX compromiseAlert ON compromise (id) WHERE alert IS NOT NULL;

  CREATE TABLE leak (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    keyId TEXT,
    number INTEGER,
    stage TEXT,
    print BLOB,
    source TEXT,
    url TEXT,
    action TEXT,
    rotationId TEXT,
    actedAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX leakNotified ON leak (subject) WHERE action = 'notified';
  `;
