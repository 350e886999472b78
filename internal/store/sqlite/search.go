package sqlite

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/smarthausgroup/caio/internal/store"
)

// Search implements [store.Reader]. Ids are in order of time, so that they page, bound the time, and end every index.
func (s *Store) Search(ctx context.Context, tenant string, q store.Query) (store.Page, error) {
	if q.Limit < 1 || q.Limit > store.MaxLimit {
		return store.Page{}, fmt.Errorf("a page has 1 to %d decisions, not %d", store.MaxLimit, q.Limit)
	}
	query, args, err := searchQuery(tenant, q)
	if err != nil {
		return store.Page{}, err
	}
	decisions, err := list(ctx, s.reads, scanDecision, query, args...)
	if err != nil || len(decisions) <= q.Limit {
		return store.Page{Decisions: decisions}, err
	}
	decisions = decisions[:q.Limit]
	id, _ := decisionID(decisions[q.Limit-1].ID)
	return store.Page{Decisions: decisions, Next: base64.RawURLEncoding.EncodeToString(id)}, nil
}

// searchQuery asks for one more than the page, to know whether another follows. It names the index: without statistics SQLite would walk through time instead. The most telling condition gives it: subject, constraint, service, intent, outcome.
func searchQuery(tenant string, q store.Query) (string, []any, error) {
	from, key := "decisions d", "d.id"
	conditions, args := []string{"d.tenant = ?"}, []any{tenant}
	where := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	if q.Subject != "" {
		id, err := subjectID(q.Subject)
		if err != nil {
			return "", nil, err
		}
		from, key = "decision_subjects p CROSS JOIN decisions d ON d.tenant = p.tenant AND d.id = p.decision", "p.decision"
		conditions[0] = "p.tenant = ?"
		where("p.subject = ?", id)
		if q.Constraint != "" {
			where("EXISTS (SELECT 1 FROM violations v WHERE v.tenant = d.tenant AND v.constraint_id = ? AND v.decision = d.id)", q.Constraint)
		}
	} else if q.Constraint != "" {
		from, key = "violations v CROSS JOIN decisions d ON d.tenant = v.tenant AND d.id = v.decision", "v.decision"
		conditions[0] = "v.tenant = ?"
		where("v.constraint_id = ?", q.Constraint)
	}
	for _, filter := range []struct{ column, value string }{{"service", q.Service}, {"intent", q.Intent}, {"outcome", q.Outcome}} {
		if filter.value == "" {
			continue
		}
		if len(conditions) == 1 {
			from += " INDEXED BY decisions_by_" + filter.column
		}
		where("d."+filter.column+" = ?", filter.value)
	}
	if !q.From.IsZero() {
		where(key+" >= ?", firstID(q.From))
	}
	if !q.To.IsZero() {
		where(key+" < ?", firstID(q.To))
	}
	if q.Cursor != "" {
		id, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
		if err != nil || len(id) != 16 {
			return "", nil, store.ErrCursor
		}
		where(key+" < ?", id)
	}
	query := "SELECT " + decisionColumns + " FROM " + from + " WHERE " + strings.Join(conditions, " AND ") + " ORDER BY " + key + " DESC LIMIT ?"
	return query, append(args, q.Limit+1), nil
}

// firstID is the smallest that a UUIDv7 of the moment, or later, can be. A moment between two milliseconds counts as the next.
func firstID(t time.Time) []byte {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(max(0, ms))<<16)
	return id[:]
}

func idText(id []byte) string {
	parsed, err := uuid.FromBytes(id)
	if err != nil {
		return "" // the schema holds every id to 16 bytes
	}
	return parsed.String()
}
