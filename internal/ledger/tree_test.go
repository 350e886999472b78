package ledger

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
	reader "github.com/smarthausgroup/caio/verify/tlog"
	"golang.org/x/mod/sumdb/tlog"
)

type tilePlace struct {
	level int
	index int64
}

// stored reads hashes from the tiles that were written.
func stored(tiles map[tilePlace][]byte) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			t := tlog.TileForIndex(tileHeight, index)
			var err error
			if hashes[i], err = tlog.HashFromTile(t, tiles[tilePlace{t.L, t.N}], index); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

// TestTree grows a tree by groups of every size past three levels of tiles: a tile that was written is only ever grown, the root is that of the reader's implementation, and the edge read back from the tiles goes on as the one in memory.
func TestTree(t *testing.T) {
	const size = 1<<16 + 700
	random := rand.New(rand.NewPCG(1, 2))
	edge, tiles := &tree{tenant: "a"}, map[tilePlace][]byte{}
	var leaves []reader.Hash
	groups, reopened := 0, 0
	for edge.size < size {
		before, root := edge.size, mustRoot(t, edge)
		next := edge.clone()
		for range 1 + random.IntN(600) {
			leaf := fmt.Appendf(nil, "leaf %d", next.size)
			leaves = append(leaves, reader.LeafHash(leaf))
			if err := next.append(leaf); err != nil {
				t.Fatal(err)
			}
		}
		if edge.size != before || mustRoot(t, edge) != root {
			t.Fatal("appending to a clone changed the tree")
		}
		for _, tile := range next.tiles() {
			at := tilePlace{tile.Level, tile.Index}
			if !bytes.HasPrefix(tile.Hashes, tiles[at]) || len(tile.Hashes) > tileBytes {
				t.Fatalf("at size %d the tile %v was replaced by something else", next.size, at)
			}
			tiles[at] = bytes.Clone(tile.Hashes)
		}
		edge = next
		if groups++; groups%40 == 0 || edge.size >= size {
			reopened++
			compareEdges(t, edge, tiles, leaves)
		}
	}
	if reopened < 3 || len(edge.open) != 3 {
		t.Fatalf("%d edges were compared, and there are %d levels", reopened, len(edge.open))
	}
}

func mustRoot(t *testing.T, edge *tree) reader.Hash {
	t.Helper()
	root, err := edge.root()
	if err != nil {
		t.Fatal(err)
	}
	return reader.Hash(root)
}

func compareEdges(t *testing.T, edge *tree, tiles map[tilePlace][]byte, leaves []reader.Hash) {
	t.Helper()
	if got, want := mustRoot(t, edge), reader.Root(leaves); got != want {
		t.Fatalf("the root at size %d is %x, want %x", edge.size, got, want)
	}
	again, err := openTree("a", edge.size, stored(tiles))
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(300) {
		leaf := fmt.Appendf(nil, "another %d", n)
		if err := again.append(leaf); err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, reader.LeafHash(leaf))
	}
	if mustRoot(t, again) != reader.Root(leaves) {
		t.Fatalf("the edge of size %d, read from tiles, goes on otherwise", edge.size)
	}
	for _, tile := range again.tiles() {
		if before := tiles[tilePlace{tile.Level, tile.Index}]; !bytes.HasPrefix(tile.Hashes, before) {
			t.Fatalf("a tile of level %d was not grown", tile.Level)
		}
	}
}

// TestCheckpoint is read by the reader's side, at every size where a tree has another form, and by this one.
func TestCheckpoint(t *testing.T) {
	private := ed25519.NewKeyFromSeed(slices.Repeat([]byte{7}, ed25519.SeedSize))
	notary, err := newNotary(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := reader.ParseKey(VKey("origin", notary.public))
	if err != nil {
		t.Fatal(err)
	}
	edge := &tree{tenant: "a"}
	for size := range int64(600) {
		checkpoint, err := notary.sign("origin", edge)
		if err != nil {
			t.Fatal(err)
		}
		c, err := reader.ParseCheckpoint(checkpoint.Note)
		if err != nil || c.Origin != "origin" || c.Size != size || c.Root != mustRoot(t, edge) || checkpoint.Size != size {
			t.Fatalf("size %d: %v, %v", size, c, err)
		}
		if _, _, err := c.Verify(key); err != nil {
			t.Fatal(err)
		}
		h, err := notary.open("origin", checkpoint.Note)
		if err != nil || h.size != size || reader.Hash(h.root) != c.Root {
			t.Fatalf("size %d: %v, %v", size, h, err)
		}
		if _, err := notary.open("another", checkpoint.Note); err == nil {
			t.Fatal("the checkpoint of another log was taken")
		}
		if err := edge.append(fmt.Append(nil, size)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTilesOfOneTenant(t *testing.T) {
	edge := &tree{tenant: "a"}
	for n := range 700 {
		if err := edge.append(fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tile := range edge.tiles() {
		if tile.Tenant != "a" {
			t.Errorf("a tile of tenant %q", tile.Tenant)
		}
	}
	want := []store.Tile{{Level: 0, Index: 0}, {Level: 0, Index: 1}, {Level: 0, Index: 2}, {Level: 1, Index: 0}}
	if got := edge.tiles(); len(got) != len(want) {
		t.Errorf("%d tiles, want %d", len(got), len(want))
	}
}
