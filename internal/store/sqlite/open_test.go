package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
)

// openAgainVariable makes the test binary a second process that opens the store at this path, and says how that went.
const openAgainVariable = "CAIO_TEST_OPEN_AGAIN"

func TestMain(m *testing.M) {
	path := os.Getenv(openAgainVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	s, err := Open(context.Background(), path)
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(0)
	}
	s.Close()
	os.Stdout.WriteString("opened")
}

func openAgain(t *testing.T, path string) string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), openAgainVariable+"="+path)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "caio.db"), filepath.Join(dir, "link.db")
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link} {
		if _, err := Open(context.Background(), name); !errors.Is(err, store.ErrInUse) {
			t.Errorf("opening %s again in this process: %v", name, err)
		}
		if output := openAgain(t, name); !strings.Contains(output, store.ErrInUse.Error()) {
			t.Errorf("opening %s in another process: %s", name, output)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if output := openAgain(t, path); output != "opened" {
		t.Errorf("opening in another process after Close: %s", output)
	}
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s%s: mode %v, %v", path, suffix, info.Mode(), err)
		}
	}
}

func TestConnections(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "odd ?&#%41 name=ö.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]int{"synchronous": 2, "foreign_keys": 1, "busy_timeout": busyTimeout, "page_size": pageSize, "application_id": applicationID} {
		var got int
		if err := s.writer.conn.QueryRowContext(context.Background(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("the connection that writes: %s is %d, want %d (%v)", pragma, got, want, err)
		}
	}
	if _, err := s.reads.Exec("DELETE FROM logs"); err == nil {
		t.Error("a connection that reads has written")
	}
	if n := s.writes.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may write", n)
	}
}

func TestRefused(t *testing.T) {
	full := func(t *testing.T, path string) {
		s, err := Open(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(context.Background(), &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "o", New: true}}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	change := func(t *testing.T, path, statement string) {
		db, err := sql.Open(driverName, dataSource(path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    error
		says    string
	}{
		{"newer schema", func(t *testing.T, path string) {
			full(t, path)
			change(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
		}, store.ErrNewer, "version 99"},
		{"text", func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("not a database\n"), 100)) }, store.ErrForeign, "not a store of caio"},
		{"damaged header", func(t *testing.T, path string) {
			full(t, path)
			text := read(t, path)
			copy(text, "damaged")
			write(t, path, text)
		}, store.ErrForeign, "restore a backup"},
		{"damaged pages", func(t *testing.T, path string) {
			full(t, path)
			text := read(t, path)
			for i := 100; i < len(text); i++ {
				text[i] = 0x55
			}
			write(t, path, text)
		}, store.ErrForeign, "restore a backup"},
		{"another database", func(t *testing.T, path string) { change(t, path, "CREATE TABLE logs (tenant TEXT)") }, store.ErrForeign, "something else"},
		{"no such folder", func(*testing.T, string) {}, os.ErrNotExist, "no such file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "caio.db")
			if errors.Is(test.want, os.ErrNotExist) {
				path = filepath.Join(path, "deeper.db")
			}
			test.prepare(t, path)
			for range 2 { // a refusal leaves no lock behind
				_, err := Open(context.Background(), path)
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
					t.Errorf("%v, want %v, with %q", err, test.want, test.says)
				}
			}
		})
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEarlierSchema opens a store of before a release that added columns: what it holds is as it was.
func TestEarlierSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	before(t, path, 2,
		"INSERT INTO logs VALUES ('a', 'o', 1)", "INSERT INTO entries VALUES ('a', 0, 'typ', x'00', NULL)",
		"INSERT INTO events VALUES ('a', 0, 'activated', 'gdpr', 'd', '', 0, 'k', 'caio', 'configuration', 5)")
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events, err := s.Events(context.Background(), "a", 0, 9)
	want := []store.Event{{Tenant: "a", Kind: store.Activated, Subject: "gdpr", Digest: "d", Signer: "k", Actor: "caio", Reason: "configuration", Time: time.UnixMilli(5).UTC()}}
	if err != nil || !reflect.DeepEqual(events, want) {
		t.Errorf("%+v, %v", events, err)
	}
}

// TestEarlierAnswers opens a store of before idempotency keys were made with the keys of people: their digests are gone, from the file too.
func TestEarlierAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	const digest = "4fc82b26aecb47d2868c4efbe3581732a3e7cbcc6c2efb32062c08170a05eeb8"
	before(t, path, 6, "INSERT INTO logs VALUES ('a', 'o', 1, '')", "INSERT INTO entries VALUES ('a', 0, 'typ', x'00', NULL)",
		"INSERT INTO answers VALUES ('a', '"+digest+"', 'POST /x', '"+digest+"', 200, x'00', 0)")
	if !bytes.Contains(read(t, path), []byte(digest)) {
		t.Fatal("the digest is not in the file")
	}
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Answer(context.Background(), "a", digest, "POST /x")
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(read(t, path), []byte(digest)) {
		t.Error("the digest is in the file still")
	}
}
