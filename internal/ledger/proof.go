package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/internal/store"
	reader "github.com/smarthausgroup/caio/verify/tlog"
	"golang.org/x/mod/sumdb/tlog"
)

// hashes reads the hashes of a log's tree from its tiles, each tile once.
func (l *Ledger) hashes(ctx context.Context, tenant string) tlog.HashReader {
	type place struct {
		level int
		index int64
	}
	tiles := map[place][]byte{}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			t := tlog.TileForIndex(tileHeight, index)
			at := place{t.L, t.N}
			data, known := tiles[at]
			if !known {
				stored, err := l.store.Tile(ctx, tenant, t.L, t.N)
				if err != nil {
					return nil, err
				}
				data, tiles[at] = stored.Hashes, stored.Hashes
			}
			if len(data) < t.W*tlog.HashSize {
				return nil, fmt.Errorf("ledger: tile %s: %w", t.Path(), store.ErrNotFound)
			}
			var err error
			if hashes[i], err = tlog.HashFromTile(t, data, index); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

// Checkpoint is the latest that was published of the tenant's log, a signed note; nil for a tenant without a log.
func (l *Ledger) Checkpoint(tenant string) []byte { return l.published(tenant).Note }

func (l *Ledger) published(tenant string) store.Checkpoint {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.checkpoints[tenant]
}

// Origin returns the log with that origin; ok is false where there is none. Of one that was given up, Was is the tenant whose it was.
func (l *Ledger) Origin(origin string) (log store.Log, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, log := range l.logs {
		if log.Origin == origin {
			return log, true
		}
	}
	return store.Log{}, false
}

// GivenUp lists the logs that were the tenant's and were given up, in order of origin.
func (l *Ledger) GivenUp(tenant string) []store.Log {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var list []store.Log
	for _, log := range l.logs {
		if tenant != "" && log.Was == tenant {
			list = append(list, log)
		}
	}
	slices.SortFunc(list, func(a, b store.Log) int { return strings.Compare(a.Origin, b.Origin) })
	return list
}

// Proof is that an entry of the tenant's log is in it at index, under the latest checkpoint (C2SP tlog-proof). Errors: store.ErrNotFound for an index that the checkpoint doesn't cover, or that of the store.
func (l *Ledger) Proof(ctx context.Context, tenant string, index int64) ([]byte, error) {
	latest := l.published(tenant)
	if index < 0 || index >= latest.Size {
		return nil, store.ErrNotFound
	}
	checkpoint, err := reader.ParseCheckpoint(latest.Note)
	if err != nil {
		return nil, err
	}
	return l.ProofAt(ctx, tenant, index, checkpoint)
}

// ProofAt is [Ledger.Proof] under a given checkpoint of the tenant's log, which was published: the latest, or one before.
func (l *Ledger) ProofAt(ctx context.Context, tenant string, index int64, checkpoint reader.Checkpoint) ([]byte, error) {
	if index < 0 || index >= checkpoint.Size || checkpoint.Size > l.published(tenant).Size {
		return nil, store.ErrNotFound
	}
	hashes, err := tlog.ProveRecord(checkpoint.Size, index, l.hashes(ctx, tenant))
	if err != nil {
		return nil, fmt.Errorf("ledger: proving index %d: %w", index, err)
	}
	return reader.Proof{Index: index, Hashes: read(hashes), Checkpoint: checkpoint}.Encode(), nil
}

// Consistency is that the tenant's log at size `to` extends itself at size `from` (RFC 6962, section 2.1.2); no hashes where one of them is trivial. 0 <= from <= to, and to is at most the size of the latest checkpoint.
func (l *Ledger) Consistency(ctx context.Context, tenant string, from, to int64) ([]reader.Hash, error) {
	if from < 0 || from > to || to > l.published(tenant).Size {
		return nil, store.ErrNotFound
	}
	if from == 0 || from == to {
		return nil, nil
	}
	hashes, err := tlog.ProveTree(to, from, l.hashes(ctx, tenant))
	if err != nil {
		return nil, fmt.Errorf("ledger: proving that size %d extends %d: %w", to, from, err)
	}
	return read(hashes), nil
}

func read[S ~[]tlog.Hash](hashes S) []reader.Hash {
	list := make([]reader.Hash, len(hashes))
	for i, hash := range hashes {
		list[i] = reader.Hash(hash)
	}
	return list
}

// TileOf returns a tile of the tenant's log, of hashes or of entries, as C2SP tlog-tiles serves it; store.ErrNotFound for one that the latest checkpoint does not fill.
func (l *Ledger) TileOf(ctx context.Context, tenant string, t reader.Tile) ([]byte, error) {
	size := l.published(tenant).Size
	if t.Level == reader.Entries {
		return l.bundle(ctx, tenant, t, size)
	}
	if t.Level > 7 || t.Width > tileWidth || t.Index<<tileHeight+int64(t.Width) > size>>(tileHeight*t.Level) {
		return nil, store.ErrNotFound
	}
	stored, err := l.store.Tile(ctx, tenant, t.Level, t.Index)
	if err != nil {
		return nil, err
	}
	if len(stored.Hashes) < t.Width*tlog.HashSize {
		return nil, store.ErrInconsistent
	}
	return stored.Hashes[:t.Width*tlog.HashSize], nil
}

// bundle is a tile of entries.
func (l *Ledger) bundle(ctx context.Context, tenant string, t reader.Tile, size int64) ([]byte, error) {
	first := t.Index << tileHeight
	if first+int64(t.Width) > size {
		return nil, store.ErrNotFound
	}
	stored, err := l.store.Entries(ctx, tenant, first, t.Width)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, len(stored))
	for i := range stored {
		entries[i] = stored[i].Leaf
	}
	if len(entries) != t.Width {
		return nil, store.ErrInconsistent
	}
	return reader.EncodeEntries(entries)
}
