package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
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

// key is the public one under a name.
func key(t rapid.TB, name string, algorithm tlog.Algorithm, seed byte) tlog.Key {
	t.Helper()
	return must(tlog.NewKey(name, algorithm, private(seed).Public().(ed25519.PublicKey)))(t)
}

// signer is the same key as golang.org/x/mod has it.
func signer(t rapid.TB, name string, seed byte) note.Signer {
	t.Helper()
	return must(note.NewSigner(secret(t, name, tlog.Ed25519, seed)))(t)
}

func secret(t rapid.TB, name string, algorithm tlog.Algorithm, seed byte) string {
	t.Helper()
	raw := append([]byte{byte(algorithm)}, private(seed).Seed()...)
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, key(t, name, algorithm, seed).ID(), base64.StdEncoding.EncodeToString(raw))
}

// written is a log as golang.org/x/mod writes it.
type written struct {
	entries [][]byte
	hashes  []sumdb.Hash // by sumdb.StoredHashIndex
}

func write(size int, entry func(i int) []byte) *written {
	w := new(written)
	for i := range size {
		w.entries = append(w.entries, entry(i))
		hashes, err := sumdb.StoredHashes(int64(i), w.entries[i], w)
		if err != nil {
			panic(err)
		}
		w.hashes = append(w.hashes, hashes...)
	}
	return w
}

// ReadHashes makes w a sumdb.HashReader.
func (w *written) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	list := make([]sumdb.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = w.hashes[index]
	}
	return list, nil
}

const maxSize = 2000

// example is a log that tests share; entries repeat nothing.
var example = sync.OnceValue(func() *written {
	return write(maxSize, func(i int) []byte { return fmt.Appendf(nil, "entry %d%s", i, strings.Repeat(".", i%7)) })
})

// at is the log at a size, signed by no one.
func (w *written) at(t rapid.TB, size int64) tlog.Checkpoint {
	t.Helper()
	return tlog.Checkpoint{Origin: origin, Size: size, Root: tlog.Hash(must(sumdb.TreeHash(size, w))(t))}
}

// signed is the log's own checkpoint at a size, as text.
func (w *written) signed(t rapid.TB, size int64) []byte {
	t.Helper()
	tree := sumdb.Tree{N: size, Hash: must(sumdb.TreeHash(size, w))(t)}
	body := strings.Replace(string(sumdb.FormatTree(tree)), "go.sum database tree", origin, 1)
	return must(note.Sign(&note.Note{Text: body}, signer(t, origin, 1)))(t)
}

// files is what the log serves at a size.
func (w *written) files(t rapid.TB, size int64) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{tlog.CheckpointPath: {Data: w.signed(t, size)}}
	for _, tile := range sumdb.NewTiles(tlog.TileHeight, 0, size) {
		files[pathOf(tile)] = &fstest.MapFile{Data: must(sumdb.ReadTileData(tile, w))(t)}
		if tile.L == 0 {
			from := tile.N * tlog.TileWidth
			var data []byte
			for _, entry := range w.entries[from : from+int64(tile.W)] {
				data = append(append(data, byte(len(entry)>>8), byte(len(entry))), entry...)
			}
			tile.L = -1
			files[pathOf(tile)] = &fstest.MapFile{Data: data}
		}
	}
	return files
}

// pathOf is C2SP's path of a tile, whose height is always 8, from that of golang.org/x/mod.
func pathOf(tile sumdb.Tile) string {
	return strings.Replace(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
}

func hashesOf(proof []sumdb.Hash) []tlog.Hash {
	list := make([]tlog.Hash, len(proof))
	for i, hash := range proof {
		list[i] = tlog.Hash(hash)
	}
	return list
}

var cosignedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// cosigned is a checkpoint of the example with two witnesses, and the three keys that signed it.
func cosigned(t rapid.TB, size int64) (tlog.Checkpoint, []tlog.Key) {
	t.Helper()
	c := must(tlog.ParseCheckpoint(example().signed(t, size)))(t)
	keys := []tlog.Key{key(t, origin, tlog.Ed25519, 1)}
	for i := range byte(2) {
		name := fmt.Sprintf("witness.example/w%d", i)
		c.Signatures = append(c.Signatures, must(tlog.Cosign(c, name, private(10+i), cosignedAt.Add(time.Duration(i)*time.Second)))(t))
		keys = append(keys, key(t, name, tlog.CosignatureV1, 10+i))
	}
	return c, keys
}

// checkEveryBit calls refused for every text that differs from good in one bit, and for good cut short or longer by a byte. It says which one was accepted.
func checkEveryBit(t *testing.T, good []byte, refused func(text []byte) bool) {
	t.Helper()
	n := 0
	try := func(what string, text []byte) {
		if n++; !refused(text) {
			t.Errorf("%s: accepted %q", what, text)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			try(fmt.Sprintf("byte %d, bit %d", i, bit), bad)
		}
		try(fmt.Sprintf("cut at %d", i), good[:i])
		try(fmt.Sprintf("cut to %d", i+1), good[i+1:])
		try(fmt.Sprintf("without byte %d", i), append(bytes.Clone(good[:i]), good[i+1:]...))
		try(fmt.Sprintf("line feed at %d", i), append(append(bytes.Clone(good[:i]), '\n'), good[i:]...))
	}
	for _, more := range []string{" ", "\n", "\r", "\x00", "x", string(good)} {
		try("with more", append(bytes.Clone(good), more...))
	}
	if n < 10*len(good) {
		t.Fatalf("only %d tried", n)
	}
}
