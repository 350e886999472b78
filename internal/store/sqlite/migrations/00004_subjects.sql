-- +goose Up

-- Whom a decision's content is about, by opaque ids; who they are is known to the store of subjects alone.
CREATE TABLE decision_subjects (
	tenant   TEXT NOT NULL,
	subject  BLOB NOT NULL CHECK (length(subject) = 16),
	decision BLOB NOT NULL,
	PRIMARY KEY (tenant, subject, decision),
	FOREIGN KEY (tenant, decision) REFERENCES decisions
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_by_decision ON decision_subjects (tenant, decision);

ALTER TABLE decisions ADD COLUMN retention TEXT NOT NULL DEFAULT 'standard';

-- What was answered goes with the content that it was answered to.
CREATE INDEX answers_by_entry ON answers (tenant, idx);

-- Disclosures of before stand in the clear; the next start seals them.
ALTER TABLE disclosures RENAME TO clear_disclosures;
CREATE TABLE disclosures (
	tenant   TEXT NOT NULL,
	decision BLOB NOT NULL,
	body     BLOB NOT NULL,
	PRIMARY KEY (tenant, decision),
	FOREIGN KEY (tenant, decision) REFERENCES decisions
) STRICT;
