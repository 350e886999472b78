package seal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"pgregory.net/rapid"
)

var january = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *seal.Subjects {
	t.Helper()
	return openWith(t, path, rand.Reader)
}

func openWith(t testing.TB, path string, random io.Reader) *seal.Subjects {
	t.Helper()
	s, err := seal.Open(context.Background(), path, random)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func at(decision string, when time.Time, subjects ...string) seal.Of {
	return seal.Of{Tenant: "acme", Decision: decision, Class: "standard", Time: when, Subjects: subjects}
}

// sealed is the text of a decision, sealed, with a salt of it.
func sealed(t testing.TB, s *seal.Subjects, of seal.Of, text string) (salt, bytes []byte) {
	t.Helper()
	r, err := s.Record(context.Background(), of)
	must(t, err)
	defer r.Done()
	bytes, err = r.Seal("disclosures", []byte(text))
	must(t, err)
	return r.Salt("intent.text"), bytes
}

func unsealed(s *seal.Subjects, tenant, decision string, sealed []byte) (string, error) {
	text, err := s.Unseal(context.Background(), tenant, decision, "disclosures", sealed)
	return string(text), err
}

// TestKeysAreKept: after a restart the same subjects have the same keys, and others have others.
func TestKeysAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subjects.db")
	s := open(t, path)
	salt, body := sealed(t, s, at("d1", january, "ann", "bob"), "text")
	must(t, s.Close())
	s = open(t, path)
	again, _ := sealed(t, s, at("d1", january, "bob", "ann", "ann"), "text")
	if !bytes.Equal(salt, again) {
		t.Error("the same subjects have other salts after a restart")
	}
	for name, of := range map[string]seal.Of{
		"one subject less":  at("d1", january, "ann"),
		"another subject":   at("d1", january, "ann", "eve"),
		"another month":     at("d1", january.AddDate(0, 1, 0), "ann", "bob"),
		"another class":     {Tenant: "acme", Decision: "d1", Class: "short", Time: january, Subjects: []string{"ann", "bob"}},
		"another tenant":    {Tenant: "other", Decision: "d1", Class: "standard", Time: january, Subjects: []string{"ann", "bob"}},
		"another decision":  at("d2", january, "ann", "bob"),
		"one name for both": at("d1", january, "annbob"),
	} {
		if other, _ := sealed(t, s, of, "text"); bytes.Equal(salt, other) {
			t.Errorf("%s: the same salt", name)
		}
	}
	if text, err := unsealed(s, "acme", "d1", body); err != nil || text != "text" {
		t.Errorf("%q, %v", text, err)
	}
	for _, of := range [][2]string{{"other", "d1"}, {"acme", "d2"}} {
		if text, err := unsealed(s, of[0], of[1], body); err == nil {
			t.Errorf("as %v it opens: %q", of, text)
		}
	}
}

// TestErased: once one of its subjects is erased, nothing of a record can be made again, and no other record is touched. The subject that comes again is a new one.
func TestErased(t *testing.T) {
	s, runs := open(t, filepath.Join(t.TempDir(), "subjects.db")), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		tenant := fmt.Sprint("tenant-", runs)
		people := []string{"ann", "bob", "cyd", "dan"}
		type record struct {
			of         seal.Of
			salt, body []byte
		}
		var records []record
		for n := range rapid.IntRange(1, 8).Draw(rt, "decisions") {
			who := rapid.SliceOfNDistinct(rapid.SampledFrom(people), 1, 4, rapid.ID).Draw(rt, "who")
			of := seal.Of{Tenant: tenant, Class: "standard", Decision: fmt.Sprint("d", n), Subjects: who, Time: january.AddDate(0, rapid.IntRange(0, 2).Draw(rt, "month"), 0)}
			salt, body := sealed(t, s, of, "text")
			records = append(records, record{of, salt, body})
		}
		gone := rapid.SampledFrom(people).Draw(rt, "erased")
		before, _, err := s.Find(context.Background(), tenant, gone)
		must(t, err)
		known, err := s.Erase(context.Background(), tenant, gone, false, func(id string) error {
			if id != before {
				rt.Errorf("erased as %s, found as %s", id, before)
			}
			return nil
		})
		if err != nil || known != (before != "") {
			rt.Fatalf("known %t, %v, found as %q", known, err, before)
		}
		for _, r := range records {
			touched := slices.Contains(r.of.Subjects, gone)
			if text, err := unsealed(s, tenant, r.of.Decision, r.body); touched != errors.Is(err, seal.ErrGone) || !touched && text != "text" {
				rt.Fatalf("%v after %s was erased: %q, %v", r.of.Subjects, gone, text, err)
			}
			if salt, _ := sealed(t, s, r.of, "text"); touched == bytes.Equal(salt, r.salt) {
				rt.Fatalf("%v after %s was erased: salt %x, before %x", r.of.Subjects, gone, salt, r.salt)
			}
		}
		if after, _, _ := s.Find(context.Background(), tenant, gone); before != "" && after == before {
			rt.Fatal("the subject has its id again")
		}
	})
}

// contents is every byte of the files of a store.
func contents(t *testing.T, path string) []byte {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("no file of the store was found")
	}
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		all = append(all, text...)
	}
	return all
}

// draws remembers what was drawn: every key and id.
type draws struct{ drawn [][]byte }

func (d *draws) Read(p []byte) (int, error) {
	n, err := rand.Read(p)
	d.drawn = append(d.drawn, slices.Clone(p))
	return n, err
}

// TestDestroyedKeysLeaveTheFiles searches the bytes of every file for every key that was drawn: those of whoever was erased, among many others, are nowhere, and neither is a name.
func TestDestroyedKeysLeaveTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subjects.db")
	random := &draws{}
	s := openWith(t, path, random)
	of := map[string][][]byte{}
	const people = 600
	name := func(n int) string { return fmt.Sprintf("person-%d@example.com", n) }
	for n := range people {
		before := len(random.drawn)
		sealed(t, s, at("d", january, name(n)), "text")
		of[name(n)] = random.drawn[before:]
		if len(of[name(n)]) != 3 {
			t.Fatalf("%d things were drawn for a subject, not its id, and the id and the secret of its key", len(of[name(n)]))
		}
	}
	for n := 0; n < people; n += 2 {
		known, err := s.Erase(context.Background(), "acme", name(n), false, func(string) error { return nil })
		if !known || err != nil {
			t.Fatal(known, err)
		}
		if n > 20 && n < people-20 {
			n += 20 // not all of those in between: each is written anew
		}
	}
	all := contents(t, path)
	if bytes.Contains(all, []byte("person-")) {
		t.Error("the files hold a name")
	}
	erased := 0
	for who, drawn := range of {
		_, known, err := s.Find(context.Background(), "acme", who)
		must(t, err)
		if secret := drawn[2]; bytes.Contains(all, secret) != known {
			t.Errorf("%s: known %t, and its key in the files: %t", who, known, !known)
		}
		if !known {
			erased++
			if bytes.Contains(all, drawn[1]) {
				t.Errorf("the id of a key of %s is in the files", who)
			}
		}
	}
	if erased < 20 {
		t.Errorf("only %d were erased", erased)
	}
}

// TestOverwrittenLater: a key that could not be overwritten, since somebody else was reading the file, is overwritten when the erasure is asked for again, though nobody of that name is known any more; and so it is by Scrub.
func TestOverwrittenLater(t *testing.T) {
	for name, again := range map[string]func(s *seal.Subjects) error{
		"erased again": func(s *seal.Subjects) error {
			known, err := s.Erase(context.Background(), "acme", "ann", false, func(string) error { return errors.New("nobody is known") })
			if known {
				err = errors.New("ann is known")
			}
			return err
		},
		"scrubbed": func(s *seal.Subjects) error { return s.Scrub(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "subjects.db")
			random := &draws{}
			s := openWith(t, path, random)
			sealed(t, s, at("d", january, "ann"), "text")
			secret := random.drawn[len(random.drawn)-1]
			reader, err := sql.Open("sqlite", path)
			must(t, err)
			defer reader.Close()
			reading, err := reader.Begin()
			must(t, err)
			var n int
			must(t, reading.QueryRow("SELECT count(*) FROM keys").Scan(&n))
			known, err := s.Erase(context.Background(), "acme", "ann", false, func(string) error { return nil })
			if !known || !errors.Is(err, seal.ErrNotOverwritten) || !bytes.Contains(contents(t, path), secret) {
				t.Fatalf("while somebody reads: %t, %v", known, err)
			}
			must(t, reading.Rollback())
			if err := again(s); err != nil || bytes.Contains(contents(t, path), secret) {
				t.Errorf("%v; the key is in the files: %t", err, bytes.Contains(contents(t, path), secret))
			}
		})
	}
}

// TestErasureWaits: an erasure is committed after the decisions in flight that the subject takes part in are stored, and those that come meanwhile get new keys.
func TestErasureWaits(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "subjects.db"))
	r, err := s.Record(context.Background(), at("d1", january, "ann", "bob"))
	must(t, err)
	var order []string
	var mu sync.Mutex
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	var erasing sync.WaitGroup
	started := make(chan struct{})
	erasing.Go(func() {
		close(started)
		_, err := s.Erase(context.Background(), "acme", "bob", false, func(string) error { note("erased"); return nil })
		if err != nil {
			t.Error(err)
		}
	})
	<-started
	note("stored")
	r.Done()
	r.Done() // a second time does nothing
	erasing.Wait()
	if !slices.Equal(order, []string{"stored", "erased"}) {
		t.Errorf("in the order %v", order)
	}
	other, err := s.Record(context.Background(), at("d1", january, "ann", "bob"))
	must(t, err)
	defer other.Done()
	if bytes.Equal(other.Salt("x"), r.Salt("x")) {
		t.Error("a decision after the erasure has the keys of before")
	}
}

// TestErasureNotCommitted: where its entry can't be written, nothing is destroyed.
func TestErasureNotCommitted(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "subjects.db"))
	_, body := sealed(t, s, at("d1", january, "ann"), "text")
	failed := errors.New("the disk is full")
	if known, err := s.Erase(context.Background(), "acme", "ann", true, func(string) error { return failed }); !known || !errors.Is(err, failed) {
		t.Errorf("%t, %v", known, err)
	}
	if text, err := unsealed(s, "acme", "d1", body); err != nil || text != "text" {
		t.Errorf("%q, %v", text, err)
	}
	if known, err := s.Erase(context.Background(), "acme", "nobody", true, func(string) error { t.Error("an entry for nobody"); return nil }); known || err != nil {
		t.Errorf("%t, %v", known, err)
	}
	if list, err := s.Destroyed(context.Background()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestRestored: a copy of before an erasure has the key again, until it is destroyed by its id, as often as one likes.
func TestRestored(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "subjects.db"), filepath.Join(dir, "backup.db")
	s := open(t, path)
	_, body := sealed(t, s, at("d1", january, "ann"), "text")
	_, other := sealed(t, s, at("d2", january, "bob"), "text")
	must(t, s.Close())
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(backup, text, 0o600))
	s = open(t, path)
	var id string
	_, err = s.Erase(context.Background(), "acme", "ann", true, func(erased string) error { id = erased; return nil })
	must(t, err)
	want := []seal.Destroyed{{Tenant: "acme", Subject: id, Documents: true}}
	if list, err := s.Destroyed(context.Background()); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%v, %v", list, err)
	}

	restored := open(t, backup)
	if text, err := unsealed(restored, "acme", "d1", body); err != nil || text != "text" {
		t.Fatalf("the backup: %q, %v", text, err)
	}
	for range 2 {
		must(t, restored.Destroy(context.Background(), want...))
		if text, err := unsealed(restored, "acme", "d1", body); !errors.Is(err, seal.ErrGone) {
			t.Errorf("after it was destroyed again: %q, %v", text, err)
		}
	}
	if list, err := restored.Destroyed(context.Background()); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%v, %v", list, err)
	}
	if text, err := unsealed(restored, "acme", "d2", other); err != nil || text != "text" {
		t.Errorf("somebody else: %q, %v", text, err)
	}
}

// TestExpire destroys what is old of one class, and not what is kept.
func TestExpire(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "subjects.db"))
	of := map[string]seal.Of{
		"old":           at("d1", january, "ann"),
		"kept":          at("d2", january, "bob"),
		"later":         at("d3", january.AddDate(0, 1, 0), "ann"),
		"another class": {Tenant: "acme", Decision: "d4", Class: "long", Time: january, Subjects: []string{"ann"}},
		"another's":     {Tenant: "other", Decision: "d5", Class: "standard", Time: january, Subjects: []string{"ann"}},
	}
	bodies := map[string][]byte{}
	for name, of := range of {
		_, bodies[name] = sealed(t, s, of, "text")
	}
	bob, _, err := s.Find(context.Background(), "acme", "bob")
	must(t, err)
	keep := map[string]bool{bob: true}
	if n, err := s.Due(context.Background(), "acme", "standard", seal.MonthOf(january), keep); n != 1 || err != nil {
		t.Errorf("%d keys are due, %v", n, err)
	}
	must(t, s.Expire(context.Background(), "acme", "standard", seal.MonthOf(january), keep))
	for name, of := range of {
		if _, err := unsealed(s, of.Tenant, of.Decision, bodies[name]); errors.Is(err, seal.ErrGone) != (name == "old") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, err := s.Due(context.Background(), "acme", "standard", seal.MonthOf(january), nil); n != 1 || err != nil {
		t.Errorf("%d keys are due once nobody keeps them, %v", n, err)
	}
}

func TestMonths(t *testing.T) {
	for _, when := range []time.Time{january, time.Date(2025, 12, 31, 23, 59, 59, 999, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600))} {
		end := seal.MonthEnd(seal.MonthOf(when))
		if !when.Before(end) || when.UTC().Before(end.AddDate(0, -1, 0)) || end.Day() != 1 {
			t.Errorf("the month of %s ends %s", when, end)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subjects.db")
	s := open(t, path)
	if _, err := seal.Open(context.Background(), path, rand.Reader); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second time: %v", err)
	}
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s%s: mode %v, %v", path, suffix, info.Mode(), err)
		}
	}
	must(t, s.Close())
	if _, err := s.Record(context.Background(), at("d", january, "ann")); !errors.Is(err, seal.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	must(t, os.WriteFile(path, bytes.Repeat([]byte("no database\n"), 100), 0o600))
	if _, err := seal.Open(context.Background(), path, rand.Reader); !errors.Is(err, store.ErrForeign) || !strings.Contains(err.Error(), path) {
		t.Errorf("a text: %v", err)
	}
	if _, err := seal.Open(context.Background(), path+"2", strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("a source that ends: %v", err)
	}
}

// TestManyAtOnce: decisions of the same and of new subjects at once; each subject gets one key.
func TestManyAtOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "subjects.db"))
	salts := make([][]byte, 400)
	var callers sync.WaitGroup
	for n := range salts {
		callers.Go(func() {
			r, err := s.Record(context.Background(), at("d", january, fmt.Sprint("person ", n%20), "app"))
			if err != nil {
				t.Error(err)
				return
			}
			salts[n] = r.Salt("x")
			r.Done()
		})
	}
	callers.Wait()
	for n := range salts {
		if !bytes.Equal(salts[n], salts[n%20]) {
			t.Errorf("two keys for one subject: %d", n%20)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "subjects.db"))
	text := bytes.Repeat([]byte("x"), 700)
	names := []string{"intent.text", "context.text", "context.conversation_id", "data.subjects", "principal.subject"}
	for _, bench := range []struct {
		name string
		who  func(n int) []string
	}{
		{"known", func(int) []string { return []string{"app", "ann"} }},
		{"new", func(n int) []string { return []string{"app", fmt.Sprint("person ", n)} }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				r, err := s.Record(context.Background(), at("01a20368-453e-7f21-aad0-9018e60ae18f", january, bench.who(n)...))
				must(b, err)
				for _, name := range names {
					r.Salt(name)
				}
				_, err = r.Seal("disclosures", text)
				must(b, err)
				r.Done()
			}
		})
	}
}
