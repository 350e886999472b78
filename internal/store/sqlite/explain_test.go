package sqlite

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

// TestSearchUsesIndexes asks SQLite how it answers each combination of conditions: never by reading a whole table, and never by sorting.
func TestSearchUsesIndexes(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for bits := range 1 << 7 {
		q := store.Query{Limit: 10}
		for i, set := range []func(){
			func() { q.Service = "s" }, func() { q.Outcome = "denied" }, func() { q.Intent = "chat" }, func() { q.Constraint = "GDPR-44" },
			func() { q.From = time.Unix(1, 0) }, func() { q.To = time.Unix(2, 0) },
			func() { q.Subject = storetest.SubjectID(1) },
		} {
			if bits&(1<<i) != 0 {
				set()
			}
		}
		query, args, err := searchQuery("a", q)
		if err != nil {
			t.Fatal(err)
		}
		plan := checkPlan(t, s, query, args)
		want := "d USING PRIMARY KEY"
		switch {
		case q.Subject != "":
			want = "p USING PRIMARY KEY (tenant=? AND subject=?"
		case q.Constraint != "":
			want = "v USING PRIMARY KEY (tenant=? AND constraint_id=?"
		case q.Service != "":
			want = "decisions_by_service"
		case q.Intent != "":
			want = "decisions_by_intent"
		case q.Outcome != "":
			want = "decisions_by_outcome"
		}
		if !strings.Contains(plan, want) {
			t.Errorf("%s\nwant %s, got\n%s", query, want, plan)
		}
	}
}

// TestKeptUsesThePrimaryKey: a page is read from where it begins, each decision's rest is looked up.
func TestKeptUsesThePrimaryKey(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	span := store.Span{From: time.Unix(1, 0), To: time.Unix(2, 0), Below: 9}
	for _, of := range []store.Span{{}, span} {
		for _, after := range [][]byte{nil, firstID(time.Unix(1, 0))} {
			query, args := keptQuery("a", of, after, 10)
			plan := checkPlan(t, s, query, args)
			for _, want := range []string{"SEARCH d USING PRIMARY KEY", "SEARCH e USING INDEX", "SEARCH x USING INDEX"} {
				if !strings.Contains(plan, want) {
					t.Errorf("%s\nwant %s, got\n%s", query, want, plan)
				}
			}
		}
	}
}

// TestLatestOfReadsBackwards: a page is read from its end, without sorting.
func TestLatestOfReadsBackwards(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if plan := checkPlan(t, s, latestOf, []any{"a", "x", 9, 10}); !strings.Contains(plan, "entries_by_type (tenant=? AND type=? AND idx<?)") {
		t.Errorf("got\n%s", plan)
	}
}

func checkPlan(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	rows, err := s.reads.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
		if strings.HasPrefix(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") {
			t.Errorf("%s\n%s", query, detail)
		}
	}
	if plan.Len() == 0 {
		t.Errorf("no plan for %s", query)
	}
	return plan.String()
}
