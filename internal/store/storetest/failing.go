package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/smarthausgroup/caio/internal/store"
)

// ErrInjected is the failure of a [Failing] store.
var ErrInjected = errors.New("storetest: injected failure")

// Failing is a store whose commits fail when Fail says so.
type Failing struct {
	store.Store
	// Fail is asked before each commit, with its number from 1 on.
	Fail func(n int64) Failure

	n atomic.Int64
}

// Failure is how a commit goes wrong.
type Failure int

// The failures of a commit. Lost is that of a connection that breaks while it commits: an error, although the batch is there.
const (
	None Failure = iota
	Before
	Lost
)

// Commit implements [store.Store].
func (f *Failing) Commit(ctx context.Context, b *store.Batch) error {
	failure := f.Fail(f.n.Add(1))
	if failure == Before {
		return ErrInjected
	}
	if err := f.Store.Commit(ctx, b); err != nil || failure == None {
		return err
	}
	return ErrInjected
}
