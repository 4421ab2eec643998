-- Version 2: a file holds several generations, and remembers what was refused, what was dropped, and which
-- instants are not to be relied on yet.

-- A stretch of the one counter. A record belongs to the generation with the greatest first_sequence up to its own.
CREATE TABLE generation (
  first_sequence INTEGER PRIMARY KEY,
  id TEXT NOT NULL
);
INSERT INTO generation SELECT 1, generation FROM store;

-- The kinds that went home when the cursor passed from first_sequence on: others are not at home, whatever the cursor
-- says. Version 1 sent everything.
CREATE TABLE shared (
  first_sequence INTEGER PRIMARY KEY,
  kinds TEXT NOT NULL           -- each between spaces
);
INSERT INTO shared SELECT 0, ' readings raw forecast anomaly decision model_report status ' FROM store;
DROP TABLE store;

-- The start of the gateway whose clock could not be trusted yet; NULL when the instants are right. The index has
-- such records alone: all others cost it nothing.
ALTER TABLE record ADD COLUMN boot INTEGER;
CREATE INDEX provisional ON record (boot) WHERE boot IS NOT NULL;

-- By how much the clock of a start was wrong: its records are being stamped anew.
CREATE TABLE stamp (
  boot INTEGER PRIMARY KEY,
  offset_us INTEGER NOT NULL
);

-- Records that the cloud refused for good: kept, and passed over.
CREATE TABLE quarantine (
  sequence INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  reason TEXT NOT NULL
);

-- What waited behind the cursor when 'counted' was the last sequence. Written while much waits, so that no
-- start has to count it all.
CREATE TABLE backlog (
  kind TEXT PRIMARY KEY,
  records INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO cursor VALUES ('counted', 0);
-- Not a sequence: so many records were dropped unsent for want of room.
INSERT INTO cursor VALUES ('dropped', 0);
