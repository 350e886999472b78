// Package ledger is the durable path: what is appended is on the disk before the caller is answered (spec/proof.md, "Durable before answered").
//
// Each tenant has one append-only log of leaves, with indices from 0 without a gap, and an opaque random origin. One goroutine writes: it takes whatever is waiting into one transaction, so that an idle ledger commits at once and a busy one pays for few syncs.
// The heads of the logs move by compare-and-set in that transaction; what memory holds (heads, histories) moves only after it.
//
// It doesn't sign, decide or know what a leaf says. How long a request waits: the commit that is under way when it comes, and its own.
package ledger

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
)

var (
	// ErrClosed says that the ledger takes nothing any more.
	ErrClosed = errors.New("ledger: closed")
	// ErrDiverged says that the store holds something else than this process wrote. Nothing is appended until a restart.
	ErrDiverged = errors.New("ledger: the store was changed by somebody else; stop the other process and restart this one")
)

// Options of a ledger. Random and Signer are required.
type Options struct {
	// Random is a cryptographic source, for the origins of logs.
	Random io.Reader
	// Signer is an Ed25519 key, for checkpoints and nothing else. The name of the key is each log's origin.
	Signer crypto.Signer
	// Former is the public half of the key that signed checkpoints before Signer, for [Recover] alone; nil where there was none, or nobody has it.
	Former ed25519.PublicKey
	// Folder keeps the latest checkpoints outside the store; it exists, and only this ledger writes to it.
	Folder Folder
	// Missing, when set, is told of a log with entries of which Folder has no checkpoint: that it is not an older one can't be told then.
	Missing func(log store.Log)
	// Planting, when set, is told how far the tree of a log is made that was written before logs had trees.
	Planting func(log store.Log, done int64)
	// Observe, when set, is called with the events of each commit, in log order: after they are durable, before [Ledger.Size] covers them and before Append returns. It must be quick and must not append.
	Observe func(events []store.Event)
	// Outcomes are the types of the entries that have an attempt beside them; [Open] holds attempts and entries to one another.
	Outcomes []string
	// MaxGroup is how many calls of Append one transaction holds at most; 0 is 256.
	MaxGroup int
}

const (
	defaultGroup = 256
	// maxGroupBytes bounds what one transaction holds, but for the last call that it takes.
	maxGroupBytes = 8 << 20
	originBytes   = 16
)

// Ledger appends, and reads what was appended: the methods of [store.Reader] are its own. It is safe for concurrent use.
type Ledger struct {
	store.Reader
	store   store.Store
	options Options
	history *history

	queue   chan *call
	stopped chan struct{} // closed when the writer is done

	closing sync.RWMutex // held for reading while a call is put into the queue
	closed  bool

	failed  atomic.Pointer[error] // why the last commit failed; nil when it was made
	refused atomic.Pointer[error] // why nothing is written any more, as somebody outside found

	outside sync.Mutex      // held while a checkpoint is kept outside the store
	shown   map[string]bool // origins of logs of which somebody outside has shown another checkpoint, which is kept then

	mu          sync.RWMutex
	logs        map[string]store.Log        // what is durable
	checkpoints map[string]store.Checkpoint // what is published, by tenant

	// The rest is the writer's alone.
	notary  notary
	trees   map[string]*tree  // by tenant
	keys    map[string]string // the key that signs the log, by tenant; none before its first
	pending map[string][]byte // checkpoints that could not be kept outside, by origin
	doubt   []store.Advance   // of a commit that failed: compared with the store before the next
	broken  error             // set once: nothing is written any more
}

// Open checks that the logs of the store are whole, reads their heads and the latest attempts, and starts the writer. The caller closes the ledger, then the store.
//
// A log whose tree isn't made yet gets one; each is held to its checkpoint in the store, and to the one in the folder.
//
// Errors: store.ErrInconsistent, with the place, where an entry is missing or a row has none; *HeadError; or that of the store.
func Open(ctx context.Context, s store.Store, o Options) (*Ledger, error) {
	if o.Random == nil {
		return nil, errors.New("ledger: Options.Random is required")
	}
	if o.Signer == nil {
		return nil, errors.New("ledger: Options.Signer is required")
	}
	notary, err := newNotary(o.Signer)
	if err != nil {
		return nil, err
	}
	if o.MaxGroup == 0 {
		o.MaxGroup = defaultGroup
	}
	if err := s.Check(ctx, o.Outcomes...); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	logs, err := s.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("ledger: reading the heads of the logs: %w", err)
	}
	history, err := loadHistory(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("ledger: reading the history: %w", err)
	}
	l := &Ledger{
		Reader: s, store: s, options: o, history: history,
		queue: make(chan *call, 4*o.MaxGroup), stopped: make(chan struct{}), logs: make(map[string]store.Log, len(logs)),
		checkpoints: make(map[string]store.Checkpoint, len(logs)), notary: notary, trees: make(map[string]*tree, len(logs)), pending: map[string][]byte{}, shown: map[string]bool{},
	}
	if err := l.openLogs(ctx, logs); err != nil {
		return nil, err
	}
	if err := l.openKeys(ctx, logs); err != nil {
		return nil, err
	}
	go l.write()
	return l, nil
}

// openLogs opens every log, and publishes what was committed and not published.
func (l *Ledger) openLogs(ctx context.Context, logs []store.Log) error {
	for _, log := range logs {
		if log.Was != "" { // nothing is appended to it, and what is wrong with it was told when it was given up
			checkpoint, err := l.store.LastCheckpoint(ctx, log.Tenant)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("ledger: %w", err)
			}
			l.logs[log.Tenant], l.checkpoints[log.Tenant] = log, checkpoint
			continue
		}
		tree, checkpoint, err := l.openLog(ctx, log)
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		l.logs[log.Tenant], l.checkpoints[log.Tenant] = log, checkpoint
		l.trees[log.Tenant] = tree
		if err := l.keep(log.Origin, checkpoint.Note); err != nil {
			return fmt.Errorf("ledger: keeping the checkpoint of a log outside the store: %w", err)
		}
	}
	return nil
}

// Close takes nothing more, writes what is queued, answers it, and returns when the writer is done. A second call does the same.
func (l *Ledger) Close() error {
	l.closing.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.closing.Unlock()
	<-l.stopped
	return nil
}

// Log returns the origin and the size of the tenant's log; at its first use it is made, durably.
func (l *Ledger) Log(ctx context.Context, tenant string) (store.Log, error) {
	if log, ok := l.log(tenant); ok {
		return log, nil
	}
	if tenant == "" {
		return store.Log{}, fmt.Errorf("%w: it names no tenant or no type", ErrInvalid)
	}
	if err := l.do(ctx, &call{tenant: tenant}); err != nil {
		return store.Log{}, err
	}
	log, _ := l.log(tenant)
	return log, nil
}

// Size is the number of durable leaves of the tenant's log; 0 for one that has none.
func (l *Ledger) Size(tenant string) int64 {
	log, _ := l.log(tenant)
	return log.Size
}

func (l *Ledger) log(tenant string) (store.Log, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	log, ok := l.logs[tenant]
	return log, ok
}

// Refuse ends appending for good: somebody outside has shown a checkpoint that the log's key signed, and that the log does not extend. That one is kept in the folder, in place of the ledger's own, so that the next [Open] and [Recover] know what is lost. The first reason stays, and the last checkpoint.
func (l *Ledger) Refuse(e *HeadError) error {
	reason := error(e)
	l.refused.CompareAndSwap(nil, &reason)
	l.outside.Lock()
	defer l.outside.Unlock()
	err := l.options.Folder.write(e.Log.Origin, e.Published)
	l.shown[e.Log.Origin] = l.shown[e.Log.Origin] || err == nil
	return err
}

// keep keeps a checkpoint of the ledger's own outside the store, unless somebody else's is kept there. A commit may still be under way when that is shown.
func (l *Ledger) keep(origin string, note []byte) error {
	l.outside.Lock()
	defer l.outside.Unlock()
	if l.shown[origin] {
		return nil
	}
	return l.options.Folder.write(origin, note)
}

// Writable is nil, or why nothing is appended any more, or why the last commit failed, until one is made again. What is a fault of a caller's does not count.
func (l *Ledger) Writable() error {
	if reason := l.refused.Load(); reason != nil {
		return *reason
	}
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Probe writes nothing, durably: afterwards Writable tells how things are now.
func (l *Ledger) Probe(ctx context.Context) error { return l.do(ctx, &call{}) }

// HistoryAt returns, by service, the rows of the history for the intent type at a time: of every attempt that is in the tenant's log by now (spec/calculus.md, section 4, RL). A service without attempts in the window has no row.
// The map is shared: the caller must not change it.
func (l *Ledger) HistoryAt(tenant, intent string, at time.Time) map[string]contracts.History {
	return l.history.at(tenant, intent, at)
}

// newOrigin draws an origin: opaque, so that it names no tenant, and fit for a path.
func newOrigin(random io.Reader) (string, error) {
	var b [originBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("ledger: drawing the origin of a log: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
