package seal_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/smarthausgroup/caio/internal/seal"
)

// breakDestruction makes the store refuse to delete keys, as a full disk would, until mend.
func breakDestruction(t *testing.T, path string) (mend func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec("CREATE TRIGGER broken BEFORE DELETE ON keys BEGIN SELECT RAISE(ABORT, 'no space'); END")
	must(t, err)
	return func() {
		_, err := db.Exec("DROP TRIGGER broken")
		must(t, err)
		must(t, db.Close())
	}
}

func never(string) error { return errors.New("nobody is known") }

// TestUnfinished: once the destruction of a key was promised nothing is sealed with it, though it could not be destroyed; it is as soon as it can be, by whatever comes first, and who comes again is somebody new.
func TestUnfinished(t *testing.T) {
	ctx := context.Background()
	for name, next := range map[string]func(s *seal.Subjects) error{
		"a decision": func(*seal.Subjects) error { return nil },
		"asked again": func(s *seal.Subjects) error {
			var stated string
			known, err := s.Erase(ctx, "acme", "ann", true, func(id string) error { stated = id; return nil })
			if !known || stated == "" {
				return errors.Join(err, errors.New("it is not stated again"))
			}
			return err
		},
		"scrubbed": func(s *seal.Subjects) error { return s.Scrub(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "subjects.db")
			random := &draws{}
			s := openWith(t, path, random)
			_, before := sealed(t, s, at("before", january, "ann", "bob"), "text")
			secret := random.drawn[3] // after the lookup's, and the ids of ann and of the key
			if !bytes.Contains(contents(t, path), secret) {
				t.Fatal("the key is not in the files")
			}
			mend := breakDestruction(t, path)
			var id string
			known, err := s.Erase(ctx, "acme", "ann", false, func(of string) error { id = of; return nil })
			if !known || err == nil {
				t.Fatalf("%t, %v", known, err)
			}
			if r, err := s.Record(ctx, at("between", january, "ann")); err == nil {
				t.Errorf("a record of %v", r.Subjects())
				r.Done()
			}
			if _, known, err := s.Find(ctx, "acme", "ann"); known || err != nil {
				t.Errorf("found: %t, %v", known, err)
			}
			sealed(t, s, at("between", january, "bob"), "text")
			var again string
			if _, err := s.Erase(ctx, "acme", "ann", false, func(of string) error { again = of; return nil }); err == nil || again != id {
				t.Errorf("asked again: %q for %q, %v", again, id, err)
			}

			mend()
			must(t, next(s))
			r, err := s.Record(ctx, at("after", january, "ann"))
			must(t, err)
			r.Done()
			if r.Subjects()[0] == id {
				t.Error("who comes again is not new")
			}
			if _, err := unsealed(s, "acme", "before", before); !errors.Is(err, seal.ErrGone) {
				t.Errorf("it opens: %v", err)
			}
			must(t, s.Scrub(ctx))
			if bytes.Contains(contents(t, path), secret) {
				t.Error("the key is in the files")
			}
			if known, err := s.Erase(ctx, "acme", "ann", false, func(of string) error {
				if of == id {
					return errors.New("it is the one of before")
				}
				return nil
			}); !known || err != nil {
				t.Errorf("erased once more: %t, %v", known, err)
			}
			if known, err := s.Erase(ctx, "acme", "ann", false, never); known || err != nil {
				t.Errorf("of nobody: %t, %v", known, err)
			}
		})
	}
}
