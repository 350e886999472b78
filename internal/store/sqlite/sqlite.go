// Package sqlite is a [store.Store] in one SQLite file: write-ahead log, synchronous=FULL, one connection that writes and a pool that reads (spec/proof.md, "Durable before answered").
//
// A second process that opens the same file for writing is refused: beside the database stands a file NAME.lock, itself an SQLite database, in which the writer holds an exclusive transaction. The system frees it when the process ends, however it ends.
// Should the lock be circumvented, the compare-and-set of the heads still notices.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/smarthausgroup/caio/internal/store"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// applicationID is "CAIO", as the first migration writes it.
	applicationID = 1128352079
	// pageSize holds a decision's document and leaf in few pages, and costs the least of those measured.
	pageSize = 16384
	// busyTimeout is how long a connection waits for a lock that another holds, in ms.
	busyTimeout = 5000
	driverName  = "sqlite"
)

// Store is a store in one file. See [store.Store].
type Store struct {
	file   *File
	writes *sql.DB // that of the file
	writer *writer
	reads  *sql.DB
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the file, makes it if there is none, and brings its schema to this release's.
//
// Errors: store.ErrInUse, store.ErrNewer, store.ErrForeign, or that of the system.
func Open(ctx context.Context, path string) (*Store, error) {
	return open(ctx, driverName, path)
}

// open is Open with a driver of the test's choice for the connection that writes.
func open(ctx context.Context, driver, name string) (_ *Store, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	file, err := openFile(ctx, driver, name, Schema{ApplicationID: applicationID, Migrations: files, Pragmas: []string{"foreign_keys(ON)", "secure_delete(ON)"}})
	if err != nil {
		return nil, fmt.Errorf("opening the store %s: %w", name, err)
	}
	s := &Store{file: file, writes: file.DB}
	if s.writer, err = newWriter(ctx, s.writes); err == nil {
		s.reads, err = pool(driverName, file.Path, max(4, runtime.GOMAXPROCS(0)), "query_only(ON)")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %s: %w", name, meaning(err)), s.Close())
	}
	return s, nil
}

// Close implements [store.Store].
func (s *Store) Close() error {
	var errs []error
	if s.reads != nil {
		errs = append(errs, s.reads.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	return errors.Join(append(errs, s.file.Close())...)
}

// code is SQLite's extended result code, 0 for an error of something else.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// meaning puts the store's sentinel to an error of SQLite.
func meaning(err error) error {
	switch c := code(err); {
	case c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, c == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return fmt.Errorf("%w: %w", store.ErrExists, err)
	case c&0xff == sqlite3.SQLITE_NOTADB, c&0xff == sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", store.ErrForeign, err)
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNotFound
	}
	return err
}

// millis and moment are the form of a time in a row.
func millis(t time.Time) int64      { return t.UnixMilli() }
func moment(millis int64) time.Time { return time.UnixMilli(millis).UTC() }

// decisionID is the bytes of an id; ok is false for what can't be one.
func decisionID(id string) (b []byte, ok bool) {
	parsed, err := uuid.Parse(id)
	return parsed[:], err == nil && parsed.String() == id
}
