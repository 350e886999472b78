package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/internal/store"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var (
	// ErrBehind says that a log in the store is shorter than what was published of it.
	ErrBehind = errors.New("ledger: the store is an older copy")
	// ErrForked says that a log in the store is another one than was published.
	ErrForked = errors.New("ledger: the store holds another log than was published")
	// ErrOtherKey says that the latest checkpoint of a log was not signed by the key that this ledger has. A log is what its key signs (C2SP tlog-checkpoint), so that another key has another log.
	ErrOtherKey = errors.New("ledger: a checkpoint was signed by another key")
	// ErrUnreadable says that what was kept of a log outside the store is no checkpoint that the log's key signed. Whoever can write there could have put it there: it is no evidence of a loss.
	ErrUnreadable = errors.New("ledger: what was kept outside the store can't be read")
)

// HeadError is about a log that can't be appended to, since its head is not where it was: [ErrBehind], [ErrForked], [ErrOtherKey], [ErrUnreadable] or store.ErrInconsistent. Its text says what to do.
type HeadError struct {
	Log       store.Log
	Published []byte // the checkpoint that was kept outside the store and that the log's key signed; nil for none
	Says      string
	Err       error
}

func (e *HeadError) Error() string {
	return fmt.Sprintf("the log %s of tenant %q: %s: %s", e.Log.Origin, e.Log.Tenant, e.Says, strings.TrimPrefix(e.Err.Error(), "ledger: "))
}

func (e *HeadError) Unwrap() error { return e.Err }

// Folder keeps the latest checkpoint of every log outside the store: a file for each, named by the log's origin, replaced as a whole. The zero value keeps none.
type Folder string

// name is "" for an origin that is no name of a file, which no ledger draws.
func (f Folder) name(origin string) string {
	if !filepath.IsLocal(origin) || strings.ContainsAny(origin, `/\.`) {
		return ""
	}
	return filepath.Join(string(f), origin)
}

// read returns the checkpoint of a log, nil where there is none, or an empty file: a loss of power can leave that behind.
func (f Folder) read(origin string) ([]byte, error) {
	if f == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.name(origin))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		return nil, nil
	}
	return text, err
}

// write replaces the checkpoint of a log. It isn't synced: after a loss of power an older one may be there, which the store then extends.
func (f Folder) write(origin string, text []byte) error {
	name := f.name(origin)
	if f == "" {
		return nil
	}
	if name == "" {
		return fmt.Errorf("the origin %q is no name of a file", origin)
	}
	temporary := name + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

// head is what a checkpoint says.
type head struct {
	size int64
	root tlog.Hash
}

// verifier is the reader's side of signer.
func (s signer) verifier() (note.Verifier, error) { return note.NewVerifier(VKey(s.origin, s.public)) }

// open reads a checkpoint of the log that this key signed.
func (n notary) open(origin string, text []byte) (head, error) {
	v, err := signer{n, origin}.verifier()
	if err != nil {
		return head{}, err
	}
	signed, err := note.Open(text, note.VerifierList(v))
	if unknown := (*note.UnverifiedNoteError)(nil); errors.As(err, &unknown) {
		return head{}, ErrOtherKey
	}
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		return head{}, errors.New("not a checkpoint of this log")
	}
	var h head
	if h.size, err = strconv.ParseInt(lines[1], 10, 64); err == nil {
		h.root, err = tlog.ParseHash(lines[2])
	}
	return h, err
}

// openLog reads the right edge of a log, and holds it to its checkpoint in the store, and to the one that was published.
func (l *Ledger) openLog(ctx context.Context, log store.Log) (*tree, store.Checkpoint, error) {
	refuse := func(kind error, format string, args ...any) error {
		published, _ := l.options.Folder.read(log.Origin)
		if _, err := l.notary.open(log.Origin, published); err != nil {
			published = nil
		}
		return &HeadError{log, published, fmt.Sprintf(format, args...), kind}
	}
	if l.options.Folder != "" && l.options.Folder.name(log.Origin) == "" {
		return nil, store.Checkpoint{}, refuse(store.ErrInconsistent, "its origin was not drawn by caio")
	}
	stored, err := l.store.LastCheckpoint(ctx, log.Tenant)
	if errors.Is(err, store.ErrNotFound) {
		stored, err = l.plant(ctx, log)
	}
	if err != nil {
		return nil, stored, err
	}
	h, err := l.notary.open(log.Origin, stored.Note)
	switch {
	case errors.Is(err, ErrOtherKey):
		return nil, stored, refuse(ErrOtherKey, "its checkpoint was not signed by the key of this server: put the key of before back (log.pem in the folder of keys). Is that lost, stolen, or to be replaced, each log goes on as a new one, since a log is what its key signs: `caio log recover --all --old-key FILE` begins them, and they commit to what the key of before signed")
	case err != nil || h.size != log.Size || stored.Size != log.Size:
		return nil, stored, refuse(store.ErrInconsistent, "it has %d entries, and its checkpoint in the store doesn't say that (%v)", log.Size, err)
	}
	hashes := l.hashes(ctx, log.Tenant)
	t, err := openTree(log.Tenant, log.Size, hashes)
	if errors.Is(err, store.ErrNotFound) {
		return nil, stored, refuse(store.ErrInconsistent, "a tile of its tree is missing")
	}
	if err != nil {
		return nil, stored, err
	}
	if root, err := t.root(); err != nil || root != h.root {
		return nil, stored, refuse(store.ErrInconsistent, "its tiles have the root %s, and its checkpoint says %s (%v)", root, h.root, err)
	}
	return t, stored, l.comparePublished(log, h, hashes, refuse)
}

// comparePublished holds a log to the last checkpoint that was kept outside the store: it may have grown since, by what was committed and not published, and nothing else.
func (l *Ledger) comparePublished(log store.Log, h head, hashes tlog.HashReader, refuse func(kind error, format string, args ...any) error) error {
	text, err := l.options.Folder.read(log.Origin)
	if err != nil || text == nil {
		if err == nil && l.options.Folder != "" && log.Size > 0 && l.options.Missing != nil {
			l.options.Missing(log)
		}
		return err
	}
	published, err := l.notary.open(log.Origin, text)
	if err != nil {
		return refuse(ErrUnreadable, "%s is not a checkpoint of it that the key of this server signed (%v): put the right one back; if there is none, remove the file, and the log is taken as the store has it. That is no reason to begin a new log", l.options.Folder.name(log.Origin), err)
	}
	if published.size > h.size {
		return refuse(ErrBehind, "it has %d entries in the store, and %d were published: %d that callers were answered are missing, as in a copy of the database from before. Nothing is appended to it, since that would give their places to others. Put the newest copy of the database back. If there is none, `caio log recover` begins a new log, which commits to the lost one",
			h.size, published.size, published.size-h.size)
	}
	root, err := tlog.TreeHash(published.size, hashes)
	if err != nil {
		return err
	}
	if root != published.root {
		return refuse(ErrForked, "its first %d entries have the root %s in the store, and %s was published: an entry in the store is not the one that callers were answered. Put the database back that belongs to %s. If there is none, `caio log recover` begins a new log, which commits to the published one",
			published.size, root, published.root, l.options.Folder.name(log.Origin))
	}
	return nil
}

const (
	plantEntries = 1024 // read at once
	plantTiles   = 256  // written at once
)

// plant makes the tree of a log that was written before logs had trees.
func (l *Ledger) plant(ctx context.Context, log store.Log) (store.Checkpoint, error) {
	t := &tree{tenant: log.Tenant}
	unchanged := []store.Advance{{Tenant: log.Tenant, Origin: log.Origin, From: log.Size, To: log.Size}}
	for t.size < log.Size {
		entries, err := l.store.Entries(ctx, log.Tenant, t.size, int(min(plantEntries, log.Size-t.size)))
		if err != nil {
			return store.Checkpoint{}, err
		}
		if len(entries) == 0 {
			return store.Checkpoint{}, fmt.Errorf("the log %s of tenant %q ends at index %d: %w", log.Origin, log.Tenant, t.size, store.ErrInconsistent)
		}
		for i := range entries {
			if err := t.append(entries[i].Leaf); err != nil {
				return store.Checkpoint{}, err
			}
		}
		if len(t.full) >= plantTiles {
			if err := l.store.Commit(ctx, &store.Batch{Logs: unchanged, Tiles: t.full}); err != nil {
				return store.Checkpoint{}, err
			}
			t.full = nil
		}
		if l.options.Planting != nil {
			l.options.Planting(log, t.size)
		}
	}
	checkpoint, err := l.notary.sign(log.Origin, t)
	if err != nil {
		return checkpoint, err
	}
	return checkpoint, l.store.Commit(ctx, &store.Batch{Logs: unchanged, Tiles: t.tiles(), Checkpoints: []store.Checkpoint{checkpoint}})
}
