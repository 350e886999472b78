package sqlite

import (
	"context"
	"database/sql"

	"github.com/smarthausgroup/caio/internal/store"
)

// tree writes tiles and checkpoints.
func (w *writer) tree(ctx context.Context, b *store.Batch) error {
	for i := range b.Tiles {
		t := &b.Tiles[i]
		_, err := w.exec(ctx, "INSERT INTO tiles (tenant, level, idx, hashes) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, level, idx) DO UPDATE SET hashes = excluded.hashes", t.Tenant, t.Level, t.Index, t.Hashes)
		if err != nil {
			return err
		}
	}
	for i := range b.Checkpoints {
		c := &b.Checkpoints[i]
		_, err := w.exec(ctx, "INSERT INTO checkpoints (tenant, size, note) VALUES (?, ?, ?) ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, note = excluded.note", c.Tenant, c.Size, c.Note)
		if err != nil {
			return err
		}
	}
	return nil
}

// inLog are the tables whose rows belong to one log: all that have a tenant, but API keys.
var inLog = []string{
	"logs", "entries", "tiles", "checkpoints", "decisions", "violations", "disclosures", "clear_disclosures", "decision_subjects",
	"events", "blobs", "attempts", "answers", "signing_keys",
}

// giveUp renames logs. References between their rows hold again at the end of the transaction.
func (w *writer) giveUp(ctx context.Context, b *store.Batch) error {
	if len(b.GivenUp) == 0 {
		return nil
	}
	if _, err := w.exec(ctx, "PRAGMA defer_foreign_keys = ON"); err != nil {
		return err
	}
	for _, g := range b.GivenUp {
		changed, err := w.exec(ctx, "UPDATE logs SET was = tenant WHERE tenant = ? AND was = ''", g.Tenant)
		if err != nil {
			return err
		}
		if changed != 1 {
			return store.ErrConflict
		}
		for _, table := range inLog {
			if _, err := w.exec(ctx, "UPDATE "+table+" SET tenant = ? WHERE tenant = ?", g.As, g.Tenant); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tile implements [store.Reader].
func (s *Store) Tile(ctx context.Context, tenant string, level int, index int64) (store.Tile, error) {
	scan := func(row *sql.Rows, v *store.Tile) error { return row.Scan(&v.Tenant, &v.Level, &v.Index, &v.Hashes) }
	return one(ctx, s.reads, scan, "SELECT tenant, level, idx, hashes FROM tiles WHERE tenant = ? AND level = ? AND idx = ?", tenant, level, index)
}

// LastCheckpoint implements [store.Reader].
func (s *Store) LastCheckpoint(ctx context.Context, tenant string) (store.Checkpoint, error) {
	scan := func(row *sql.Rows, v *store.Checkpoint) error { return row.Scan(&v.Tenant, &v.Size, &v.Note) }
	return one(ctx, s.reads, scan, "SELECT tenant, size, note FROM checkpoints WHERE tenant = ?", tenant)
}
