-- +goose Up

-- The keys of all witnesses that the server was ever configured with: who verifies what they cosigned needs them.
CREATE TABLE witnesses (
	number INTEGER PRIMARY KEY,
	vkey   TEXT NOT NULL UNIQUE
) STRICT;
