package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/store"
)

// ErrSound says that there is nothing to recover: the log is as it was published.
var ErrSound = errors.New("ledger: the log is sound: it has what was published of it")

// Lost is a log that can't be appended to, and why.
type Lost struct {
	store.Log         // as the store has it
	Checkpoint []byte // the last that is known of it: the published one, or, without any that the log's key signed, the store's
	Why        error
}

// Offline reads a store that no ledger is open over. It appends nothing.
func Offline(r store.Reader) *Ledger { return &Ledger{Reader: r} }

// Recover puts a tenant's log aside that can't be appended to, with all that stands in it, and begins another under a new origin, whose first entries begin makes; all of it in one transaction. No ledger may be open over the store.
//
// Errors: ErrSound, ErrUnreadable, or that of begin or of the store; nothing was changed then.
func Recover(ctx context.Context, s store.Store, o Options, tenant string, begin func(lost Lost, origin string) ([]Entry, error)) (store.Log, error) {
	notary, err := newNotary(o.Signer)
	if err != nil {
		return store.Log{}, err
	}
	l := &Ledger{Reader: s, store: s, options: o, notary: notary}
	lost, err := l.lost(ctx, tenant)
	if err != nil {
		return store.Log{}, err
	}
	origin, err := newOrigin(o.Random)
	if err != nil {
		return store.Log{}, err
	}
	entries, err := begin(lost, origin)
	if err != nil {
		return store.Log{}, err
	}
	c := &call{entries: entries}
	g := &group{
		logs: map[string]int{tenant: 0}, trees: map[string]*tree{tenant: {tenant: tenant}},
		batch: store.Batch{GivenUp: []store.GivenUp{{Tenant: tenant, As: tenant + "/" + lost.Origin}}, Logs: []store.Advance{{Tenant: tenant, Origin: origin, New: true}}},
	}
	for i := range entries {
		if err := entries[i].validate(); err != nil {
			return store.Log{}, err
		}
		if entries[i].Tenant != tenant {
			return store.Log{}, fmt.Errorf("%w: an entry of another tenant than the one whose log is begun", ErrInvalid)
		}
	}
	g.add(c)
	if err := l.grow(g); err != nil {
		return store.Log{}, err
	}
	if err := s.Commit(ctx, &g.batch); err != nil {
		return store.Log{}, err
	}
	return store.Log{Tenant: tenant, Origin: origin, Size: g.trees[tenant].size}, o.Folder.write(origin, g.batch.Checkpoints[0].Note)
}

// lost says what is known of a log that can't be appended to.
func (l *Ledger) lost(ctx context.Context, tenant string) (Lost, error) {
	log, err := l.store.Log(ctx, tenant)
	if err != nil {
		return Lost{}, fmt.Errorf("the log of tenant %q: %w", tenant, err)
	}
	_, stored, err := l.openLog(ctx, log)
	refused := (*HeadError)(nil)
	switch {
	case err == nil:
		return Lost{}, ErrSound
	case !errors.As(err, &refused), errors.Is(err, ErrUnreadable):
		return Lost{}, err
	case refused.Published != nil:
		return Lost{log, refused.Published, err}, nil
	}
	return Lost{log, stored.Note, err}, nil
}
