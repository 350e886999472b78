package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/smarthausgroup/caio/internal/store"
)

// conditions are those of a span on decisions d.
func conditions(tenant string, s store.Span) (string, []any) {
	list, args := []string{"d.tenant = ?"}, []any{tenant}
	where := func(condition string, arg any) { list, args = append(list, condition), append(args, arg) }
	if !s.From.IsZero() {
		where("d.id >= ?", firstID(s.From))
	}
	if !s.To.IsZero() {
		where("d.id < ?", firstID(s.To))
	}
	if s.Below != 0 {
		where("d.idx < ?", s.Below)
	}
	return strings.Join(list, " AND "), args
}

// keptQuery walks through the decisions and looks up the rest of each: CROSS JOIN keeps SQLite from beginning elsewhere.
func keptQuery(tenant string, s store.Span, after []byte, limit int) (string, []any) {
	where, args := conditions(tenant, s)
	if after != nil {
		where, args = where+" AND d.id > ?", append(args, after)
	}
	return "SELECT " + decisionColumns + `, e.leaf, e.document, x.body FROM decisions d
		CROSS JOIN entries e ON e.tenant = d.tenant AND e.idx = d.idx
		LEFT JOIN disclosures x ON x.tenant = d.tenant AND x.decision = d.id
		WHERE ` + where + " ORDER BY d.id LIMIT ?", append(args, limit)
}

// Kept implements [store.Reader].
func (s *Store) Kept(ctx context.Context, tenant string, span store.Span, after string, limit int) (page []store.Kept, err error) {
	if limit < 1 || limit > store.MaxLimit {
		return nil, fmt.Errorf("a page has 1 to %d decisions, not %d", store.MaxLimit, limit)
	}
	var from []byte
	if after != "" {
		id, ok := decisionID(after)
		if !ok {
			return nil, store.ErrCursor
		}
		from = id
	}
	query, args := keptQuery(tenant, span, from, limit)
	rows, err := s.reads.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, meaning(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for size := 0; size < store.MaxPageBytes && rows.Next(); {
		var k store.Kept
		if err := scanKept(rows, &k); err != nil {
			return nil, err
		}
		size += len(k.Statement) + len(k.Document) + len(k.Disclosures)
		page = append(page, k)
	}
	return page, meaning(rows.Err())
}

func scanKept(row *sql.Rows, v *store.Kept) error {
	var id []byte
	var time int64
	err := row.Scan(&v.Tenant, &id, &v.Index, &time, &v.Outcome, &v.Service, &v.Route, &v.Intent, &v.Retention, &v.Statement, &v.Document, &v.Disclosures)
	v.ID, v.Time, v.Document = idText(id), moment(time), unpack(v.Document)
	return err
}

// Count implements [store.Reader].
func (s *Store) Count(ctx context.Context, tenant string, span store.Span) (int64, error) {
	where, args := conditions(tenant, span)
	return one(ctx, s.reads, func(row *sql.Rows, v *int64) error { return row.Scan(v) }, "SELECT count(*) FROM decisions d WHERE "+where, args...)
}
