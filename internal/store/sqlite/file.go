package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"github.com/smarthausgroup/caio/internal/store"
	sqlite3 "modernc.org/sqlite/lib"
)

// File is an SQLite file that one process opens, and writes with one connection: write-ahead log, synchronous=FULL, readable by its owner alone. What stands in it is the caller's.
type File struct {
	Path string // absolute and without links
	DB   *sql.DB
	lock *processLock
}

// Schema says what stands in a file. The first migration sets the ApplicationID, so that a database of something else isn't taken for it. Pragmas are those of its connection, besides the usual ones.
type Schema struct {
	ApplicationID int64
	Migrations    fs.FS
	Pragmas       []string
}

// OpenFile opens the file, makes it if there is none, and brings its schema to this release's.
//
// Errors: store.ErrInUse, store.ErrNewer, store.ErrForeign, or that of the system.
func OpenFile(ctx context.Context, name string, schema Schema) (*File, error) {
	return openFile(ctx, driverName, name, schema)
}

func openFile(ctx context.Context, driver, name string, schema Schema) (_ *File, err error) {
	f := &File{}
	defer func() {
		if err != nil {
			err = errors.Join(meaning(err), f.Close())
		}
	}()
	if f.Path, err = realPath(name); err != nil {
		return nil, err
	}
	if f.lock, err = acquire(ctx, f.Path+".lock"); err != nil {
		return nil, err
	}
	if err = private(f.Path); err != nil {
		return nil, err
	}
	if f.DB, err = pool(driver, f.Path, 1, append([]string{"synchronous(FULL)"}, schema.Pragmas...)...); err != nil {
		return nil, err
	}
	return f, migrate(ctx, f.DB, schema)
}

// Close closes the file and lets others open it.
func (f *File) Close() error {
	var errs []error
	if f.DB != nil {
		errs = append(errs, f.DB.Close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.release())
	}
	return errors.Join(errs...)
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

// migrate refuses what isn't such a file of this release or an earlier one, and applies what is missing.
func migrate(ctx context.Context, db *sql.DB, schema Schema) error {
	var objects, id int64
	if err := db.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM sqlite_schema), (SELECT application_id FROM pragma_application_id)").Scan(&objects, &id); err != nil {
		return err
	}
	if objects > 0 && id != schema.ApplicationID {
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
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, schema.Migrations)
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
