package witness

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/verify/tlog"
)

//go:embed migrations
var migrations embed.FS

// The numbers of the files, as their first migrations write them.
const (
	stateID   = 1128352087 // "CAIW"
	archiveID = 1128352067 // "CAIC"
)

func openFile(ctx context.Context, path string, id int64, folder string) (*sqlite.File, error) {
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return nil, err
	}
	return sqlite.OpenFile(ctx, path, sqlite.Schema{ApplicationID: id, Migrations: files})
}

// state is what a witness cosigned: one record for each log. The file has one connection and one process, so that a transaction sees nothing move under it.
type state struct{ file *sqlite.File }

// record is the latest checkpoint of a log that was cosigned, and when, in seconds since 1970.
type record struct {
	size int64
	root tlog.Hash
	at   int64
	note []byte
}

func openState(ctx context.Context, path string) (*state, error) {
	file, err := openFile(ctx, path, stateID, "state")
	if err != nil {
		return nil, fmt.Errorf("opening the state of the witness %s: %w", path, err)
	}
	return &state{file}, nil
}

// querier is the database, or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *state) latest(ctx context.Context, origin string) (record, error) {
	return readRecord(ctx, s.file.DB, origin)
}

// readRecord returns that of the empty log where nothing was cosigned.
func readRecord(ctx context.Context, q querier, origin string) (record, error) {
	r := record{root: tlog.EmptyRoot}
	var root []byte
	err := q.QueryRowContext(ctx, "SELECT size, root, time, note FROM latest WHERE origin = ?", origin).Scan(&r.size, &root, &r.at, &r.note)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("witness: reading what was cosigned of %s: %w", origin, err)
	}
	r.root = tlog.Hash(root) // the schema holds it to its length
	return r, nil
}

// advance replaces the record of a log by the one that next makes of it, and is durable when it returns nil. Nothing else is written between what next is given and what it returns.
func (s *state) advance(ctx context.Context, origin string, next func(latest record) (record, error)) error {
	tx, err := s.file.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to undo
	latest, err := readRecord(ctx, tx, origin)
	if err != nil {
		return err
	}
	r, err := next(latest)
	if err != nil {
		return err
	}
	const write = "INSERT INTO latest (origin, size, root, time, note) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size, root = excluded.root, time = excluded.time, note = excluded.note"
	if _, err = tx.ExecContext(ctx, write, origin, r.size, r.root[:], r.at, r.note); err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return fmt.Errorf("witness: writing down what is cosigned of %s: %w", origin, err)
	}
	return nil
}
