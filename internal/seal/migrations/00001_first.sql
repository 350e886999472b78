-- +goose Up

-- "CAIK".
PRAGMA application_id = 1128352075;

-- What subjects are looked up by, so that the file doesn't list their names. It is not a key of anything: from it nothing that was destroyed can be made again.
CREATE TABLE lookup (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;

-- name is the HMAC-SHA256 of tenant and subject; id is what everything else names the subject by.
CREATE TABLE subjects (
	id     BLOB PRIMARY KEY CHECK (length(id) = 16),
	tenant TEXT NOT NULL,
	name   BLOB NOT NULL CHECK (length(name) = 32),
	UNIQUE (tenant, name)
) STRICT;

-- A subject has a key for each class of retention and month, counted from the year 0, so that age can end one without the others.
CREATE TABLE keys (
	id      BLOB PRIMARY KEY CHECK (length(id) = 16),
	subject BLOB NOT NULL REFERENCES subjects,
	class   TEXT NOT NULL,
	month   INTEGER NOT NULL,
	secret  BLOB NOT NULL CHECK (length(secret) = 32),
	UNIQUE (subject, class, month)
) STRICT;

-- What has been carried out, so that it is again where another store was restored from before it.
CREATE TABLE destroyed (
	tenant    TEXT NOT NULL,
	subject   BLOB NOT NULL,
	documents INTEGER NOT NULL,
	PRIMARY KEY (tenant, subject)
) STRICT;
