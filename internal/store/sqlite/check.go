package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/smarthausgroup/caio/internal/store"
)

// beside is the condition of the index entries_by_type; SQLite uses that only where a query repeats it.
const beside = "type <> 'caio-decision+jws'"

// EntriesOf implements [store.Reader].
func (s *Store) EntriesOf(ctx context.Context, tenant string, types ...string) ([]store.Entry, error) {
	if len(types) == 0 {
		return nil, nil
	}
	return list(ctx, s.reads, scanEntry, "SELECT tenant, idx, type, leaf FROM entries INDEXED BY entries_by_type WHERE tenant = ? AND "+beside+" AND type IN "+places(types)+" ORDER BY idx",
		append([]any{tenant}, anys(types)...)...)
}

const latestOf = "SELECT tenant, idx, type, leaf FROM entries INDEXED BY entries_by_type WHERE tenant = ? AND " + beside + " AND type = ? AND idx < ? ORDER BY idx DESC LIMIT ?"

// LatestOf implements [store.Reader].
func (s *Store) LatestOf(ctx context.Context, tenant, typ string, before int64, limit int) ([]store.Entry, error) {
	return list(ctx, s.reads, scanEntry, latestOf, tenant, typ, before, max(0, limit))
}

// Check implements [store.Reader]. Each query reads indexes alone.
func (s *Store) Check(ctx context.Context, attempts ...string) error {
	if err := s.checkLengths(ctx); err != nil {
		return err
	}
	const entry = "SELECT 1 FROM entries e WHERE e.tenant = r.tenant AND e.idx = r.idx"
	type check struct {
		says, query string
		args        []any
	}
	checks := []check{
		{"an entry of no log", "SELECT r.tenant, r.idx FROM entries r WHERE NOT EXISTS (SELECT 1 FROM logs l WHERE l.tenant = r.tenant)", nil},
		{"a grant of a tenant that has no log", "SELECT r.owner, 0 FROM grants r WHERE NOT EXISTS (SELECT 1 FROM logs l WHERE l.tenant = r.owner)", nil},
		{"an event without an entry", "SELECT r.tenant, r.idx FROM events r WHERE NOT EXISTS (" + entry + ")", nil},
		{"content that is listed for nobody whom it is about", "SELECT r.tenant, d.idx FROM disclosures r CROSS JOIN decisions d ON d.tenant = r.tenant AND d.id = r.decision" +
			" WHERE NOT EXISTS (SELECT 1 FROM decision_subjects p INDEXED BY subjects_by_decision WHERE p.tenant = r.tenant AND p.decision = r.decision)", nil},
		{"an attempt without an entry", "SELECT r.tenant, r.idx FROM attempts r WHERE NOT EXISTS (" + entry + ")", nil},
	}
	if len(attempts) > 0 {
		of := " AND " + beside + " AND type IN " + places(attempts)
		checks = append(checks,
			check{"an attempt whose entry says something else", "SELECT r.tenant, r.idx FROM attempts r WHERE NOT EXISTS (" + entry + of + ")", anys(attempts)},
			check{"an outcome without its attempt", "SELECT l.tenant, r.idx FROM logs l CROSS JOIN entries r INDEXED BY entries_by_type ON r.tenant = l.tenant" + of +
				" WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.tenant = r.tenant AND a.idx = r.idx)", anys(attempts)},
		)
	}
	for _, c := range checks {
		found, err := list(ctx, s.reads, scanPlace, c.query+" LIMIT 1", c.args...)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fmt.Errorf("the log of tenant %q, index %d: %s: %w", found[0].Tenant, found[0].Index, c.says, store.ErrInconsistent)
		}
	}
	return nil
}

// checkLengths holds every log's size to its entries. Their indices are distinct and none is negative, so that as many as the size, the last one below it, leave no gap.
func (s *Store) checkLengths(ctx context.Context) error {
	type length struct {
		store.Log
		entries, first, last int64
	}
	scan := func(row *sql.Rows, v *length) error {
		return row.Scan(&v.Tenant, &v.Origin, &v.Size, &v.entries, &v.first, &v.last)
	}
	const of = "FROM entries e WHERE e.tenant = l.tenant"
	logs, err := list(ctx, s.reads, scan,
		"SELECT tenant, origin, size, (SELECT count(*) "+of+"), (SELECT coalesce(min(idx), 0) "+of+"), (SELECT coalesce(max(idx), -1) "+of+") FROM logs l ORDER BY tenant")
	if err != nil {
		return err
	}
	for _, l := range logs {
		if l.entries != l.Size || l.first != 0 || l.last != l.Size-1 {
			return fmt.Errorf("the log %s of tenant %q: its size is %d, so that it has the entries 0 to %d, and there are %d, from %d to %d: %w",
				l.Origin, l.Tenant, l.Size, l.Size-1, l.entries, l.first, l.last, store.ErrInconsistent)
		}
	}
	return nil
}

func scanEntry(row *sql.Rows, v *store.Entry) error {
	return row.Scan(&v.Tenant, &v.Index, &v.Type, &v.Leaf)
}

func scanPlace(row *sql.Rows, v *store.Entry) error { return row.Scan(&v.Tenant, &v.Index) }

// places is a list of parameters, one for each value.
func places(values []string) string {
	return "(" + strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ") + ")"
}

func anys(values []string) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}
