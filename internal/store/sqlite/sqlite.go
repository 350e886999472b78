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
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
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
	lock   *processLock
	writes *sql.DB
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
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening the store %s: %w", name, meaning(err))
		}
	}()
	path, err := realPath(name)
	if err != nil {
		return nil, err
	}
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = acquire(ctx, path+".lock"); err != nil {
		return nil, err
	}
	if err = private(path); err != nil {
		return nil, err
	}
	if s.writes, err = pool(driver, path, 1, "synchronous(FULL)", "foreign_keys(ON)"); err != nil {
		return nil, err
	}
	if err = migrate(ctx, s.writes); err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(ctx, s.writes); err != nil {
		return nil, err
	}
	s.reads, err = pool(driverName, path, max(4, runtime.GOMAXPROCS(0)), "query_only(ON)")
	return s, err
}

// private makes the file, where there is none, readable by its owner alone; SQLite gives the files beside it the same mode. It holds what was asked.
func private(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// realPath is absolute and without links, so that one file has one lock.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		return resolved, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// pool opens the file with the pragmas, which hold for every connection.
func pool(driver, path string, size int, pragmas ...string) (*sql.DB, error) {
	pragmas = append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout), fmt.Sprintf("page_size(%d)", pageSize)}, pragmas...)
	db, err := sql.Open(driver, dataSource(path, pragmas...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

func dataSource(path string, pragmas ...string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + url.Values{"_pragma": pragmas}.Encode()
}

// processLock is an exclusive transaction in a database of its own.
type processLock struct {
	db   *sql.DB
	conn *sql.Conn
}

func acquire(ctx context.Context, path string) (*processLock, error) {
	db, err := sql.Open(driverName, dataSource(path, "busy_timeout(0)"))
	if err != nil {
		return nil, err
	}
	l := &processLock{db: db}
	if l.conn, err = db.Conn(ctx); err == nil {
		_, err = l.conn.ExecContext(ctx, "BEGIN EXCLUSIVE")
	}
	if err == nil {
		return l, nil
	}
	if code(err)&0xff == sqlite3.SQLITE_BUSY {
		err = store.ErrInUse
	}
	return nil, errors.Join(err, l.release())
}

func (l *processLock) release() error {
	var err error
	if l.conn != nil {
		err = l.conn.Close()
	}
	return errors.Join(err, l.db.Close())
}

// migrate refuses what isn't a store of this release or an earlier one, and applies what is missing.
func migrate(ctx context.Context, db *sql.DB) error {
	var objects, id int64
	if err := db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM sqlite_schema), (SELECT application_id FROM pragma_application_id)").Scan(&objects, &id); err != nil {
		return err
	}
	if objects > 0 && id != applicationID {
		return fmt.Errorf("it is an SQLite database of something else: %w", store.ErrForeign)
	}
	// Not among the pragmas of the pool: the driver sorts those, and the size of a page has to come before. The mode stays with the file.
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system does not allow a write-ahead log (journal mode %s): put the store on a local disk", mode)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("its schema has version %d, and this release knows %d: %w", current, target, store.ErrNewer)
	}
	_, err = provider.Up(ctx)
	return err
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
	if s.writes != nil {
		errs = append(errs, s.writes.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
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
