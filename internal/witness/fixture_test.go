package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

const origin = "log.example/7f3a"

func must[T any](v T, err error) func(rapid.TB) T {
	return func(t rapid.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// private is a key by number.
func private(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func key(t rapid.TB, name string, algorithm tlog.Algorithm, seed byte) tlog.Key {
	t.Helper()
	return must(tlog.NewKey(name, algorithm, private(seed).Public().(ed25519.PublicKey)))(t)
}

// logKey is the one that signs the logs of these tests.
func logKey(t rapid.TB) tlog.Key { t.Helper(); return key(t, origin, tlog.Ed25519, 1) }

// secret is a key as golang.org/x/mod and transparency-dev/formats read it.
func secret(t rapid.TB, name string, algorithm tlog.Algorithm, seed byte) string {
	t.Helper()
	raw := append([]byte{byte(algorithm)}, private(seed).Seed()...)
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, key(t, name, algorithm, seed).ID(), base64.StdEncoding.EncodeToString(raw))
}

// written is a log as golang.org/x/mod writes and signs it. Its size grows with every call of at.
type written struct {
	origin string
	fork   int // from where on its entries are others than those of a log without a fork; 0 for none
	seed   byte
	size   atomic.Int64 // what it has published
	count  int64
	hashes []sumdb.Hash // by sumdb.StoredHashIndex
}

func newLog(size int64) *written {
	w := &written{origin: origin, seed: 1}
	w.write(size)
	return w
}

// forked has other entries from a size on.
func forked(at int, size int64) *written {
	w := &written{origin: origin, seed: 1, fork: at}
	w.write(size)
	return w
}

func (w *written) write(size int64) {
	for ; w.count < size; w.count++ {
		entry := fmt.Sprintf("entry %d", w.count)
		if w.fork > 0 && w.count >= int64(w.fork) {
			entry += ", otherwise"
		}
		hashes, err := sumdb.StoredHashes(w.count, []byte(entry), w)
		if err != nil {
			panic(err)
		}
		w.hashes = append(w.hashes, hashes...)
	}
	w.size.Store(size)
}

// ReadHashes makes w a sumdb.HashReader.
func (w *written) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	list := make([]sumdb.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = w.hashes[index]
	}
	return list, nil
}

// at is the log's signed checkpoint at a size, with extension lines.
func (w *written) at(t rapid.TB, size int64, extensions ...string) tlog.Checkpoint {
	t.Helper()
	root := sumdb.Hash(tlog.EmptyRoot)
	if size > 0 {
		root = must(sumdb.TreeHash(size, w))(t)
	}
	body := fmt.Sprintf("%s\n%d\n%s\n", w.origin, size, root)
	for _, line := range extensions {
		body += line + "\n"
	}
	signer := must(note.NewSigner(secret(t, w.origin, tlog.Ed25519, w.seed)))(t)
	text := must(note.Sign(&note.Note{Text: body}, signer))(t)
	return must(tlog.ParseExtendedCheckpoint(text))(t)
}

func (w *written) prove(t rapid.TB, from, to int64) []tlog.Hash {
	t.Helper()
	return must(w.Prove(context.Background(), from, to))(t)
}

// Key, Checkpoint and Prove make w a [Log].
func (w *written) Key() tlog.Key {
	k, err := tlog.NewKey(w.origin, tlog.Ed25519, private(w.seed).Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	return k
}

func (w *written) Checkpoint(context.Context) (c tlog.Checkpoint, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return w.at(fails{}, w.size.Load()), nil
}

func (w *written) Prove(_ context.Context, from, to int64) ([]tlog.Hash, error) {
	if from == 0 || from == to {
		return nil, nil
	}
	proof, err := sumdb.ProveTree(to, from, w)
	if err != nil {
		return nil, err
	}
	list := make([]tlog.Hash, len(proof))
	for i, hash := range proof {
		list[i] = tlog.Hash(hash)
	}
	return list, nil
}

// fails is a test that panics where it fails, for code outside of one.
type fails struct{ rapid.TB }

func (fails) Helper()           {}
func (fails) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// clock is set by hand.
type clock struct{ seconds atomic.Int64 }

const noon = 1795348800 // 2026-11-22, 12:00 UTC

func newClock() *clock {
	c := &clock{}
	c.seconds.Store(noon)
	return c
}

func (c *clock) now() time.Time { return time.Unix(c.seconds.Load(), 0) }

func (c *clock) pass(d time.Duration) { c.seconds.Add(int64(d / time.Second)) }

const witnessName = "witness.example/w1"

// open opens the witness number n on a file.
func open(t testing.TB, file string, n byte, c *clock) *Witness {
	t.Helper()
	w := must(Open(t.Context(), Config{Name: fmt.Sprintf("witness.example/w%d", n), Key: private(10 + n), State: file, Clock: c.now}))(t)
	t.Cleanup(func() { w.Close() })
	if err := w.Know(logKey(t)); err != nil {
		t.Fatal(err)
	}
	return w
}

// serve is the witness number n, on a listener, and a client of it.
func serve(t testing.TB, n byte, c *clock) (*Witness, *httptest.Server, *Client) {
	t.Helper()
	w := open(t, filepath.Join(t.TempDir(), "witness.db"), n, c)
	s := httptest.NewServer(w.Handler(slog.New(slog.DiscardHandler)))
	t.Cleanup(s.Close)
	return w, s, must(NewClient(s.URL, w.Key(), nil))(t)
}
