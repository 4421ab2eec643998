-- The gateway's store, version 1. Append-only; the one key is the sequence, because uniqueness is
-- proven in PostgreSQL and an index here would multiply what is written to the card.
CREATE TABLE store (
  generation TEXT NOT NULL,     -- made with this file: a file begun anew is another generation
  created_us INTEGER NOT NULL
);
CREATE TABLE record (
  sequence INTEGER PRIMARY KEY, -- rises, never used again
  recorded_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE cursor (
  name TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL     -- of 'sync': everything up to here is acknowledged by the cloud
) WITHOUT ROWID;
INSERT INTO cursor VALUES ('sync', 0);
