package ledger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify/tlog"
	formatslog "github.com/transparency-dev/formats/log"
	formatsproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// source is a tenant's log as a reader sees it.
type source struct {
	ledger *ledger.Ledger
	tenant string
}

func (s source) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path == tlog.CheckpointPath {
		return s.ledger.Checkpoint(s.tenant), nil
	}
	t, err := tlog.ParseTile(path)
	if err != nil {
		return nil, err
	}
	data, err := s.ledger.TileOf(ctx, s.tenant, t)
	if errors.Is(err, store.ErrNotFound) {
		err = fs.ErrNotExist
	}
	return data[:min(int64(len(data)), limit)], err
}

// checkLog has the reader's side derive the whole log again, and prove single entries and growth.
func checkLog(t *testing.T, l *ledger.Ledger, tenant string, size int64) tlog.Checkpoint {
	t.Helper()
	ctx := context.Background()
	log, err := l.Log(ctx, tenant)
	if err != nil {
		t.Fatal(err)
	}
	var leaves [][]byte
	checked, err := tlog.CheckLog(ctx, source{l, tenant}, tlog.Options{Keys: keysOf(t, log), Leaf: func(_ int64, entry []byte) error {
		leaves = append(leaves, slices.Clone(entry))
		return nil
	}})
	if err != nil || checked.Checkpoint.Size != size || int64(len(leaves)) != size {
		t.Fatalf("the log of %s has %d entries of %d: %v", tenant, len(leaves), size, err)
	}
	for index := range size {
		if size > 40 && index%37 != 0 && index < size-3 {
			continue
		}
		text, err := l.Proof(ctx, tenant, index)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := tlog.ParseProof(text)
		if err != nil || receipt.Index != index {
			t.Fatalf("the proof of index %d: %v", index, err)
		}
		if err := receipt.Verify(leaves[index]); err != nil {
			t.Fatal(err)
		}
		elsewhere(t, log.Origin, text, index, leaves[index])
		older := tlog.Checkpoint{Origin: log.Origin, Size: index, Root: rootOf(leaves[:index])}
		hashes, err := l.Consistency(ctx, tenant, index, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := checked.Checkpoint.Extends(older, hashes); err != nil {
			t.Fatal(err)
		}
	}
	return checked.Checkpoint
}

// elsewhere has the libraries of transparency-dev read and verify a receipt.
func elsewhere(t *testing.T, origin string, receipt []byte, index int64, leaf []byte) {
	t.Helper()
	var p formatsproof.TLogProof
	must(t, p.Unmarshal(receipt))
	verifier, err := note.NewVerifier(ledger.VKey(origin, logPublic))
	must(t, err)
	c, _, _, err := formatslog.ParseCheckpoint(p.Checkpoint, origin, verifier)
	must(t, err)
	hashes := make([][]byte, len(p.Hashes))
	for i := range p.Hashes {
		hashes[i] = p.Hashes[i][:]
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, rfc6962.DefaultHasher.HashLeaf(leaf), hashes, c.Hash); err != nil || p.Index != uint64(index) {
		t.Fatalf("the receipt of index %d, read by others, is of %d: %v", index, p.Index, err)
	}
}

func rootOf(leaves [][]byte) tlog.Hash {
	hashes := make([]tlog.Hash, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = tlog.LeafHash(leaf)
	}
	return tlog.Root(hashes)
}

func appendMany(t *testing.T, l *ledger.Ledger, tenant string, n int) {
	t.Helper()
	for n > 0 {
		entries := make([]ledger.Entry, min(n, 97))
		for i := range entries {
			entries[i] = entry(tenant, fmt.Sprintf("entry %d of %s", n-i, tenant))
		}
		mustAppend(t, l, entries...)
		n -= len(entries)
	}
}

// TestPublished holds what a reader sees to what was appended, over restarts, around the widths of tiles.
func TestPublished(t *testing.T) {
	dir := t.TempDir()
	folder := ledger.Folder(t.TempDir())
	size := 0
	for _, more := range []int{0, 1, 2, 252, 1, 1, 255, 300} {
		s := openStore(t, filepath.Join(dir, "caio.db"))
		l := openLedger(t, s, ledger.Options{Folder: folder})
		if size > 0 {
			checkLog(t, l, "a", int64(size))
		}
		appendMany(t, l, "a", more)
		appendMany(t, l, "b", more)
		size += more
		c := checkLog(t, l, "a", int64(size))
		checkLog(t, l, "b", int64(size))
		kept, err := os.ReadFile(filepath.Join(string(folder), c.Origin))
		if err != nil || string(kept) != string(l.Checkpoint("a")) {
			t.Fatalf("outside the store is %q, %v", kept, err)
		}
		if err := errors.Join(l.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBeyondTheEnd asks for what a log doesn't have.
func TestBeyondTheEnd(t *testing.T) {
	l := newLedger(t, ledger.Options{}, nil)
	appendMany(t, l, "a", 300)
	ctx := context.Background()
	for _, index := range []int64{-1, 300, 1 << 40} {
		if _, err := l.Proof(ctx, "a", index); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the proof of index %d: %v", index, err)
		}
	}
	for _, tile := range []tlog.Tile{{Level: 0, Index: 1, Width: 45}, {Level: 0, Index: 1, Width: 256}, {Level: 0, Index: 2, Width: 1}, {Level: 1, Index: 0, Width: 2}, {Level: 2, Index: 0, Width: 1}, {Level: 9, Index: 0, Width: 1}, {Level: tlog.Entries, Index: 1, Width: 45}, {Level: tlog.Entries, Index: 1 << 40, Width: 1}} {
		if _, err := l.TileOf(ctx, "a", tile); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", tile.Path(), err)
		}
	}
	for _, sizes := range [][2]int64{{-1, 3}, {4, 3}, {3, 301}} {
		if _, err := l.Consistency(ctx, "a", sizes[0], sizes[1]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("from size %d to %d: %v", sizes[0], sizes[1], err)
		}
	}
	if l.Checkpoint("b") != nil {
		t.Error("a tenant without a log has a checkpoint")
	}
}

// spoil changes a store, of which there is a copy from before, or the checkpoint outside it.
type spoil func(t *testing.T, path, older, outside string)

// statements runs SQL, as somebody else who can write to the file would.
func statements(queries ...string) spoil {
	return func(t *testing.T, path, _, _ string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		must(t, err)
		for _, query := range queries {
			_, err := db.Exec(query)
			must(t, err)
		}
		must(t, db.Close())
	}
}

func restored(t *testing.T, path, older, _ string) {
	t.Helper()
	text, err := os.ReadFile(older)
	must(t, errors.Join(err, os.WriteFile(path, text, 0o600)))
}

// wentOn restores the older copy and appends to it as if nothing had been published.
func wentOn(more int) spoil {
	return func(t *testing.T, path, older, outside string) {
		t.Helper()
		restored(t, path, older, outside)
		s := openStore(t, path)
		l := openLedger(t, s, ledger.Options{})
		mustAppend(t, l, entry("a", "another"))
		appendMany(t, l, "a", more-1)
		must(t, errors.Join(l.Close(), s.Close()))
	}
}

// TestHeads opens stores that are not what was published, and one of before logs had trees.
func TestHeads(t *testing.T) {
	const noTree, noCheckpoint = "DELETE FROM tiles", "DELETE FROM checkpoints"
	for name, c := range map[string]struct {
		spoil spoil
		want  error
		says  string
	}{
		"nothing":                      {statements(), nil, ""},
		"nothing outside":              {func(t *testing.T, _, _, outside string) { must(t, os.Remove(outside)) }, nil, ""},
		"an empty file":                {func(t *testing.T, _, _, outside string) { must(t, os.WriteFile(outside, nil, 0o644)) }, nil, ""},
		"no tree yet":                  {statements(noTree, noCheckpoint), nil, ""},
		"an older copy":                {restored, ledger.ErrBehind, "it has 200 entries in the store, and 300 were published: 100 that callers were answered are missing"},
		"a shorter one without a tree": {statements(noTree, noCheckpoint, "DELETE FROM entries WHERE idx >= 200", "UPDATE logs SET size = 200"), ledger.ErrBehind, "caio log recover"},
		"another of the same length":   {wentOn(100), ledger.ErrForked, "its first 300 entries have the root"},
		"another that is longer":       {wentOn(150), ledger.ErrForked, "its first 300 entries have the root"},
		"another leaf, without a tree": {statements(noTree, noCheckpoint, "UPDATE entries SET leaf = x'00' WHERE idx = 17"), ledger.ErrForked, "its first 300 entries have the root"},
		"another hash":                 {statements("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND idx = 1"), store.ErrInconsistent, "its tiles have the root"},
		"no tile":                      {statements("DELETE FROM tiles WHERE level = 1"), store.ErrInconsistent, "a tile of its tree is missing"},
		"no signature":                 {statements("UPDATE checkpoints SET note = CAST('x' AS BLOB)"), store.ErrInconsistent, "its checkpoint in the store doesn't say that"},
		"something else outside":       {func(t *testing.T, _, _, outside string) { must(t, os.WriteFile(outside, []byte("something"), 0o644)) }, ledger.ErrUnreadable, "remove the file"},
		"an origin that is a way out":  {statements("PRAGMA foreign_keys = OFF", "UPDATE logs SET origin = '../a'"), store.ErrInconsistent, "its origin was not drawn by caio"},
	} {
		t.Run(name, func(t *testing.T) {
			path, older, folder := filepath.Join(t.TempDir(), "caio.db"), filepath.Join(t.TempDir(), "older.db"), ledger.Folder(t.TempDir())
			var log store.Log
			for _, more := range []int{200, 100} {
				s := openStore(t, path)
				l := openLedger(t, s, ledger.Options{Folder: folder})
				appendMany(t, l, "a", more)
				var err error
				log, err = l.Log(context.Background(), "a")
				must(t, errors.Join(err, l.Close(), s.Close()))
				if more == 200 {
					restored(t, older, path, "")
				}
			}
			c.spoil(t, path, older, filepath.Join(string(folder), log.Origin))
			s := openStore(t, path)
			defer s.Close()
			l, err := ledger.Open(context.Background(), s, ledger.Options{Random: rand.Reader, Signer: logKey, Folder: folder})
			if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want %v, with %q", err, c.want, c.says)
			}
			if head := (*ledger.HeadError)(nil); err != nil && (!errors.As(err, &head) || head.Log.Tenant != "a") {
				t.Errorf("%v is no HeadError of the log", err)
			}
			if err == nil {
				defer l.Close()
				checkLog(t, l, "a", 300)
				appendMany(t, l, "a", 3)
				checkLog(t, l, "a", 303)
			}
		})
	}
}

// TestRecoverUnreadable: what the log's key did not sign is neither a reason to begin a log anew, nor what the new one commits to.
func TestRecoverUnreadable(t *testing.T) {
	ctx := context.Background()
	path, folder := filepath.Join(t.TempDir(), "caio.db"), ledger.Folder(t.TempDir())
	s := openStore(t, path)
	defer s.Close()
	l := openLedger(t, s, ledger.Options{Folder: folder})
	appendMany(t, l, "a", 3)
	sound := string(l.Checkpoint("a"))
	log, err := l.Log(ctx, "a")
	must(t, errors.Join(err, l.Close()))
	must(t, os.WriteFile(filepath.Join(string(folder), log.Origin), []byte("something"), 0o644))

	var lost ledger.Lost
	o := ledger.Options{Random: rand.Reader, Signer: logKey, Folder: folder}
	begin := func(l ledger.Lost, _ string) ([]ledger.Entry, error) {
		lost = l
		return []ledger.Entry{entry("a", "first")}, nil
	}
	if _, err := ledger.Recover(ctx, s, o, "a", begin); !errors.Is(err, ledger.ErrUnreadable) || lost.Origin != "" {
		t.Errorf("a sound log, with rubbish beside it: %v, lost %+v", err, lost)
	}
	if now, err := s.Log(ctx, "a"); err != nil || now.Origin != log.Origin {
		t.Errorf("the log is %+v, %v", now, err)
	}
	statements("DELETE FROM tiles")(t, path, "", "")
	if _, err := ledger.Recover(ctx, s, o, "a", begin); err != nil || string(lost.Checkpoint) != sound {
		t.Errorf("a damaged log, with rubbish beside it: %v, and the new one commits to %q", err, lost.Checkpoint)
	}
}

// TestOtherKey opens a store with another key than that of its checkpoints.
func TestOtherKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	s := openStore(t, path)
	defer s.Close()
	l := openLedger(t, s, ledger.Options{})
	appendMany(t, l, "a", 3)
	must(t, l.Close())
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	if _, err := ledger.Open(context.Background(), s, ledger.Options{Random: rand.Reader, Signer: other}); !errors.Is(err, ledger.ErrOtherKey) {
		t.Errorf("%v, want ErrOtherKey", err)
	}
}

// TestRecoverUnderAnotherKey: with another key than that of its checkpoints a log is given up as the key before signed it, which is held to it first.
func TestRecoverUnderAnotherKey(t *testing.T) {
	ctx := context.Background()
	now, stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	before := logKey.Public().(ed25519.PublicKey)
	for name, c := range map[string]struct {
		former ed25519.PublicKey
		spoil  func(t *testing.T, path, older, outside string)
		why    error
		says   string // of the refusal
	}{
		"the key before":                       {former: before, why: ledger.ErrOtherKey},
		"nobody has it":                        {why: ledger.ErrOtherKey},
		"not the key before":                   {former: stranger, says: "did not sign its checkpoint either"},
		"the key before, and a tile changed":   {former: before, spoil: statements("UPDATE tiles SET hashes = zeroblob(length(hashes))"), why: store.ErrInconsistent},
		"the key before, and an older copy":    {former: before, spoil: restored, why: ledger.ErrBehind},
		"the key before, and rubbish outside":  {former: before, spoil: func(t *testing.T, _, _, outside string) { must(t, os.WriteFile(outside, []byte("something"), 0o644)) }, says: "is not a checkpoint of it"},
		"nobody has it, and a checkpoint gone": {spoil: statements("UPDATE checkpoints SET note = CAST('x' AS BLOB)"), why: store.ErrInconsistent},
	} {
		t.Run(name, func(t *testing.T) {
			path, older, folder := filepath.Join(t.TempDir(), "caio.db"), filepath.Join(t.TempDir(), "older.db"), ledger.Folder(t.TempDir())
			var log store.Log
			var head string
			for range 2 {
				s := openStore(t, path)
				l := openLedger(t, s, ledger.Options{Folder: folder})
				appendMany(t, l, "a", 3)
				head = string(l.Checkpoint("a"))
				var err error
				log, err = l.Log(ctx, "a")
				must(t, errors.Join(err, l.Close(), s.Close()))
				if _, err := os.Stat(older); err != nil {
					restored(t, older, path, "")
				}
			}
			if c.spoil != nil {
				c.spoil(t, path, older, filepath.Join(string(folder), log.Origin))
			}
			s := openStore(t, path)
			defer s.Close()
			var lost ledger.Lost
			o := ledger.Options{Random: rand.Reader, Signer: now, Former: c.former, Folder: folder}
			next, err := ledger.Recover(ctx, s, o, "a", func(l ledger.Lost, _ string) ([]ledger.Entry, error) {
				lost = l
				return []ledger.Entry{entry("a", "first")}, nil
			})
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, want %q", err, c.says)
				}
				if log, err := s.Log(ctx, "a"); err != nil || log.Origin != lost.Origin && lost.Origin != "" {
					t.Errorf("the log is %+v, %v", log, err)
				}
				return
			}
			must(t, err)
			if !errors.Is(lost.Why, c.why) || next.Origin == log.Origin {
				t.Errorf("given up because of %v, and followed by %s", lost.Why, next.Origin)
			}
			if !errors.Is(c.why, store.ErrInconsistent) && (string(lost.Checkpoint) != head || !lost.Key.Equal(c.former)) {
				t.Errorf("given up with key %x because of %v, and the new one commits to %q", lost.Key, lost.Why, lost.Checkpoint)
			}
			l, err := ledger.Open(ctx, s, o)
			must(t, err)
			defer l.Close()
			was, ok := l.Origin(log.Origin)
			if !ok || was.Was != "a" {
				t.Fatalf("the log before is %+v", was)
			}
			if c.spoil == nil && string(l.Checkpoint(was.Tenant)) != head {
				t.Errorf("it is served under %q", l.Checkpoint(was.Tenant))
			}
			checkNote(t, l.Checkpoint("a"), ledger.VKey(next.Origin, now.Public().(ed25519.PublicKey)))
		})
	}
}

// checkNote opens a checkpoint under a vkey.
func checkNote(t *testing.T, text []byte, vkey string) {
	t.Helper()
	v, err := note.NewVerifier(vkey)
	must(t, err)
	_, err = note.Open(text, note.VerifierList(v))
	must(t, err)
}

// TestFolderFails: what is committed is answered, the fault is told, and mended with the next write.
func TestFolderFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "checkpoints")
	must(t, os.Mkdir(folder, 0o755))
	l := newLedger(t, ledger.Options{Folder: ledger.Folder(folder)}, nil)
	appendMany(t, l, "a", 1)
	must(t, os.Rename(folder, folder+".gone"))
	appendMany(t, l, "a", 1)
	if err := l.Writable(); err == nil || !strings.Contains(err.Error(), "outside the store") {
		t.Errorf("the folder is gone, and the ledger says %v", err)
	}
	must(t, os.Rename(folder+".gone", folder))
	must(t, errors.Join(l.Probe(context.Background()), l.Writable()))
	log, err := l.Log(context.Background(), "a")
	must(t, err)
	kept, err := os.ReadFile(filepath.Join(folder, log.Origin))
	if err != nil || string(kept) != string(l.Checkpoint("a")) {
		t.Errorf("outside the store is %q, %v", kept, err)
	}
	checkLog(t, l, "a", 2)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefusedWhileWriting: what somebody outside shows of a log is what is kept of it, whole, whoever else shows something, and whatever is being committed.
func TestRefusedWhileWriting(t *testing.T) {
	ctx := context.Background()
	for range 20 {
		folder := ledger.Folder(t.TempDir())
		s := openStore(t, filepath.Join(t.TempDir(), "caio.db"))
		l := openLedger(t, s, ledger.Options{Folder: folder})
		appendMany(t, l, "a", 1)
		log, err := l.Log(ctx, "a")
		must(t, err)
		var group sync.WaitGroup
		for n := range 8 {
			group.Go(func() { _, _ = l.Append(ctx, entry("a", fmt.Sprint(n))) }) // it fails once the log is refused
			group.Go(func() {
				shown := strings.Repeat(fmt.Sprint(n), 1000*(n+1))
				if err := l.Refuse(&ledger.HeadError{Log: log, Published: []byte(shown), Err: ledger.ErrForked}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		must(t, errors.Join(l.Close(), s.Close()))
		text, err := os.ReadFile(filepath.Join(string(folder), log.Origin))
		must(t, err)
		n := int(text[0] - '0')
		if n > 7 || string(text) != strings.Repeat(fmt.Sprint(n), 1000*(n+1)) {
			t.Fatalf("%d bytes are kept, beginning with %.20q", len(text), text)
		}
	}
}
