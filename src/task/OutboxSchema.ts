/**
 * The outbox's file, step by step. What has been released is never changed: a new version adds a step. What was kept before
 * it was known for which fleet counts as the first fleet's that is named: `fleets` has it under no name until then.
 */

/** In the data directory. */
export const FILE = "outbox.db"
/** Names it in the file's head: "MSmo". */
export const APPLICATION_ID = 0x4d536d6f

export const MIGRATIONS: ReadonlyArray<string> = [
  `
  CREATE TABLE reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    agent TEXT NOT NULL,
    report TEXT NOT NULL
  ) STRICT;
  CREATE INDEX reports_of ON reports (task);
  CREATE TABLE leaving (task TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE known (seq INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL UNIQUE, record TEXT) STRICT;
  CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, event TEXT NOT NULL) STRICT;
  CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE fleets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  INSERT INTO fleets (id, name) VALUES (1, '');
  ALTER TABLE reports ADD COLUMN fleet INTEGER NOT NULL DEFAULT 1;
  DROP INDEX reports_of;
  CREATE INDEX reports_of ON reports (fleet, task);
  ALTER TABLE events ADD COLUMN fleet INTEGER NOT NULL DEFAULT 1;
  ALTER TABLE leaving RENAME TO leaving_1;
  CREATE TABLE leaving (
    task TEXT NOT NULL,
    fleet INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (task, fleet)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO leaving (task, fleet, record) SELECT task, 1, record FROM leaving_1;
  DROP TABLE leaving_1;
  ALTER TABLE known RENAME TO known_1;
  CREATE TABLE known (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task TEXT NOT NULL,
    fleet INTEGER NOT NULL,
    record TEXT,
    UNIQUE (task, fleet)
  ) STRICT;
  INSERT INTO known (seq, task, fleet, record) SELECT seq, task, 1, record FROM known_1;
  DROP TABLE known_1;
  UPDATE counts SET name = 'lost of 1' WHERE name = 'lost';
  `
]
