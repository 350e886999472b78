-- +goose Up

PRAGMA application_id = 1128352087; -- "CAIW"

-- The latest checkpoint of each log that was cosigned. The note is for monitors; what decides is size and root.
CREATE TABLE latest (
	origin TEXT PRIMARY KEY,
	size   INTEGER NOT NULL CHECK (size >= 0),
	root   BLOB NOT NULL CHECK (length(root) = 32),
	time   INTEGER NOT NULL,
	note   BLOB NOT NULL
) STRICT;

-- What was cosigned is never taken back.
-- +goose StatementBegin
CREATE TRIGGER grows BEFORE UPDATE ON latest
WHEN new.size < old.size OR new.time < old.time OR new.size = old.size AND new.root <> old.root
BEGIN
	SELECT raise(ABORT, 'what was cosigned is never taken back');
END;
-- +goose StatementEnd
