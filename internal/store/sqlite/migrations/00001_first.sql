-- +goose Up

-- "CAIO": so that a database of something else isn't taken for a store.
PRAGMA application_id = 1128352079;

-- Times are ms since 1970; ids of decisions the 16 bytes of their UUIDv7, so that their order is that of time.

CREATE TABLE logs (
	tenant TEXT PRIMARY KEY,
	origin TEXT NOT NULL UNIQUE,
	size   INTEGER NOT NULL CHECK (size >= 0)
) STRICT, WITHOUT ROWID;

-- document stands beside the leaf that states its digest, so that a decision costs one large row; it can be emptied without touching the leaf.
CREATE TABLE entries (
	tenant   TEXT NOT NULL REFERENCES logs,
	idx      INTEGER NOT NULL CHECK (idx >= 0),
	type     TEXT NOT NULL,
	leaf     BLOB NOT NULL,
	document BLOB,
	PRIMARY KEY (tenant, idx)
) STRICT;

CREATE TABLE decisions (
	tenant  TEXT NOT NULL,
	id      BLOB NOT NULL CHECK (length(id) = 16),
	idx     INTEGER NOT NULL,
	time    INTEGER NOT NULL,
	outcome TEXT NOT NULL,
	service TEXT NOT NULL,
	route   TEXT NOT NULL,
	intent  TEXT NOT NULL,
	PRIMARY KEY (tenant, id),
	FOREIGN KEY (tenant, idx) REFERENCES entries
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_by_outcome ON decisions (tenant, outcome, id);
CREATE INDEX decisions_by_service ON decisions (tenant, service, id);
CREATE INDEX decisions_by_intent ON decisions (tenant, intent, id);

CREATE TABLE violations (
	tenant     TEXT NOT NULL,
	constraint_id TEXT NOT NULL,
	decision   BLOB NOT NULL,
	PRIMARY KEY (tenant, constraint_id, decision),
	FOREIGN KEY (tenant, decision) REFERENCES decisions
) STRICT, WITHOUT ROWID;

CREATE TABLE disclosures (
	tenant   TEXT NOT NULL,
	decision BLOB NOT NULL,
	body     BLOB NOT NULL,
	PRIMARY KEY (tenant, decision),
	FOREIGN KEY (tenant, decision) REFERENCES decisions
) STRICT;

CREATE TABLE events (
	tenant  TEXT NOT NULL,
	idx     INTEGER NOT NULL,
	kind    TEXT NOT NULL,
	subject TEXT NOT NULL,
	digest  TEXT NOT NULL,
	level   TEXT NOT NULL,
	pending INTEGER NOT NULL,
	signer  TEXT NOT NULL,
	actor   TEXT NOT NULL,
	reason  TEXT NOT NULL,
	time    INTEGER NOT NULL,
	PRIMARY KEY (tenant, idx),
	FOREIGN KEY (tenant, idx) REFERENCES entries
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
	tenant TEXT NOT NULL REFERENCES logs,
	digest TEXT NOT NULL,
	kind   TEXT NOT NULL,
	bytes  BLOB NOT NULL,
	PRIMARY KEY (tenant, digest)
) STRICT;

CREATE TABLE grants (
	owner   TEXT NOT NULL,
	service TEXT NOT NULL,
	tenant  TEXT NOT NULL REFERENCES logs,
	PRIMARY KEY (owner, service, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
	tenant         TEXT NOT NULL,
	idx            INTEGER NOT NULL,
	decision       BLOB NOT NULL,
	service        TEXT NOT NULL,
	intent         TEXT NOT NULL,
	time           INTEGER NOT NULL,
	status         TEXT NOT NULL,
	ok             INTEGER NOT NULL,
	latency_ms     INTEGER NOT NULL,
	cost_micro_usd INTEGER NOT NULL,
	self_reported  INTEGER NOT NULL,
	PRIMARY KEY (tenant, idx),
	FOREIGN KEY (tenant, idx) REFERENCES entries
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_by_decision ON attempts (tenant, decision, idx);
CREATE INDEX attempts_by_window ON attempts (tenant, intent, service, idx);
CREATE INDEX attempts_by_time ON attempts (tenant, intent, service, time);

CREATE TABLE answers (
	tenant  TEXT NOT NULL,
	key     TEXT NOT NULL,
	call    TEXT NOT NULL,
	request TEXT NOT NULL,
	status  INTEGER NOT NULL,
	body    BLOB NOT NULL,
	idx     INTEGER NOT NULL,
	PRIMARY KEY (tenant, key, call),
	FOREIGN KEY (tenant, idx) REFERENCES entries
) STRICT;

CREATE TABLE api_keys (
	tenant    TEXT NOT NULL,
	id        TEXT NOT NULL,
	hash      BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
	principal BLOB NOT NULL,
	created   INTEGER NOT NULL,
	revoked   INTEGER,
	PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
	tenant    TEXT NOT NULL REFERENCES logs,
	kid       TEXT NOT NULL,
	jwk       BLOB NOT NULL,
	first_idx INTEGER NOT NULL,
	last_idx  INTEGER,
	PRIMARY KEY (tenant, kid)
) STRICT, WITHOUT ROWID;
