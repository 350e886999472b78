package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
)

// ErrKeyReused says that the idempotency key was used for another request: what is stored of it is not the same.
var ErrKeyReused = errors.New("ledger: the idempotency key was used for another request")

// Repeated is the error of an Append whose idempotency key has been answered in the meantime. Nothing was appended; First is the answer to give.
type Repeated struct{ First store.Answer }

func (r *Repeated) Error() string {
	return fmt.Sprintf("ledger: the idempotency key %q has been answered", r.First.Key)
}

// call is one thing to write, with the answer to it.
type call struct {
	entries []Entry
	tenant  string         // whose log to make, for a call without entries
	keys    []store.APIKey // to add or revoke

	state   atomic.Int32
	done    chan error // gets one value
	indices []int64    // of entries, once done
}

// A call is queued until either the writer takes it or its caller gives up, whichever comes first.
const (
	queued = iota
	taken
	abandoned
)

// Append writes the entries, all or none, each at the end of its tenant's log, and returns their indices in the order given. When it returns them, they are durable.
//
// While the entries wait to be written, the end of ctx takes them back: nothing is appended, and the error is that of ctx. Once they are being written, Append waits for the result, whatever becomes of ctx.
//
// Errors: ErrInvalid, ErrClosed, ErrKeyReused, *Repeated, store.ErrExists (a decision that is in the log already), ErrKeyMoved, ErrDiverged. Any other is a failure of the store. After each, nothing was appended.
func (l *Ledger) Append(ctx context.Context, entries ...Entry) ([]int64, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	for i := range entries {
		if err := entries[i].validate(); err != nil {
			return nil, err
		}
	}
	c := &call{entries: entries}
	if err := l.do(ctx, c); err != nil {
		return nil, err
	}
	return c.indices, nil
}

// PutAPIKey stores a new API key, durably.
func (l *Ledger) PutAPIKey(ctx context.Context, key store.APIKey) error {
	if key.Tenant == "" || key.ID == "" {
		return fmt.Errorf("%w: an API key needs a tenant and an id", ErrInvalid)
	}
	if !key.Revoked.IsZero() {
		return fmt.Errorf("%w: a new API key can't be revoked", ErrInvalid)
	}
	return l.do(ctx, &call{keys: []store.APIKey{key}})
}

// RevokeAPIKey ends the validity of a key, durably; store.ErrNotFound if the tenant has none with this id.
func (l *Ledger) RevokeAPIKey(ctx context.Context, tenant, id string, at time.Time) error {
	keys, err := l.APIKeys(ctx, tenant)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.ID == id {
			key.Revoked = at
			return l.do(ctx, &call{keys: []store.APIKey{key}})
		}
	}
	return fmt.Errorf("API key %q: %w", id, store.ErrNotFound)
}

// do queues the call and waits until it is done or taken back.
func (l *Ledger) do(ctx context.Context, c *call) error {
	c.done = make(chan error, 1)
	if err := l.enqueue(ctx, c); err != nil {
		return err
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		if c.state.CompareAndSwap(queued, abandoned) {
			return ctx.Err()
		}
		return <-c.done
	}
}

func (l *Ledger) enqueue(ctx context.Context, c *call) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.queue <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// size is about how many bytes the call writes.
func (c *call) size() int {
	n := 0
	for i := range c.entries {
		e := &c.entries[i]
		n += len(e.Leaf)
		if e.Decision != nil {
			n += len(e.Decision.Document) + len(e.Decision.Disclosures)
		}
		if e.Answer != nil {
			n += len(e.Answer.Body)
		}
		for _, b := range e.Blobs {
			n += len(b.Bytes)
		}
	}
	return n
}

// Queued is how many calls wait to be written.
func (l *Ledger) Queued() int { return len(l.queue) }
