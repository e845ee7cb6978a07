/** The migration that brings batches: their table, and by which a rotation of one is found. */
export const BATCH_SCHEMA = `
  CREATE TABLE batch (
    id TEXT PRIMARY KEY,
    selection TEXT NOT NULL,
    grace TEXT,
    reason TEXT NOT NULL,
    requestedBy TEXT NOT NULL,
    state TEXT NOT NULL,
    shares TEXT NOT NULL,
    openers TEXT NOT NULL,
    waiting TEXT NOT NULL,
    total INTEGER NOT NULL,
    started INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    failedInRow INTEGER NOT NULL,
    skipped TEXT NOT NULL,
    paceFrom TEXT NOT NULL,
    waitsFor TEXT,
    problem TEXT,
    createdAt INTEGER NOT NULL,
    endedAt INTEGER,
    dueAt INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX batchOpen ON batch (id) WHERE state IN ('running', 'paused');

  ALTER TABLE rotation ADD COLUMN batchId TEXT;
  CREATE INDEX rotationBatch ON rotation (batchId, live, id) WHERE batchId IS NOT NULL;
`;
