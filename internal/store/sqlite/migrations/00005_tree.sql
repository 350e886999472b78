-- +goose Up

-- The tree over the leaves of each log: the hashes of a tile so far, 32 bytes each, so that a narrower tile is a prefix.
CREATE TABLE tiles (
	tenant TEXT NOT NULL REFERENCES logs,
	level  INTEGER NOT NULL CHECK (level >= 0 AND level < 8),
	idx    INTEGER NOT NULL CHECK (idx >= 0),
	hashes BLOB NOT NULL CHECK (length(hashes) > 0 AND length(hashes) <= 8192 AND length(hashes) % 32 = 0),
	PRIMARY KEY (tenant, level, idx)
) STRICT;

-- What a log last said of itself. Those of before have none until the next start makes their trees.
CREATE TABLE checkpoints (
	tenant TEXT PRIMARY KEY REFERENCES logs,
	size   INTEGER NOT NULL CHECK (size >= 0),
	note   BLOB NOT NULL
) STRICT;

-- Whose log it was, of one that was given up; '' for every other.
ALTER TABLE logs ADD COLUMN was TEXT NOT NULL DEFAULT '';
