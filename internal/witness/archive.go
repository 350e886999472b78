package witness

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Archive keeps the checkpoints of a server's logs that a quorum of witnesses cosigned: of each size the first, whose time says when its entries were there, and the last, whose time says until when there were no more. It is safe for concurrent use.
type Archive struct{ file *sqlite.File }

// OpenArchive opens the file, and makes it if there is none. The caller closes it.
func OpenArchive(ctx context.Context, path string) (*Archive, error) {
	file, err := openFile(ctx, path, archiveID, "archive")
	if err != nil {
		return nil, fmt.Errorf("opening the cosigned checkpoints %s: %w", path, err)
	}
	return &Archive{file}, nil
}

// Close closes the file. There is nothing to close of a nil archive.
func (a *Archive) Close() error {
	if a == nil {
		return nil
	}
	return a.file.Close()
}

// Keep keeps a checkpoint, durably. One that differs from another of its size in its root is refused.
func (a *Archive) Keep(ctx context.Context, c tlog.Checkpoint) error {
	note := c.Encode()
	const write = "INSERT INTO cosigned (origin, size, root, first, last) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET root = excluded.root, last = excluded.last"
	if _, err := a.file.DB.ExecContext(ctx, write, c.Origin, c.Size, c.Root[:], note, note); err != nil {
		return fmt.Errorf("keeping the cosigned checkpoint of %s at size %d: %w", c.Origin, c.Size, err)
	}
	return nil
}

// Remember keeps the keys of witnesses, durably, and returns those of all that it ever kept, in the order in which they came.
func (a *Archive) Remember(ctx context.Context, keys ...tlog.Key) ([]tlog.Key, error) {
	for _, key := range keys {
		if _, err := a.file.DB.ExecContext(ctx, "INSERT INTO witnesses (vkey) VALUES (?) ON CONFLICT DO NOTHING", key.String()); err != nil {
			return nil, fmt.Errorf("keeping the key of the witness %s: %w", key.Name, err)
		}
	}
	rows, err := a.file.DB.QueryContext(ctx, "SELECT vkey FROM witnesses ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("reading the keys of witnesses: %w", err)
	}
	defer rows.Close()
	var all []tlog.Key
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("reading the keys of witnesses: %w", err)
		}
		key, err := tlog.ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("reading the keys of witnesses: %w", err)
		}
		all = append(all, key)
	}
	return all, rows.Err()
}

// Latest is the largest checkpoint of a log, as it was last cosigned; nil where there is none.
func (a *Archive) Latest(ctx context.Context, origin string) (*tlog.Checkpoint, error) {
	return a.read(ctx, "SELECT last FROM cosigned WHERE origin = ? ORDER BY size DESC LIMIT 1", origin)
}

// Around gives the two checkpoints whose times bracket an entry: the largest that does not hold it, as it was last cosigned, and the smallest that holds it, as it was first cosigned. Either is nil where there is none.
func (a *Archive) Around(ctx context.Context, origin string, index int64) (before, after *tlog.Checkpoint, err error) {
	before, err = a.read(ctx, "SELECT last FROM cosigned WHERE origin = ? AND size <= ? ORDER BY size DESC LIMIT 1", origin, index)
	if err != nil {
		return nil, nil, err
	}
	after, err = a.read(ctx, "SELECT first FROM cosigned WHERE origin = ? AND size > ? ORDER BY size LIMIT 1", origin, index)
	return before, after, err
}

func (a *Archive) read(ctx context.Context, query string, args ...any) (*tlog.Checkpoint, error) {
	var note []byte
	err := a.file.DB.QueryRowContext(ctx, query, args...).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading cosigned checkpoints: %w", err)
	}
	c, err := tlog.ParseCheckpoint(note)
	if err != nil {
		return nil, fmt.Errorf("reading cosigned checkpoints: %w", err)
	}
	return &c, nil
}
