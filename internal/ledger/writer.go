package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/smarthausgroup/caio/internal/store"
)

// write is the one goroutine that writes. It ends when the queue is closed and empty.
func (l *Ledger) write() {
	defer close(l.stopped)
	for first := range l.queue {
		if calls := l.gather(first); len(calls) > 0 {
			l.writeGroup(calls)
		}
	}
}

// gather takes the call and whatever else is waiting, without waiting for more.
func (l *Ledger) gather(first *call) []*call {
	var calls []*call
	bytes := 0
	for c := first; ; {
		if c.state.CompareAndSwap(queued, taken) {
			calls = append(calls, c)
			bytes += c.size()
		}
		if len(calls) >= l.options.MaxGroup || bytes >= maxGroupBytes {
			return calls
		}
		var ok bool
		select {
		case c, ok = <-l.queue:
			if !ok {
				return calls
			}
		default:
			return calls
		}
	}
}

// writeGroup commits the calls together and answers each.
func (l *Ledger) writeGroup(calls []*call) {
	// Not the context of any caller: the end of one must not undo what others wait for.
	ctx := context.Background()
	if err := l.ready(ctx); err != nil {
		l.failed.Store(&err)
		for _, c := range calls {
			c.done <- err
		}
		return
	}
	g := l.stage(ctx, calls)
	if len(g.calls) == 0 {
		return
	}
	if err := l.grow(g); err != nil {
		err = fmt.Errorf("ledger: nothing was appended: %w", err)
		l.failed.Store(&err)
		for _, c := range g.calls {
			c.done <- err
		}
		return
	}
	l.commit(ctx, g)
}

// commit writes the group. Where one of its calls writes something that exists, they are written one by one, so that it fails alone.
func (l *Ledger) commit(ctx context.Context, g *group) {
	err := l.store.Commit(ctx, &g.batch)
	switch {
	case err == nil:
		l.publish(g)
	case errors.Is(err, store.ErrExists) && len(g.calls) > 1:
		for _, c := range g.calls {
			l.writeGroup([]*call{c})
		}
		return
	case errors.Is(err, store.ErrConflict):
		err = fmt.Errorf("%w: %w", ErrDiverged, err)
		l.broken = err
		l.failed.Store(&err)
	case !errors.Is(err, store.ErrExists):
		err = fmt.Errorf("ledger: nothing was appended, the store failed: %w", err)
		l.doubt = g.batch.Logs
		l.failed.Store(&err)
	}
	for _, c := range g.calls {
		c.done <- err
	}
}

// ready reports whether the ledger may write. After a commit that failed it compares the heads first: a store may have lost the connection, and not the transaction.
func (l *Ledger) ready(ctx context.Context) error {
	if reason := l.refused.Load(); reason != nil {
		return *reason
	}
	if l.broken != nil {
		return l.broken
	}
	for _, a := range l.doubt {
		log, err := l.store.Log(ctx, a.Tenant)
		missing := errors.Is(err, store.ErrNotFound)
		switch {
		case err != nil && !missing:
			return fmt.Errorf("ledger: nothing was appended, the store failed: %w", err)
		case missing != a.New || !missing && (log.Size != a.From || log.Origin != a.Origin):
			l.broken = fmt.Errorf("%w: the log of tenant %q has %d leaves, where %d were expected", ErrDiverged, a.Tenant, log.Size, a.From)
			return l.broken
		}
	}
	l.doubt = nil
	return nil
}

// publish moves what memory holds to what is now durable, and lets others see the checkpoints. What is committed is in the log even if its checkpoint can't be kept outside; that is told by [Ledger.Writable], and tried again with every commit.
func (l *Ledger) publish(g *group) {
	l.failed.Store(nil)
	for i, a := range g.batch.Logs {
		l.trees[a.Tenant] = g.trees[a.Tenant]
		l.pending[a.Origin] = g.batch.Checkpoints[i].Note
	}
	for origin, text := range l.pending {
		if err := l.keep(origin, text); err != nil {
			err = fmt.Errorf("ledger: keeping a checkpoint outside the store: %w", err)
			l.failed.Store(&err)
			continue
		}
		delete(l.pending, origin)
	}
	maps.Copy(l.keys, g.keys)
	l.history.add(g.batch.Attempts)
	if l.options.Observe != nil && len(g.batch.Events) > 0 {
		l.options.Observe(g.batch.Events)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range g.batch.Logs {
		l.logs[a.Tenant] = store.Log{Tenant: a.Tenant, Origin: a.Origin, Size: a.To}
		l.checkpoints[a.Tenant] = g.batch.Checkpoints[i]
	}
}
