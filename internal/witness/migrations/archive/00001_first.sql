-- +goose Up

PRAGMA application_id = 1128352067; -- "CAIC"

-- Checkpoints that a quorum cosigned, by size: the first and the last time that it was done.
CREATE TABLE cosigned (
	origin TEXT NOT NULL,
	size   INTEGER NOT NULL CHECK (size >= 0),
	root   BLOB NOT NULL CHECK (length(root) = 32),
	first  BLOB NOT NULL,
	last   BLOB NOT NULL,
	PRIMARY KEY (origin, size)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER one_tree BEFORE UPDATE ON cosigned WHEN new.root <> old.root
BEGIN
	SELECT raise(ABORT, 'another tree of this size was cosigned');
END;
-- +goose StatementEnd
