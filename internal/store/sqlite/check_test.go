package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
)

// TestCheck changes a store behind its back, in each of the ways that a start must notice.
func TestCheck(t *testing.T) {
	const event = "INSERT INTO events SELECT tenant, %, kind, subject, digest, level, pending, signer, actor, reason, time, scope FROM events WHERE idx = 1"
	tests := map[string]struct{ statement, says string }{
		"untouched":                       {"SELECT 1", ""},
		"a larger size":                   {"UPDATE logs SET size = 100", "its size is 100"},
		"a smaller size":                  {"UPDATE logs SET size = 5", "its size is 5"},
		"no entry at the start":           {"DELETE FROM entries WHERE idx = 0", "from 1 to 5"},
		"no entry in the middle":          {"DELETE FROM entries WHERE idx = 3", "there are 5"},
		"no entry at the end":             {"DELETE FROM entries WHERE idx = 5", "from 0 to 4"},
		"an entry moved":                  {"UPDATE entries SET idx = 9 WHERE idx = 3", "from 0 to 9"},
		"an entry before the first":       {"PRAGMA ignore_check_constraints = 1; UPDATE entries SET idx = -1 WHERE idx = 3", "from -1 to 5"},
		"entries of no log":               {"INSERT INTO entries VALUES ('b', 0, 'x', x'00', NULL)", `tenant "b", index 0: an entry of no log`},
		"no log":                          {"DELETE FROM logs", "an entry of no log"},
		"a grant of nobody":               {"UPDATE grants SET owner = 'b'", `tenant "b", index 0: a grant of a tenant that has no log`},
		"an event far beyond the end":     {strings.Replace(event, "%", "1000000", 1), "index 1000000: an event without an entry"},
		"an event of another tenant":      {"UPDATE events SET tenant = 'b' WHERE idx = 1", `tenant "b", index 1: an event without an entry`},
		"an attempt beyond the end":       {"UPDATE attempts SET idx = 77 WHERE idx = 2", "index 77: an attempt without an entry"},
		"an attempt beside another entry": {"UPDATE attempts SET idx = 3 WHERE idx = 2", "index 3: an attempt whose entry says something else"},
		"nobody whom it is about":         {"DELETE FROM decision_subjects", "index 0: content that is listed for nobody"},
		"an attempt taken away":           {"DELETE FROM attempts WHERE idx = 2", "index 2: an outcome without its attempt"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, path := context.Background(), filepath.Join(t.TempDir(), "caio.db")
			s, err := Open(ctx, path)
			if err != nil {
				t.Fatal(err)
			}
			first, second := batch(0), batch(3)
			first.Logs[0].New = true
			for _, b := range []*store.Batch{first, second} {
				b.Entries[2].Type, b.Grants[0].Owner = "outcome", "a"
				if err := s.Commit(ctx, b); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			tamper(t, path, test.statement)
			if s, err = Open(ctx, path); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			err = s.Check(ctx, "outcome")
			if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

func tamper(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open(driverName, dataSource(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// TestEmptyBatch writes nothing, and to the disk.
func TestEmptyBatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for range 3 {
		before := size()
		if err := s.Commit(context.Background(), &store.Batch{}); err != nil {
			t.Fatal(err)
		}
		if size() == before {
			t.Error("nothing was written to the disk")
		}
	}
}
