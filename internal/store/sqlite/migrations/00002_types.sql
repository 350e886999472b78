-- +goose Up

-- What a start holds against the log: the entries of every kind but decisions, of which there are the most and which change nothing.
CREATE INDEX entries_by_type ON entries (tenant, type, idx) WHERE type <> 'caio-decision+jws';
