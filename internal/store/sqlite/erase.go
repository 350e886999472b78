package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"

	"github.com/smarthausgroup/caio/internal/store"
)

// subjectID is the bytes of an opaque id.
func subjectID(id string) ([]byte, error) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 16 {
		return nil, fmt.Errorf("the id of a subject, %q, is not 16 bytes in hex", id)
	}
	return b, nil
}

// subjects writes whom decisions are about.
func (w *writer) subjects(ctx context.Context, tenant string, decision []byte, subjects []string) error {
	for _, subject := range subjects {
		id, err := subjectID(subject)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "INSERT INTO decision_subjects (tenant, subject, decision) VALUES (?, ?, ?)", tenant, id, decision); err != nil {
			return err
		}
	}
	return nil
}

// erasures deletes what is to be erased; secure_delete overwrites it.
func (w *writer) erasures(ctx context.Context, b *store.Batch) error {
	for i := range b.Erasures {
		e := &b.Erasures[i]
		ids, args, err := erased(e)
		if err != nil {
			return err
		}
		of := " WHERE tenant = ? AND idx IN (SELECT idx FROM decisions WHERE tenant = ? AND id IN (" + ids + "))"
		args = append([]any{e.Tenant}, args...)
		if _, err := w.exec(ctx, "DELETE FROM disclosures WHERE tenant = ? AND decision IN ("+ids+")", args...); err != nil {
			return err
		}
		args = append([]any{e.Tenant}, args...)
		if _, err := w.exec(ctx, "DELETE FROM answers"+of, args...); err != nil {
			return err
		}
		if !e.Documents {
			continue
		}
		if _, err := w.exec(ctx, "UPDATE entries SET document = NULL"+of, args...); err != nil {
			return err
		}
		if err := w.unlist(ctx, e.Tenant, ids, args[2:]); err != nil {
			return err
		}
	}
	return nil
}

// constraintsOf lists what a tenant's decisions violated, each once, by as many steps in the primary key.
const constraintsOf = `WITH RECURSIVE c(id) AS (
		SELECT min(constraint_id) FROM violations WHERE tenant = ?1
		UNION ALL SELECT (SELECT min(v.constraint_id) FROM violations v WHERE v.tenant = ?1 AND v.constraint_id > c.id) FROM c WHERE c.id IS NOT NULL
	) SELECT id FROM c WHERE id IS NOT NULL`

// unlist deletes what lists say of documents that are erased, so that they don't give away what these said; ids selects the decisions, with args. Violations are in order of the constraint, which stands before the decision.
func (w *writer) unlist(ctx context.Context, tenant, ids string, args []any) error {
	constraints, err := list(ctx, w.conn, func(row *sql.Rows, v *string) error { return row.Scan(v) }, constraintsOf, tenant)
	if err != nil {
		return err
	}
	for _, constraint := range constraints {
		if _, err := w.exec(ctx, deleteViolations+ids+")", append([]any{tenant, constraint}, args...)...); err != nil {
			return err
		}
	}
	_, err = w.exec(ctx, "UPDATE decisions SET route = '', intent = '' WHERE tenant = ? AND id IN ("+ids+")", append([]any{tenant}, args...)...)
	return err
}

const deleteViolations = "DELETE FROM violations WHERE tenant = ? AND constraint_id = ? AND decision IN ("

// erased selects the ids of the decisions that an erasure is about.
func erased(e *store.Erasure) (string, []any, error) {
	if e.Subject != "" {
		id, err := subjectID(e.Subject)
		return "SELECT decision FROM decision_subjects WHERE tenant = ? AND subject = ?", []any{e.Tenant, id}, err
	}
	held, heldArgs, err := heldDecisions(e.Tenant, e.Keep)
	if err != nil {
		return "", nil, err
	}
	args := append([]any{e.Tenant, e.Retention, firstID(e.From), firstID(e.To)}, heldArgs...)
	return "SELECT id FROM decisions WHERE tenant = ? AND retention = ? AND id >= ? AND id < ? AND id NOT IN (" + held + ")", args, nil
}

// heldDecisions selects the ids of the decisions that are held.
func heldDecisions(tenant string, h store.Holding) (string, []any, error) {
	query, args := "SELECT decision FROM decision_subjects WHERE tenant = ? AND subject IN "+places(h.Subjects), []any{tenant}
	for _, subject := range h.Subjects {
		id, err := subjectID(subject)
		if err != nil {
			return "", nil, err
		}
		args = append(args, id)
	}
	for _, decision := range h.Decisions {
		id, ok := decisionID(decision)
		if !ok {
			return "", nil, fmt.Errorf("the id of a decision, %q, is not a UUID", decision)
		}
		query, args = query+" UNION ALL SELECT ?", append(args, id)
	}
	return query, args, nil
}

// sealed puts sealed disclosures in the place of clear ones.
func (w *writer) sealed(ctx context.Context, b *store.Batch) error {
	for i := range b.Sealed {
		s := &b.Sealed[i]
		id, ok := decisionID(s.ID)
		if !ok {
			return fmt.Errorf("the id of a decision, %q, is not a UUID", s.ID)
		}
		if _, err := w.exec(ctx, "DELETE FROM clear_disclosures WHERE tenant = ? AND decision = ?", s.Tenant, id); err != nil {
			return err
		}
		if _, err := w.exec(ctx, "INSERT INTO disclosures (tenant, decision, body) VALUES (?, ?, ?)", s.Tenant, id, notNil(s.Disclosures)); err != nil {
			return err
		}
		if err := w.subjects(ctx, s.Tenant, id, s.Subjects); err != nil {
			return err
		}
	}
	return nil
}

// scrub empties the write-ahead log, which holds pages as they were. Where the last of what stood in the clear is gone, the file is written anew first: a release that did not overwrite what it deleted may have left copies.
func (w *writer) scrub(ctx context.Context, b *store.Batch) error {
	if len(b.Sealed) > 0 {
		var left bool
		if err := w.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM clear_disclosures)").Scan(&left); err != nil || left {
			return err
		}
		if _, err := w.conn.ExecContext(ctx, "VACUUM"); err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// Subjects implements [store.Reader].
func (s *Store) Subjects(ctx context.Context, tenant, decision string) ([]string, error) {
	id, ok := decisionID(decision)
	if !ok {
		return nil, nil
	}
	return list(ctx, s.reads, scanSubject, "SELECT subject FROM decision_subjects INDEXED BY subjects_by_decision WHERE tenant = ? AND decision = ? ORDER BY subject", tenant, id)
}

func scanSubject(row *sql.Rows, v *string) error {
	var id []byte
	err := row.Scan(&id)
	*v = hex.EncodeToString(id)
	return err
}

const parties = `SELECT r.decision, substr(r.body, 1, ?), (SELECT count(*) FROM decision_subjects p INDEXED BY subjects_by_decision WHERE p.tenant = r.tenant AND p.decision = r.decision)
	FROM disclosures r WHERE r.tenant = ? AND r.decision > ? ORDER BY r.decision LIMIT ?`

// Parties implements [store.Reader].
func (s *Store) Parties(ctx context.Context, tenant, after string, limit int) ([]store.Parties, error) {
	from := []byte{}
	if after != "" {
		id, ok := decisionID(after)
		if !ok {
			return nil, store.ErrCursor
		}
		from = id
	}
	scan := func(row *sql.Rows, v *store.Parties) error {
		var id []byte
		err := row.Scan(&id, &v.Head, &v.Subjects)
		v.ID = idText(id)
		return err
	}
	return list(ctx, s.reads, scan, parties, store.HeadBytes, tenant, from, max(0, limit))
}

// Held implements [store.Reader].
func (s *Store) Held(ctx context.Context, tenant string, h store.Holding) ([]string, error) {
	decisions, args, err := heldDecisions(tenant, h)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.reads, scanSubject, "SELECT DISTINCT subject FROM decision_subjects WHERE tenant = ? AND decision IN ("+decisions+") ORDER BY subject", append([]any{tenant}, args...)...)
}

// Erasable implements [store.Reader].
func (s *Store) Erasable(ctx context.Context, e store.Erasure) (int64, error) {
	ids, args, err := erased(&e)
	if err != nil {
		return 0, err
	}
	query := "SELECT count(*) FROM disclosures WHERE tenant = ? AND decision IN (" + ids + ")"
	if e.Documents {
		query = "SELECT count(*) FROM decisions d CROSS JOIN entries e ON e.tenant = d.tenant AND e.idx = d.idx WHERE d.tenant = ? AND e.document IS NOT NULL AND d.id IN (" + ids + ")"
	}
	return one(ctx, s.reads, func(row *sql.Rows, v *int64) error { return row.Scan(v) }, query, append([]any{e.Tenant}, args...)...)
}

// Clear implements [store.Reader].
func (s *Store) Clear(ctx context.Context, limit int) ([]store.Sealed, error) {
	scan := func(row *sql.Rows, v *store.Sealed) error {
		var id []byte
		err := row.Scan(&v.Tenant, &id, &v.Disclosures)
		v.ID = idText(id)
		return err
	}
	return list(ctx, s.reads, scan, "SELECT tenant, decision, body FROM clear_disclosures ORDER BY tenant, decision LIMIT ?", max(0, limit))
}
