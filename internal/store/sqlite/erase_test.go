package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

// TestErasuresUseIndexes: what an erasure selects is looked up, and no table is read whole.
func TestErasuresUseIndexes(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	keep := store.Holding{Subjects: []string{storetest.SubjectID(1)}, Decisions: []string{storetest.DecisionID(time.Unix(1, 0), 1)}}
	for _, e := range []store.Erasure{
		{Tenant: "a", Subject: storetest.SubjectID(1)}, {Tenant: "a", Retention: "standard", From: time.Unix(1, 0), To: time.Unix(2, 0), Keep: keep},
	} {
		ids, args, err := erased(&e)
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []string{
			"DELETE FROM disclosures WHERE tenant = ? AND decision IN (", "DELETE FROM answers WHERE tenant = ? AND idx IN (SELECT idx FROM decisions WHERE tenant = 'a' AND id IN (",
			strings.Replace(deleteViolations, "?", "'a'", 1), "UPDATE decisions SET route = '', intent = '' WHERE tenant = ? AND id IN (",
		} {
			query := of + ids + strings.Repeat(")", strings.Count(of, "("))
			plan := planOf(t, s, query, append([]any{"a"}, args...))
			for line := range strings.Lines(plan) {
				if strings.HasPrefix(line, "SCAN") && !strings.Contains(line, "CONSTANT ROW") {
					t.Errorf("%s\n%s", query, plan)
				}
			}
		}
	}
}

func planOf(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	rows, err := s.writer.conn.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
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
	}
	if plan.Len() == 0 {
		t.Errorf("no plan for %s", query)
	}
	return plan.String()
}

// TestClearDisclosures opens a store of a release that kept disclosures in the clear: they are handed out for sealing and nowhere else, and once the last is sealed no byte of them is left in the files.
func TestClearDisclosures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	before(t, path, 3,
		"INSERT INTO logs VALUES ('a', 'o', 2)", "INSERT INTO entries VALUES ('a', 0, 'typ', x'00', NULL), ('a', 1, 'typ', x'01', NULL)",
		"INSERT INTO decisions VALUES ('a', zeroblob(16), 0, 0, 'routed', 's', '', 'chat'), ('a', x'00000000000000000000000000000001', 1, 0, 'routed', 's', '', 'chat')",
		"INSERT INTO disclosures VALUES ('a', zeroblob(16), CAST('a canary' AS BLOB)), ('a', x'00000000000000000000000000000001', CAST('another canary' AS BLOB))")
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	clear, err := s.Clear(ctx, 10)
	first, second := "00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"
	if want := []store.Sealed{{Tenant: "a", ID: first, Disclosures: []byte("a canary")}, {Tenant: "a", ID: second, Disclosures: []byte("another canary")}}; err != nil || !reflect.DeepEqual(clear, want) {
		t.Fatalf("%+v, %v", clear, err)
	}
	if text, err := s.Disclosures(ctx, "a", first); err == nil {
		t.Errorf("before it is sealed: %q", text)
	}
	about := []string{storetest.SubjectID(1)}
	for _, id := range []string{first, second} {
		if err := s.Commit(ctx, &store.Batch{Sealed: []store.Sealed{{Tenant: "a", ID: id, Subjects: about, Disclosures: []byte("sealed")}}}); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := s.Disclosures(ctx, "a", first); err != nil || string(text) != "sealed" {
		t.Errorf("after it is sealed: %q, %v", text, err)
	}
	if subjects, err := s.Subjects(ctx, "a", second); err != nil || !reflect.DeepEqual(subjects, about) {
		t.Errorf("%v, %v", subjects, err)
	}
	if clear, err = s.Clear(ctx, 10); err != nil || len(clear) > 0 {
		t.Errorf("left: %v, %v", clear, err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if bytes.Contains(read(t, path+suffix), []byte("canary")) {
			t.Errorf("%s still holds what was in the clear", filepath.Base(path+suffix))
		}
	}
}

// before makes a store of an earlier schema, and fills it.
func before(t *testing.T, path string, version int64, statements ...string) {
	t.Helper()
	db, err := sql.Open(driverName, dataSource(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(context.Background(), version); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEarlierErasures opens a store of before erasures of documents took along what lists say of them.
func TestEarlierErasures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	before(t, path, 7, "INSERT INTO logs VALUES ('a', 'o', 2, '')", "INSERT INTO entries VALUES ('a', 0, 't', x'00', NULL), ('a', 1, 't', x'00', x'7b')",
		"INSERT INTO decisions VALUES ('a', CAST(zeroblob(15) || x'01' AS BLOB), 0, 5, 'routed', 's', 'internal', 'chat', 'standard'), ('a', CAST(zeroblob(15) || x'02' AS BLOB), 1, 5, 'routed', 's', 'internal', 'chat', 'standard')",
		"INSERT INTO violations SELECT tenant, 'GDPR-44', id FROM decisions")
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for constraint, want := range map[string]string{"": "2 chat internal, 1  ", "GDPR-44": "2 chat internal"} {
		page, err := s.Search(context.Background(), "a", store.Query{Constraint: constraint, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range page.Decisions {
			got = append(got, d.ID[35:]+" "+d.Intent+" "+d.Route)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: %q, expected %q", constraint, got, want)
		}
	}
}
