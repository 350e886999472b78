package ledger

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/store"
)

// ErrSound says that there is nothing to recover: the log is as it was published.
var ErrSound = errors.New("ledger: the log is sound: it has what was published of it")

// Lost is a log that can't be appended to, and why.
type Lost struct {
	store.Log                    // as the store has it
	Checkpoint []byte            // the last that is known of it: the published one, or, without any that the log's key signed, the store's
	Key        ed25519.PublicKey // verifies its checkpoints; nil where neither Options.Signer nor Options.Former signed them
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
	key := l.notary.public
	_, stored, err := l.openLog(ctx, log)
	if errors.Is(err, ErrOtherKey) {
		key, err = l.openFormer(ctx, log)
	}
	refused := (*HeadError)(nil)
	switch {
	case err == nil:
		return Lost{}, ErrSound
	case !errors.As(err, &refused), errors.Is(err, ErrUnreadable):
		return Lost{}, err
	case refused.Published != nil:
		return Lost{log, refused.Published, key, err}, nil
	}
	return Lost{log, stored.Note, key, err}, nil
}

// openFormer holds a log whose checkpoints this ledger's key did not sign to what the former one signed, as a start under that would have. It returns the former key as the log's, nil where there is none, and why the log can't be appended to: what a start would have found, or that the key is another one now.
func (l *Ledger) openFormer(ctx context.Context, log store.Log) (key ed25519.PublicKey, why error) {
	replaced := &HeadError{Log: log, Says: "its checkpoints were signed by the key before the one that this server has", Err: ErrOtherKey}
	if l.options.Former == nil {
		return nil, replaced
	}
	former := &Ledger{Reader: l.Reader, store: l.store, options: l.options, notary: notary{public: l.options.Former}}
	_, _, err := former.openLog(ctx, log)
	if errors.Is(err, ErrOtherKey) {
		return nil, fmt.Errorf("the log %s of tenant %q: the key that was given as the one before did not sign its checkpoint either", log.Origin, log.Tenant)
	}
	if err == nil {
		err = replaced
	}
	return l.options.Former, err
}
