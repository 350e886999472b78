-- +goose Up

-- What lists said of documents that were erased goes with them; from here on the erasure does that.
DELETE FROM violations WHERE EXISTS (SELECT 1 FROM decisions d JOIN entries e ON e.tenant = d.tenant AND e.idx = d.idx
	WHERE d.tenant = violations.tenant AND d.id = violations.decision AND e.document IS NULL);
UPDATE decisions SET route = '', intent = '' WHERE EXISTS (SELECT 1 FROM entries e WHERE e.tenant = decisions.tenant AND e.idx = decisions.idx AND e.document IS NULL);
